package store_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mayfly/internal/s3test"
	"mayfly/internal/store"
	"mayfly/internal/store/storetest"
)

// on makes a fault of the first n requests of an operation.
func on(op string, n int, f s3test.Fault) func(*s3test.Request) s3test.Fault {
	return func(r *s3test.Request) s3test.Fault {
		if r.Op == op && r.N <= n {
			return f
		}
		return s3test.Fault{}
	}
}

const always = 1 << 30

var faults = map[string]s3test.Fault{
	"500":          {Status: 500},
	"503 slow":     {Status: 503, Code: "SlowDown"},
	"reset before": {ResetBefore: true},
	"lost reply":   {ResetAfter: true},
	"stall":        {Delay: 3 * time.Second},
}

// One fault of any kind in any request of a write is got over.
func TestWriteGetsOverOneFault(t *testing.T) {
	t.Parallel()
	for name, fault := range faults {
		for op, size := range map[string]int{
			"PutObject": 100, "CreateMultipartUpload": 2*smallPart + 1, "UploadPart": 2*smallPart + 1,
			"CompleteMultipartUpload": 2*smallPart + 1, "HeadObject": smallPart,
		} {
			t.Run(op+" "+name, func(t *testing.T) {
				t.Parallel()
				srv := newServer(t)
				srv.Fault = on(op, 1, fault)
				st, _ := newS3(t, srv, store.S3Options{Timeout: 100 * time.Millisecond})
				if _, err := storetest.Write(t.Context(), st, "k", storetest.Bytes(size)); err != nil {
					t.Fatal(err)
				}
				if b, _ := srv.Object("bucket", "k"); !bytes.Equal(b, storetest.Bytes(size)) {
					t.Errorf("%d bytes stored, not the %d written", len(b), size)
				}
				if srv.Count(op) < 2 {
					t.Errorf("the fault did not happen: %v", srv.Requests())
				}
				if u := srv.Uploads(); len(u) != 0 {
					t.Errorf("open uploads: %v", u)
				}
			})
		}
	}
}

// A fault that lasts fails the write, which leaves nothing behind.
func TestWriteFailsCleanly(t *testing.T) {
	t.Parallel()
	refusals := map[string]s3test.Fault{
		"500": {Status: 500}, "reset": {ResetBefore: true}, "403": {Status: 403, Code: "AccessDenied", Message: "Access Denied"},
		"400": {Status: 400, Code: "BadDigest"}, "gone": {Status: 404, Code: "NoSuchUpload"},
	}
	for name, fault := range refusals {
		for op, size := range map[string]int{
			"PutObject": 100, "CreateMultipartUpload": 2*smallPart + 1, "UploadPart": 9*smallPart + 1, "CompleteMultipartUpload": 2*smallPart + 1,
		} {
			t.Run(op+" "+name, func(t *testing.T) {
				t.Parallel()
				srv := newServer(t)
				srv.Fault = on(op, always, fault)
				st, _ := newS3(t, srv, store.S3Options{})
				_, err := storetest.Write(t.Context(), st, "k", storetest.Bytes(size))
				if err == nil {
					t.Fatal("the write succeeded")
				}
				if name == "403" && (!strings.Contains(err.Error(), "access denied") || !strings.Contains(err.Error(), "s3:PutObject")) {
					t.Errorf("error %q names no action", err)
				}
				if name == "gone" && strings.Contains(op, "Upload") && !strings.HasPrefix(op, "Create") && !errors.Is(err, store.ErrAgain) {
					t.Errorf("error %v is not ErrAgain", err)
				}
				clean(t, srv)
			})
		}
	}
}

func clean(t *testing.T, srv *s3test.Server) {
	t.Helper()
	if u := srv.Uploads(); len(u) != 0 {
		t.Errorf("open uploads: %v", u)
	}
	for _, e := range srv.Dump() {
		t.Errorf("left: %s, %d bytes", e.Key, e.Size)
	}
}

// When every reply to the begin of an upload is lost, the uploads that it may
// have begun are found and aborted.
func TestLostUploadsAreAborted(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.Fault = on("CreateMultipartUpload", always, s3test.Fault{ResetAfter: true})
	st, _ := newS3(t, srv, store.S3Options{})
	if _, err := storetest.Write(t.Context(), st, "k", storetest.Bytes(smallPart)); err == nil {
		t.Fatal("the write succeeded")
	}
	if srv.Count("AbortMultipartUpload") != 4 {
		t.Errorf("not every upload was aborted: %v", srv.Requests())
	}
	clean(t, srv)
}

// Every reply to the last request of a write is lost, but the object is ours.
func TestLostRepliesAreSettled(t *testing.T) {
	t.Parallel()
	for op, size := range map[string]int{"PutObject": 10, "CompleteMultipartUpload": smallPart + 1} {
		srv := newServer(t)
		srv.Fault = on(op, always, s3test.Fault{ResetAfter: true})
		st, _ := newS3(t, srv, store.S3Options{})
		o, err := storetest.Write(t.Context(), st, "k", storetest.Bytes(size))
		if err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		stat, err := st.Stat(t.Context(), "k")
		if err != nil || stat.ETag != o.ETag || stat.Size != int64(size) {
			t.Errorf("%s: written as %+v, looks like %+v, error %v", op, o, stat, err)
		}
		if u := srv.Uploads(); len(u) != 0 {
			t.Errorf("open uploads: %v", u)
		}
	}
}

// A conditional overwrite whose reply was lost is ours as well; one that lost
// to another writer is not.
func TestPutSettles(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	st, _ := newS3(t, srv, store.S3Options{})
	v1, err := st.Put(t.Context(), "lock", []byte("1"), "")
	if err != nil {
		t.Fatal(err)
	}
	srv.Fault = on("PutObject", 2, s3test.Fault{ResetAfter: true})
	v2, err := st.Put(t.Context(), "lock", []byte("2"), v1)
	if err != nil || v2 == v1 || v2 == "" {
		t.Fatalf("version %q after %q, error %v", v2, v1, err)
	}
	srv.SetObject("bucket", "lock", []byte("another's"))
	if _, err := st.Put(t.Context(), "lock", []byte("3"), v2); !errors.Is(err, store.ErrChanged) {
		t.Fatalf("error %v, want ErrChanged", err)
	}
	if b, _ := srv.Object("bucket", "lock"); string(b) != "another's" {
		t.Errorf("overwritten with %q", b)
	}
}

// 409 on completion: the upload is void, the caller starts again.
func TestConflictOnCompletion(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.Fault = on("CompleteMultipartUpload", always, s3test.Fault{Status: 409, Code: "ConditionalRequestConflict"})
	st, _ := newS3(t, srv, store.S3Options{})
	_, err := storetest.Write(t.Context(), st, "k", storetest.Bytes(smallPart))
	if !errors.Is(err, store.ErrAgain) {
		t.Fatalf("error %v, want ErrAgain", err)
	}
	if n := srv.Count("CompleteMultipartUpload"); n != 1 {
		t.Errorf("completed %d times", n)
	}
	clean(t, srv)
}

// 409 on a single request: it can be sent again, and is.
func TestConflictOnPut(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.Fault = on("PutObject", 2, s3test.Fault{Status: 409, Code: "ConditionalRequestConflict"})
	st, _ := newS3(t, srv, store.S3Options{})
	if _, err := st.Put(t.Context(), "k", []byte("x"), ""); err != nil {
		t.Fatal(err)
	}
	srv.Fault = on("PutObject", always, s3test.Fault{Status: 409, Code: "ConditionalRequestConflict"})
	if _, err := st.Put(t.Context(), "l", []byte("x"), ""); !errors.Is(err, store.ErrAgain) {
		t.Fatalf("error %v, want ErrAgain", err)
	}
}

// An error document under status 200 is an error: once, the completion is
// tried again; for ever, the write fails.
func TestErrorInside200(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, always} {
		srv := newServer(t)
		srv.Fault = on("CompleteMultipartUpload", times, s3test.Fault{ErrorIn200: true})
		st, _ := newS3(t, srv, store.S3Options{})
		_, err := storetest.Write(t.Context(), st, "k", storetest.Bytes(smallPart+1))
		if (err == nil) != (times == 1) {
			t.Errorf("%d times: error %v", times, err)
		}
		if err != nil {
			clean(t, srv)
		}
	}
}

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

// A server that knows no checksum headers gets none, and a signed payload.
func TestServerWithoutChecksums(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.Fault = func(r *s3test.Request) s3test.Fault {
		for h := range r.Header {
			if strings.HasPrefix(h, "X-Amz-Checksum-") || h == "X-Amz-Sdk-Checksum-Algorithm" {
				return s3test.Fault{Status: 501, Code: "NotImplemented", Message: "Header " + h}
			}
		}
		if (r.Op == "PutObject" || r.Op == "UploadPart") && len(r.Header.Get("X-Amz-Content-Sha256")) != 64 {
			return s3test.Fault{Status: 400, Code: "unsigned"}
		}
		return s3test.Fault{}
	}
	st, _ := newS3(t, srv, store.S3Options{})
	for _, size := range []int{2*smallPart + 1, 10} {
		key := string(rune('a' + size%26))
		if _, err := storetest.Write(t.Context(), st, key, storetest.Bytes(size)); err != nil {
			t.Fatal(err)
		}
		if b, _ := srv.Object("bucket", key); !bytes.Equal(b, storetest.Bytes(size)) {
			t.Errorf("%d bytes stored, not %d", len(b), size)
		}
	}
}

// Another writer's object appears at the last moment: it stays, whether the
// server heeds the condition, repeats are needed, or it knows no conditions
// and the object was there a moment before.
func TestCompletionLoses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, op string
		fault    s3test.Fault
		deaf     bool
	}{
		{"condition", "CompleteMultipartUpload", s3test.Fault{}, false},
		{"condition after a reset", "CompleteMultipartUpload", s3test.Fault{ResetBefore: true}, false},
		{"no conditions", "UploadPart", s3test.Fault{}, true},
	} {
		srv := newServer(t)
		srv.Fault = func(r *s3test.Request) s3test.Fault {
			if c.deaf {
				r.Header.Del("If-None-Match")
			}
			if r.Op != c.op || r.N != 1 {
				return s3test.Fault{}
			}
			srv.SetObject("bucket", "k", []byte("another's"))
			return c.fault
		}
		st, _ := newS3(t, srv, store.S3Options{})
		if _, err := storetest.Write(t.Context(), st, "k", storetest.Bytes(smallPart+1)); !errors.Is(err, store.ErrExists) {
			t.Errorf("%s: error %v, want ErrExists", c.name, err)
		}
		if b, _ := srv.Object("bucket", "k"); string(b) != "another's" {
			t.Errorf("%s: overwritten with %d bytes", c.name, len(b))
		}
		if u := srv.Uploads(); len(u) != 0 {
			t.Errorf("%s: open uploads: %v", c.name, u)
		}
	}
}

// A server that ignores which checksum it is asked for gets an upload without.
func TestServerWithOtherChecksums(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.Fault = func(r *s3test.Request) s3test.Fault {
		if r.Op == "CreateMultipartUpload" {
			r.Header.Del("X-Amz-Checksum-Type")
		}
		return s3test.Fault{}
	}
	st, _ := newS3(t, srv, store.S3Options{})
	for _, key := range []string{"a", "b"} {
		if _, err := storetest.Write(t.Context(), st, key, storetest.Bytes(2*smallPart+1)); err != nil {
			t.Fatal(err)
		}
		if b, _, err := storetest.Read(t.Context(), st, key); err != nil || !bytes.Equal(b, storetest.Bytes(2*smallPart+1)) {
			t.Errorf("%d bytes read, error %v", len(b), err)
		}
	}
	if u := srv.Uploads(); len(u) != 0 {
		t.Errorf("open uploads: %v", u)
	}
	if n := srv.Count("CreateMultipartUpload"); n != 3 {
		t.Errorf("%d uploads begun, want 3: one to find out", n)
	}
}

// A server that copies all parts takes its time to complete an upload. A
// second try meanwhile made versitygw fail a repository of 4.5 GiB.
func TestCompletionMayTakeLong(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.Fault = on("CompleteMultipartUpload", always, s3test.Fault{Delay: 600 * time.Millisecond})
	st, _ := newS3(t, srv, store.S3Options{Timeout: 100 * time.Millisecond})
	if _, err := storetest.Write(t.Context(), st, "k", storetest.Bytes(2*smallPart+1)); err != nil {
		t.Fatal(err)
	}
	if n := srv.Count("CompleteMultipartUpload"); n != 1 {
		t.Errorf("completion was tried %d times, not once", n)
	}
}
