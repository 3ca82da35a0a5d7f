package gitwire_test

import (
	"crypto/sha1"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/gitwire"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// canned answers both requests without a network, so that time can be fake.
// The body arrives one byte each pause, and stops at silent, if that is not 0.
func canned(wait, pause time.Duration, silent int) roundTrip {
	empty := "PACK\x00\x00\x00\x02\x00\x00\x00\x00"
	sum := sha1.Sum([]byte(empty))
	return func(r *http.Request) (*http.Response, error) {
		time.Sleep(wait)
		kind, text := "application/x-git-upload-pack-advertisement", service+packet(oneID+" refs/heads/a\x00side-band-64k\n")+"0000"
		if r.Method == http.MethodPost {
			kind, text = "application/x-git-upload-pack-result", "0008NAK\n"+packet("\x01"+empty+string(sum[:]))+"0000"
		}
		body := &drip{r: r, left: strings.NewReader(text), pause: pause, silent: silent}
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {kind}}, Body: body, Request: r}, nil
	}
}

type drip struct {
	r      *http.Request
	left   *strings.Reader
	pause  time.Duration
	silent int
}

func (d *drip) Read(p []byte) (int, error) {
	if d.silent > 0 && int(d.left.Size())-d.left.Len() == d.silent {
		<-d.r.Context().Done()
		return 0, d.r.Context().Err()
	}
	time.Sleep(d.pause)
	return d.left.Read(p[:1])
}

func (d *drip) Close() error { return nil }

// Time counts while the server owes a byte, and at no other: a slow server,
// a slow writer and a RoundTripper that waits for a rate limit are no stall.
func TestSlowIsNoStall(t *testing.T) {
	t.Parallel()
	fast := writer(func(p []byte) (int, error) { return len(p), nil })
	slow := writer(func(p []byte) (int, error) { time.Sleep(time.Hour); return len(p), nil })
	for name, test := range map[string]struct {
		rt roundTrip
		w  io.Writer
	}{
		"server":       {canned(0, 59*time.Second, 0), fast},
		"writer":       {canned(0, 0, 0), slow},
		"RoundTripper": {canned(time.Hour, 0, 0), fast},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := gitwire.New(test.rt)
				a, err := c.Advertise(t.Context(), "https://example.com/acme/site.git")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Fetch(t.Context(), a, ids(a), nil, test.w); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestStallAfterAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := gitwire.New(canned(0, 0, 40)).Advertise(t.Context(), "https://example.com/acme/site.git")
		wantKind(t, err, gitwire.Cut)
		if spent := time.Since(start); spent != time.Minute {
			t.Errorf("gave up after %s, not a minute", spent)
		}
	})
}

// A server that takes a request and says nothing stalls too, from when the
// request is written: the RoundTripper may have waited before.
func TestStallBeforeTheHeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := gitwire.New(roundTrip(func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Hour)
			httptrace.ContextClientTrace(r.Context()).WroteRequest(httptrace.WroteRequestInfo{})
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		_, err := c.Advertise(t.Context(), "https://example.com/acme/site.git")
		wantKind(t, err, gitwire.Cut)
		if spent := time.Since(start); spent != time.Hour+time.Minute {
			t.Errorf("gave up after %s, not a minute after the request", spent)
		}
	})
}
