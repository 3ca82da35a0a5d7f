package gitwire_test

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/gitwire"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// onePack returns an answer that is too large to be read and written at once:
// a pack of one blob of 300,000 bytes, stored.
func onePack() string {
	var data bytes.Buffer
	z, _ := zlib.NewWriterLevel(&data, zlib.NoCompression) // a valid level
	_, _ = z.Write(make([]byte, 300_000))
	_ = z.Close()
	pack := "PACK\x00\x00\x00\x02\x00\x00\x00\x01" + "\xb0\xbe\x92\x01" + data.String() // a blob; its size, 4 and 7 bits at a time
	sum := sha1.Sum([]byte(pack))
	answer := "0008NAK\n"
	for part := range slices.Chunk([]byte(pack+string(sum[:])), 65_000) {
		answer += packet("\x01" + string(part))
	}
	return answer + "0000"
}

// canned answers both requests without a network, so that time can be fake.
// Each read takes pause; the body stops at the byte silent, if that is not 0.
func canned(wait, pause time.Duration, silent int) roundTrip {
	pack := onePack()
	return func(r *http.Request) (*http.Response, error) {
		time.Sleep(wait)
		kind, text := "application/x-git-upload-pack-advertisement", service+packet(oneID+" refs/heads/a\x00side-band-64k\n")+"0000"
		if r.Method == http.MethodPost {
			kind, text = "application/x-git-upload-pack-result", pack
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
	if err := d.r.Context().Err(); err != nil {
		return 0, err
	}
	if d.silent > 0 {
		p = p[:1]
	}
	return d.left.Read(p)
}

func (d *drip) Close() error { return nil }

// Time counts while the server owes a byte, and at no other: a slow server,
// a slow writer and a RoundTripper that waits for a rate limit are no stall.
func TestSlowIsNoStall(t *testing.T) {
	t.Parallel()
	fast := writer(func(p []byte) (int, error) { return len(p), nil })
	slow := writer(func(p []byte) (int, error) { time.Sleep(time.Hour); return len(p), nil })
	quick := canned(0, 0, 0)
	retried := roundTrip(func(r *http.Request) (*http.Response, error) {
		trace := httptrace.ContextClientTrace(r.Context())
		trace.WroteRequest(httptrace.WroteRequestInfo{})
		trace.GotFirstResponseByte() // of a 429 that says when to come back
		time.Sleep(time.Hour)
		return quick(r)
	})
	early := roundTrip(func(r *http.Request) (*http.Response, error) {
		time.AfterFunc(time.Minute, func() { // the answer is there before the request is through
			httptrace.ContextClientTrace(r.Context()).WroteRequest(httptrace.WroteRequestInfo{})
		})
		return quick(r)
	})
	for name, test := range map[string]struct {
		rt roundTrip
		w  io.Writer
	}{
		"retry":        {retried, fast},
		"early answer": {early, slow},
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
