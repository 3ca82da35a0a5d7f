package store_test

import (
	"errors"
	"testing"
	"time"

	"mayfly/internal/s3test"
	"mayfly/internal/store"
	"mayfly/internal/store/storetest"
)

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
