package gitwire_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gitwire"
)

// A cannedServer answers both requests with fixed bytes.
type cannedServer struct{ refs, pack []byte }

func (c cannedServer) RoundTrip(req *http.Request) (*http.Response, error) {
	body, kind := c.refs, "application/x-git-upload-pack-advertisement"
	if req.Method == http.MethodPost {
		body, kind = c.pack, "application/x-git-upload-pack-result"
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(bytes.NewReader(body)), Request: req, ContentLength: int64(len(body)),
	}, nil
}

// FuzzServer: whatever a git server answers, the client neither panics nor
// hangs, and takes only what git allows.
func FuzzServer(f *testing.F) {
	const refs = "001e# service=git-upload-pack\n0000" +
		"00b29d16ac29134ac67027d41d7d767f08095f7724cc HEAD\x00multi_ack side-band-64k ofs-delta shallow no-progress symref=HEAD:refs/heads/main object-format=sha1 agent=git/2.39.5 thin-pack no-done\n" +
		"003d9d16ac29134ac67027d41d7d767f08095f7724cc refs/heads/main\n0000"
	const pack = "0008NAK\n0025\x01PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82;\xd8\xa8\xea\xb5\x10\xadj\xc7\\\x82<\xfd>\xd3\x1e0000"
	f.Add([]byte(refs), []byte(pack))
	f.Add([]byte(refs), []byte("0031ACK 9d16ac29134ac67027d41d7d767f08095f7724cc\n0009\x03no!0000"))
	f.Add([]byte(refs[:60]), []byte(""))
	f.Add([]byte("001e# service=git-upload-pack\n0000000dERR nope\n0000"), []byte("0000"))
	f.Add([]byte(strings.ReplaceAll(refs, "refs/heads/main", "refs/heads/..in")), []byte("fff0"))
	f.Add([]byte("001e# service=git-upload-pack\n00000000"), []byte("0002"))
	f.Fuzz(func(t *testing.T, refs, pack []byte) {
		c := gitwire.New(cannedServer{refs, pack})
		c.Stall = 5 * time.Second
		began := time.Now()
		a, err := c.Advertise(t.Context(), "http://git.example.com/a/b.git")
		if err != nil {
			wantGitError(t, err)
			return
		}
		last := plumbing.ReferenceName("")
		var wants []plumbing.Hash
		for _, r := range a.Refs {
			if r.Name() <= last || !strings.HasPrefix(r.Name().String(), "refs/") || strings.ContainsAny(r.Name().String(), " \n\x00~^:?*[\\") || r.Hash().IsZero() {
				t.Fatalf("ref %q %s after %q", r.Name(), r.Hash(), last)
			}
			last = r.Name()
			wants = append(wants, r.Hash())
		}
		for _, haves := range [][]plumbing.Hash{nil, {plumbing.NewHash("1234567890123456789012345678901234567890")}} {
			var out bytes.Buffer
			p, err := c.Fetch(t.Context(), a, wants, haves, &out)
			switch {
			case err == nil && p.Bytes != int64(out.Len()):
				t.Fatalf("%d bytes are reported and %d were written", p.Bytes, out.Len())
			case err != nil && !errors.Is(err, gitwire.ErrNothingToFetch) && !errors.Is(err, gitwire.ErrUnknownHaves):
				wantGitError(t, err)
			}
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Fatalf("it took %s", took)
		}
	})
}

func wantGitError(t *testing.T, err error) {
	t.Helper()
	var e *gitwire.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *gitwire.Error", err)
	}
}
