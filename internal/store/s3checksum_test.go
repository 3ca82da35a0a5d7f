package store_test

import (
	"bytes"
	"strings"
	"testing"

	"mayfly/internal/s3test"
	"mayfly/internal/store"
	"mayfly/internal/store/storetest"
)

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
