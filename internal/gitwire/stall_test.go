package gitwire_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

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

// crawl is canned, with a pack that comes after as many keepalives, 5 s apart,
// and then piece by piece, with as many keepalives between two.
func crawl(first, between, piece int) roundTrip {
	quick := canned(0, 0, 0)
	_, pack, _ := strings.Cut(onePack(), "NAK\n")
	return func(r *http.Request) (*http.Response, error) {
		if r.Method != http.MethodPost {
			return quick(r)
		}
		var parts []string
		add := func(n int, part string) {
			for range n {
				parts = append(parts, "0005\x01")
			}
			parts = append(parts, part)
		}
		add(0, "0008NAK\n")
		data, err := io.ReadAll(sideband.NewDemuxer(sideband.Sideband64k, strings.NewReader(pack)))
		if err != nil {
			return nil, err
		}
		n := first
		for p := range slices.Chunk(data, piece) {
			add(n, packet("\x01"+string(p)))
			n = between
		}
		parts = append(parts, "0000")
		res, err := quick(r)
		if err == nil {
			res.Body = &crawler{r: r, parts: parts}
		}
		return res, err
	}
}

type crawler struct {
	r     *http.Request
	parts []string
}

func (c *crawler) Read(p []byte) (int, error) {
	if len(c.parts) == 0 {
		return 0, io.EOF
	}
	if c.parts[0] == "0005\x01" {
		time.Sleep(5 * time.Second)
	}
	if err := c.r.Context().Err(); err != nil {
		return 0, err
	}
	n := copy(p, c.parts[0])
	if c.parts[0] = c.parts[0][n:]; c.parts[0] == "" {
		c.parts = c.parts[1:]
	}
	return n, nil
}

func (c *crawler) Close() error { return nil }

// Bytes that are not the pack's are no progress, and neither are a few of it.
func TestPace(t *testing.T) {
	t.Parallel()
	const minute = 12 // keepalives
	for _, test := range []struct {
		name string
		rt   roundTrip
		ends time.Duration // 0: it is fetched
		text string
	}{
		{"long preparation", crawl(14*minute, 0, 60_000), 0, ""},
		{"endless preparation", crawl(1000*minute, 0, 60_000), 15 * time.Minute, "nothing of the pack in 15m0s"},
		{"slow", crawl(0, 4*minute, 60_000), 0, ""},
		{"trickle", crawl(0, 1*minute, 100), 10 * time.Minute, "fewer than 65536 bytes of the pack in 10m0s"},
		{"silence in the middle", crawl(0, 1000*minute, 60_000), 10 * time.Minute, "fewer than 65536"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := gitwire.New(test.rt)
				a, err := c.Advertise(t.Context(), "https://example.com/acme/site.git")
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
				defer cancel()
				_, err = c.Fetch(ctx, a, ids(a), nil, io.Discard)
				if test.ends == 0 {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				e := wantKind(t, err, gitwire.Cut)
				if !strings.Contains(e.Error(), test.text) {
					t.Errorf("error %q", e)
				}
				if spent := time.Since(began); spent < test.ends || spent > test.ends+30*time.Second {
					t.Errorf("ended after %s, want %s", spent, test.ends)
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
