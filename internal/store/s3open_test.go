package store

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// A body of another length than announced is an error, whatever the transport
// made of it.
func TestBodyLength(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"hello": "", "hell": "cut off 1 bytes before its end", "hello!": "longer than announced"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		b := &body{
			s: &S3{bucket: "bucket"}, key: "k", rc: io.NopCloser(strings.NewReader(text)), ctx: ctx, cancel: cancel,
			left: 5, stalled: &stalledError{time.Minute}, timer: time.NewTimer(time.Minute),
		}
		_, err := io.ReadAll(b)
		b.Close()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error %v", text, err)
		}
		if len(text) < 5 && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: error %v is not io.ErrUnexpectedEOF", text, err)
		}
	}
}

func TestRangeTotal(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{
		"bytes 5-9/10": 10, "bytes 5-9/1000": 1000, "bytes 0-4/10": 0, "bytes 5-8/10": 0, "bytes 5-9/*": 0, "": 0,
	} {
		if got, err := rangeTotal(s, 5, 5); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, error %v", s, got, err)
		}
	}
}
