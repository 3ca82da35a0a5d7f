package cloud_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
)

// metadata is an instance metadata service. With v2 false it hands out
// credentials without a token, as version 1 did, and knows no tokens.
func metadata(t *testing.T, v2 bool) (url string, unsigned *atomic.Int32) {
	t.Helper()
	unsigned = new(atomic.Int32)
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, r *http.Request) {
		if !v2 {
			http.Error(w, "no", http.StatusNotFound)
			return
		}
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		fmt.Fprint(w, "token")
	})
	answer := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token" {
				unsigned.Add(1)
				if v2 {
					http.Error(w, "no token", http.StatusUnauthorized)
					return
				}
			}
			fmt.Fprint(w, text)
		}
	}
	const creds = "/latest/meta-data/iam/security-credentials/"
	mux.HandleFunc("GET "+creds+"{$}", answer("onlinebackup"))
	mux.HandleFunc("GET "+creds+"onlinebackup", answer(fmt.Sprintf(
		`{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":%q,"Token":"t","Expiration":%q}`,
		awstest.AccessKey, awstest.SecretKey, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))))
	mux.HandleFunc("GET /latest/dynamic/instance-identity/document", answer(`{"region":"eu-west-1"}`))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return "http://" + l.Addr().String(), unsigned
}

// onInstance is the environment of an instance: no keys, no region.
func onInstance(s *awstest.Server, meta string) map[string]string {
	env := s.Env()
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_EC2_METADATA_DISABLED"} {
		delete(env, k)
	}
	env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = meta
	return env
}

func TestRoleFromMetadata(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	meta, unsigned := metadata(t, true)
	c := load(t, onInstance(s, meta))
	if c.Region() != "eu-west-1" {
		t.Errorf("region %q", c.Region())
	}
	if err := publisher(t, c, "onlinebackup").Publish(t.Context(), "s", "b"); err != nil {
		t.Error(err)
	}
	if n := unsigned.Load(); n != 0 {
		t.Errorf("%d requests without a token", n)
	}
}

func TestNoMetadataVersion1(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	meta, unsigned := metadata(t, false)
	err := publisher(t, load(t, onInstance(s, meta)), "onlinebackup").Publish(t.Context(), "s", "b")
	if !errors.Is(err, cloud.ErrNoCredentials) || !strings.Contains(err.Error(), "give the instance a role") {
		t.Errorf("got %v", err)
	}
	if n := unsigned.Load(); n != 0 {
		t.Errorf("%d requests without a token", n)
	}
}
