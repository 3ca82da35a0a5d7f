package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"mayfly/internal/s3test"
	"mayfly/internal/store"
	"mayfly/internal/store/storetest"
)

// Cancelling while parts are on their way leaves nothing, although the context
// of every request has ended.
func TestCancelMidUpload(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			ctx, cancel := context.WithCancel(t.Context())
			srv.Fault = func(r *s3test.Request) s3test.Fault {
				if r.Op == op && r.N <= 2 {
					cancel()
					return s3test.Fault{Delay: 200 * time.Millisecond, ResetBefore: true}
				}
				return s3test.Fault{}
			}
			st, _ := newS3(t, srv, store.S3Options{})
			size := 5*smallPart + 10
			if op == "PutObject" {
				size = 10
			}
			_, err := storetest.Write(ctx, st, "k", storetest.Bytes(size))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want cancelled", err)
			}
			clean(t, srv)
		})
	}
}

// A writer that waits for a buffer stops waiting when its context ends.
func TestCancelWaitingForBuffer(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	st, pool := newS3(t, srv, store.S3Options{})
	for i := range 6 {
		w, err := st.Create(t.Context(), "holder/"+string(rune('a'+i)))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		w.Write([]byte("x"))
	}
	if used, _ := pool.InUse(); used != 6 {
		t.Fatalf("%d buffers in use", used)
	}
	why := errors.New("the instance is about to be taken")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
	_, err := storetest.Write(ctx, st, "waiter", []byte("x"))
	if !errors.Is(err, why) {
		t.Fatalf("error %v, want the cause", err)
	}
}

// A server may store a part after the abort of its upload, when the part had
// arrived already: so the abort is said again, where a part was cut off.
func TestAbortIsRepeatedAfterCutParts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault s3test.Fault
		least int
		most  int
	}{
		{"cut off", s3test.Fault{Delay: 10 * time.Second}, 2, 5},
		{"refused", s3test.Fault{Status: 403, Code: "AccessDenied"}, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			ctx, cancel := context.WithCancel(t.Context())
			srv.Fault = func(r *s3test.Request) s3test.Fault {
				if r.Op != "UploadPart" {
					return s3test.Fault{}
				}
				if c.fault.Delay > 0 {
					time.AfterFunc(20*time.Millisecond, cancel)
				}
				return c.fault
			}
			st, _ := newS3(t, srv, store.S3Options{})
			w, err := st.Create(ctx, "k")
			if err != nil {
				t.Fatal(err)
			}
			w.Write(storetest.Bytes(smallPart)) // one part
			if _, err := w.Commit(); err == nil {
				t.Fatal("the write succeeded")
			}
			w.Close()
			if n := srv.Count("AbortMultipartUpload"); n < c.least || n > c.most {
				t.Errorf("aborted %d times, want %d to %d", n, c.least, c.most)
			}
			clean(t, srv)
		})
	}
}
