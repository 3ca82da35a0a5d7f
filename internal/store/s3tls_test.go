package store_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"mayfly/internal/s3test"
	"mayfly/internal/store"
	"mayfly/internal/store/storetest"
)

// Over https the payload is not hashed for the signature, since a checksum
// covers it; over http, and with a server that takes no checksums, it is.
func TestPayloadSigning(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name               string
		https, checksums   bool
		unsigned, checksum bool
	}{
		{"https", true, true, true, true},
		{"http", false, true, false, true},
		{"https without checksums", true, false, false, false},
		{"http without checksums", false, false, false, false},
	} {
		srv := newServer(t)
		var mu sync.Mutex
		var sent []http.Header
		srv.Fault = func(r *s3test.Request) s3test.Fault {
			for h := range r.Header {
				if strings.HasPrefix(h, "X-Amz-Checksum-") && !c.checksums {
					return s3test.Fault{Status: 501, Code: "NotImplemented"}
				}
			}
			if r.Op == "PutObject" || r.Op == "UploadPart" {
				mu.Lock()
				sent = append(sent, r.Header.Clone())
				mu.Unlock()
			}
			return s3test.Fault{}
		}
		client := s3test.Client(srv.URL(), "AKID", "SECRET")
		if c.https {
			ts := httptest.NewTLSServer(srv)
			defer ts.Close()
			client = s3.New(client.Options(), func(o *s3.Options) {
				o.BaseEndpoint, o.HTTPClient = &ts.URL, ts.Client()
			})
		}
		st, err := store.NewS3(store.S3Options{Client: client, Bucket: "bucket", Pool: store.NewPool(2, smallPart)})
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{10, smallPart + 1} {
			if _, err := storetest.Write(t.Context(), st, string(rune('a'+size%2)), storetest.Bytes(size)); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		if len(sent) != 3 {
			t.Errorf("%s: %d uploads", c.name, len(sent))
		}
		for _, h := range sent {
			sha := h.Get("X-Amz-Content-Sha256")
			if (sha == "UNSIGNED-PAYLOAD") != c.unsigned || !c.unsigned && len(sha) != 64 {
				t.Errorf("%s: payload hash %q", c.name, sha)
			}
			if (h.Get("X-Amz-Checksum-Crc32c") != "") != c.checksum || h.Get("Content-Encoding") != "" {
				t.Errorf("%s: headers %v", c.name, h)
			}
		}
	}
}
