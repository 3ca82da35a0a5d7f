package stack

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"testing"
)

// What the template carries is the user data, and the same bytes each time.
func TestPacked(t *testing.T) {
	t.Parallel()
	want := bytes.Repeat([]byte("#!/bin/sh\necho hello\n"), 500)
	text := packed(want)
	if text != packed(want) {
		t.Error("it is not the same twice")
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if len(b) > len(want)/10 || !z.ModTime.IsZero() || z.Name != "" {
		t.Errorf("%d bytes of %d, time %s, name %q", len(b), len(want), z.ModTime, z.Name)
	}
}
