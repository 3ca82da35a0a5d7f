package gitwire_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/internal/gittest"
	"mayfly/internal/gitwire"
)

// A witness keeps the context of every request.
type witness struct {
	http.RoundTripper
	mu   sync.Mutex
	seen []context.Context
}

func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.seen = append(w.seen, r.Context())
	w.mu.Unlock()
	return w.RoundTripper.RoundTrip(r)
}

// go-git leaves the body open when a server refuses inside a 200. Every call
// must end its requests' contexts, which is what frees the connection.
func TestCallsLeaveNothingOpen(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Wiki)
	w := &witness{RoundTripper: &http.Transport{}}
	c := gitwire.New(w)
	h.Fail("acme/site", h.Moved("acme/site", "master", 1))
	a, err := c.Advertise(t.Context(), h.repo())
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Fetch(t.Context(), a, ids(a), nil, io.Discard)
	wantKind(t, err, gitwire.Moved)
	h.Fail("acme/site", gittest.Fault{Corrupt: true})
	if a, err = c.Advertise(t.Context(), h.repo()); err != nil {
		t.Fatal(err)
	}
	_, err = c.Fetch(t.Context(), a, ids(a), nil, io.Discard)
	wantKind(t, err, gitwire.Corrupt)
	if len(w.seen) != 4 {
		t.Fatalf("%d requests, not 4", len(w.seen))
	}
	for i, ctx := range w.seen {
		if ctx.Err() == nil {
			t.Errorf("request %d is still open", i)
		}
	}
}

func TestConnectionIsReused(t *testing.T) {
	t.Parallel()
	s := gittest.New(t.TempDir())
	if err := gittest.Big(s.Dir("acme/site"), 300_000, 1); err != nil {
		t.Fatal(err)
	}
	var opened atomic.Int32
	web := httptest.NewUnstartedServer(s)
	web.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	web.Start()
	t.Cleanup(web.Close)
	c := client(t)
	for range 5 {
		a, err := c.Advertise(t.Context(), web.URL+"/acme/site.git")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Fetch(t.Context(), a, ids(a), nil, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for ten requests, not 1", n)
	}
}

// An expired call does not wait for a server that never ends its answer.
func TestDeadline(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	h.Fail("acme/site", gittest.Fault{Stall: &gittest.Stall{After: -1}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := client(t).Advertise(ctx, h.repo())
	wantErr(t, err, context.DeadlineExceeded)
}

func TestBadRedirects(t *testing.T) {
	t.Parallel()
	var target string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target, http.StatusMovedPermanently)
	}))
	t.Cleanup(web.Close)
	for to, text := range map[string]string{
		"/acme/site.git/info/refs":               "too many redirects",
		"ftp://example.com/acme/site/info/refs":  "unsupported scheme",
		"https://user:hunter2@127.0.0.1:1/x/y/z": "refused",
	} {
		target = to
		_, err := client(t).Advertise(t.Context(), web.URL+"/acme/site.git")
		e := wantKind(t, err, gitwire.Server)
		if !strings.Contains(e.Error(), text) || strings.Contains(e.Error(), "hunter2") {
			t.Errorf("redirect to %s: error is %q", to, e)
		}
	}
}

// A server at another host gets no credentials that were not meant for it:
// its requests pass the RoundTripper with its own name in the URL.
func TestRedirectToAnotherHost(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, h.url+r.URL.RequestURI(), http.StatusMovedPermanently)
	}))
	t.Cleanup(front.Close)
	var hosts []string
	c := gitwire.New(roundTrip(func(r *http.Request) (*http.Response, error) {
		hosts = append(hosts, "http://"+r.URL.Host)
		return http.DefaultTransport.RoundTrip(r)
	}))
	a, err := c.Advertise(t.Context(), front.URL+"/acme/site.git")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Fetch(t.Context(), a, ids(a), nil, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(hosts, " "), strings.Join([]string{front.URL, h.url, h.url}, " "); got != want {
		t.Errorf("requests went to %s, not %s", got, want)
	}
}
