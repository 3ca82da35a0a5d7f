package store_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/internal/s3test"
	"mayfly/internal/store"
	"mayfly/internal/store/storetest"
)

// Downloads: what is cut, changed or stalled on the way is an error, and never
// only a shorter body.
func TestReadFaults(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10_000, 2*smallPart + 1} {
		for _, c := range []struct {
			name  string
			fault s3test.Fault
			off   int64
			want  error
		}{
			{"cut", s3test.Fault{CutBody: 5000}, 0, io.ErrUnexpectedEOF},
			{"cut at once", s3test.Fault{CutBody: -1}, 0, io.ErrUnexpectedEOF},
			{"cut range at once", s3test.Fault{CutBody: -1}, 9, io.ErrUnexpectedEOF},
			{"flipped", s3test.Fault{Flip: true}, 0, nil},
			{"stalled", s3test.Fault{StallBody: 5 * time.Second}, 0, nil},
		} {
			srv := newServer(t)
			st, _ := newS3(t, srv, store.S3Options{Timeout: 200 * time.Millisecond})
			if _, err := storetest.Write(t.Context(), st, "k", storetest.Bytes(size)); err != nil {
				t.Fatal(err)
			}
			srv.Fault = on("GetObject", always, c.fault)
			r, _, err := st.Open(t.Context(), "k", c.off, -1)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				r.Close()
			}
			if err == nil || c.want != nil && !errors.Is(err, c.want) && !strings.Contains(err.Error(), "reset") {
				t.Errorf("%s, %d bytes: error %v", c.name, size, err)
			}
		}
	}
}

// A range goes on where it was cut, but never in another version of the object.
func TestReadResumes(t *testing.T) {
	t.Parallel()
	content := storetest.Bytes(100_000)
	for name, fault := range map[string]s3test.Fault{"cut": {CutBody: 30_000}, "stalled": {StallBody: 5 * time.Second}} {
		srv := newServer(t)
		st, _ := newS3(t, srv, store.S3Options{Timeout: 200 * time.Millisecond})
		srv.SetObject("bucket", "k", content)
		srv.Fault = on("GetObject", 2, fault)
		r, _, err := st.Open(t.Context(), "k", 10, 90_000)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, content[10:90_010]) || srv.Count("GetObject") != 3 {
			t.Errorf("%s: %d bytes after %d requests, error %v", name, len(got), srv.Count("GetObject"), err)
		}
		srv.Fault = func(r *s3test.Request) s3test.Fault {
			if r.Op == "GetObject" && r.Header.Get("If-Match") == "" {
				return fault
			}
			return s3test.Fault{}
		}
		if r, _, err = st.Open(t.Context(), "k", 10, -1); err != nil {
			t.Fatal(err)
		}
		srv.SetObject("bucket", "k", storetest.Bytes(100_001))
		if _, err = io.ReadAll(r); !errors.Is(err, store.ErrChanged) {
			t.Errorf("%s, and changed meanwhile: error %v", name, err)
		}
		r.Close()
	}
}

// Before the first byte a read is tried again.
func TestReadRetries(t *testing.T) {
	t.Parallel()
	for name, fault := range faults {
		srv := newServer(t)
		st, _ := newS3(t, srv, store.S3Options{Timeout: 100 * time.Millisecond})
		srv.SetObject("bucket", "k", []byte("hello"))
		srv.Fault = on("GetObject", 1, fault)
		if b, _, err := storetest.Read(t.Context(), st, "k"); err != nil || string(b) != "hello" {
			t.Errorf("%s: read %q, error %v", name, b, err)
		}
	}
}

// A listing that breaks off on a later page ends with an error.
func TestListIncomplete(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.PageSize = 2
	st, _ := newS3(t, srv, store.S3Options{})
	for _, k := range []string{"a", "b", "c", "d", "e"} {
		srv.SetObject("bucket", k, nil)
	}
	srv.Fault = func(r *s3test.Request) s3test.Fault {
		if r.Op == "ListObjectsV2" && r.N > 1 {
			return s3test.Fault{Status: 500}
		}
		return s3test.Fault{}
	}
	n := 0
	var last error
	for _, err := range st.List(t.Context(), "") {
		if last = err; err == nil {
			n++
		}
	}
	if n != 2 || last == nil {
		t.Errorf("%d objects, error %v", n, last)
	}
}

func TestDeleteFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault s3test.Fault
		n     int
		fails bool
	}{
		"lost reply":  {s3test.Fault{ResetAfter: true}, 1, false},
		"500 once":    {s3test.Fault{Status: 500}, 1, false},
		"500 always":  {s3test.Fault{Status: 500}, always, true},
		"unsupported": {s3test.Fault{Status: 501, Code: "NotImplemented"}, 1, false},
	} {
		srv := newServer(t)
		st, _ := newS3(t, srv, store.S3Options{})
		v, err := st.Put(t.Context(), "k", []byte("x"), "")
		if err != nil {
			t.Fatal(err)
		}
		srv.Fault = on("DeleteObject", c.n, c.fault)
		if err := st.Delete(t.Context(), "k", v); (err != nil) != c.fails {
			t.Errorf("%s: error %v", name, err)
		}
		if _, there := srv.Object("bucket", "k"); there != c.fails {
			t.Errorf("%s: object there: %v", name, there)
		}
	}
}

func TestS3Errors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault s3test.Fault
		want  []string
	}{
		{"absent bucket", s3test.Fault{Status: 404, Code: "NoSuchBucket", Message: "The specified bucket does not exist"},
			[]string{"list s3://bucket", "bucket bucket does not exist", "create it or correct its name"}},
		{"region by redirect", s3test.Fault{Status: 301, Code: "PermanentRedirect", Header: http.Header{"X-Amz-Bucket-Region": {"eu-west-1"}}},
			[]string{"is in region eu-west-1", "set region: eu-west-1"}},
		{"region by signature", s3test.Fault{Status: 400, Code: "AuthorizationHeaderMalformed", Message: "the region 'us-east-1' is wrong; expecting 'eu-west-1'"},
			[]string{"wrong region", "expecting 'eu-west-1'"}},
		{"denied", s3test.Fault{Status: 403, Code: "AccessDenied", Message: "Access Denied"},
			[]string{"access denied", "grant s3:ListBucket", "arn:aws:s3:::bucket"}},
		{"expired", s3test.Fault{Status: 400, Code: "ExpiredToken", Message: "The provided token has expired."},
			[]string{"credentials have expired"}},
		{"unknown key", s3test.Fault{Status: 403, Code: "InvalidAccessKeyId"}, []string{"does not accept the credentials"}},
		{"clock", s3test.Fault{Status: 403, Code: "RequestTimeTooSkewed"}, []string{"clock is wrong"}},
		{"busy", s3test.Fault{Status: 503, Code: "SlowDown", Message: "Reduce your request rate."}, []string{"SlowDown: Reduce your request rate."}},
	} {
		srv := newServer(t)
		srv.Fault = on("ListObjectsV2", always, c.fault)
		st, _ := newS3(t, srv, store.S3Options{})
		var got error
		for _, got = range st.List(t.Context(), "") {
		}
		for _, want := range c.want {
			if got == nil || !strings.Contains(got.Error(), want) {
				t.Errorf("%s: %v\nwants %q", c.name, got, want)
			}
		}
	}
}

// Without credentials, and without a server, the error says so.
func TestS3Unreachable(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.Close()
	st, _ := newS3(t, srv, store.S3Options{})
	if _, err := st.Put(t.Context(), "k", nil, ""); err == nil || !strings.Contains(err.Error(), "connection refused: check the network") {
		t.Errorf("error %v", err)
	}
	anonymous, err := store.NewS3(store.S3Options{
		Client: s3test.Client(srv.URL(), "", ""), Bucket: "bucket", Pool: store.NewPool(1, smallPart),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := anonymous.Put(t.Context(), "k", nil, ""); err == nil || !strings.Contains(err.Error(), "no usable AWS credentials") {
		t.Errorf("error %v", err)
	}
}

// A small object whose bytes do not fit its checksum, or that breaks off, is read
// again: a server may just be replacing it.
func TestReadSmallAgain(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]s3test.Fault{"flipped": {Flip: true}, "cut": {CutBody: 300}} {
		srv := newServer(t)
		st, _ := newS3(t, srv, store.S3Options{})
		content := storetest.Bytes(1000)
		if _, err := storetest.Write(t.Context(), st, "k", content); err != nil {
			t.Fatal(err)
		}
		srv.Fault = on("GetObject", 2, fault)
		r, _, err := st.Open(t.Context(), "k", 0, -1)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}
