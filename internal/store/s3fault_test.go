package store_test

import (
	"bytes"
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
