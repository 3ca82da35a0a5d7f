package main

import "testing"

func TestSmallParts(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]int{
		"":                                   0,
		"https://s3.eu-west-1.amazonaws.com": 0,
		"http://127.0.0.1:9000":              0,
		"https://0123abcd.r2.cloudflarestorage.com":         10_000,
		"https://0123abcd.eu.r2.cloudflarestorage.com:443/": 10_000,
		"https://0123abcd.R2.CloudflareStorage.com":         10_000,
		"https://r2.cloudflarestorage.com.example.org":      0,
		"https://fake-r2.cloudflarestorage.com":             0,
		"https://example.org/x.r2.cloudflarestorage.com":    0,
		"://": 0,
	} {
		if got := smallParts(endpoint); got != want {
			t.Errorf("%q: %d, want %d", endpoint, got, want)
		}
	}
}
