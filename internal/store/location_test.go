package store

import (
	"net/url"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]Location{
		"s3://bucket":              {Scheme: "s3", Bucket: "bucket"},
		"s3://bucket/":             {Scheme: "s3", Bucket: "bucket"},
		"s3://my.bucket-1/a/b/":    {Scheme: "s3", Bucket: "my.bucket-1", Prefix: "a/b"},
		"file:///var/backups":      {Scheme: "file", Dir: "/var/backups"},
		"file:///var/my%20backups": {Scheme: "file", Dir: "/var/my backups"},
		"file:///":                 {Scheme: "file", Dir: "/"},
	} {
		if got, err := ParseURL(s); err != nil || got != want {
			t.Errorf("%s: %+v, error %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"":                    "no scheme",
		"bucket":              "no scheme",
		"/var/backups":        "no scheme",
		"s3:bucket":           "no scheme",
		"s3://":               "no bucket",
		"s3:///prefix":        "no bucket",
		"s3://Bucket":         "cannot be a bucket",
		"s3://b":              "cannot be a bucket",
		"s3://bucket:80/x":    "cannot be a bucket",
		"s3://bucket/a//b":    "empty, . or .. part",
		"s3://bucket/../b":    "empty, . or .. part",
		"s3://bucket/a?b=c":   "have no place",
		"s3://k:s@bucket/a":   "no credentials",
		"file://var/backups":  "three slashes",
		"file://":             "three slashes",
		"https://example.com": "unknown scheme",
		"s3://bucket/%zz":     "invalid URL escape",
		"s3://192.168.1.1":    "cannot be a bucket",
		"s3://bucket/a b":     "not safe",
		"file:///a/../b":      "has ..",
		"file:///a%0Ab":       "control characters",
	} {
		_, err := ParseURL(s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", s, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "k:s") {
			t.Errorf("the error shows the credentials: %v", err)
		}
	}
}

func TestWindowsLocations(t *testing.T) {
	t.Parallel()
	for s, good := range map[string]bool{"file:///C:/backups": true, "file:///var/backups": false, "file:///C:": false} {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		if l, err := fileLocation(u, "windows"); (err == nil) != good || good && l.Dir != "C:/backups" {
			t.Errorf("%s: %+v, error %v", s, l, err)
		}
	}
}

func TestWindowsNames(t *testing.T) {
	t.Parallel()
	for key, good := range map[string]bool{
		"github/acme/site/0000-full.zip": true, "a/console/x": true, "a/com10": true, "a/.b": true,
		"a/con/x": false, "a/AUX": false, "a/nul.txt": false, "com1": false, "lpt9.zip": false, "COM²": false,
		"a./b": false, "a /b": false, "a:b": false, `a\b`: false, "a?": false,
	} {
		if err := windowsProblem(key); (err == nil) != good {
			t.Errorf("%s: error %v", key, err)
		}
	}
}
