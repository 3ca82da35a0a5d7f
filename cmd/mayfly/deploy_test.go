package main

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

// A question at a terminal ends with Ctrl-C, whatever the read does.
func TestUntilInterrupt(t *testing.T) {
	t.Parallel()
	if got, err := untilInterrupt(t.Context(), func() (string, error) { return "y", nil }); got != "y" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("interrupt")
	time.AfterFunc(20*time.Millisecond, func() { cancel(stop) })
	_, err = untilInterrupt(ctx, func() (byte, error) {
		b := make([]byte, 1)
		_, err := r.Read(b) // nobody ever writes
		return b[0], err
	})
	if !errors.Is(err, stop) {
		t.Errorf("the error is %v", err)
	}
}
