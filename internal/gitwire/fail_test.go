package gitwire_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gittest"
	"mayfly/internal/gitwire"
)

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, not %v", err, want)
	}
}

func wantKind(t *testing.T, err error, want gitwire.Kind) *gitwire.Error {
	t.Helper()
	var e *gitwire.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T %v, not a *gitwire.Error", err, err)
	}
	if e.Kind != want {
		t.Fatalf("kind is %q, not %q: %v", e.Kind, want, err)
	}
	return e
}

// both makes the fault strike each request of a fetch in turn and returns
// the errors.
func both(t *testing.T, f gittest.Fault) map[gittest.Step]error {
	t.Helper()
	errs := map[gittest.Step]error{}
	h := serve(t, gittest.Normal)
	a := advertise(t, h)
	h.Fail("acme/site", f)
	_, errs[gittest.Advertise] = client(t).Advertise(t.Context(), h.repo())
	_, errs[gittest.Pack] = client(t).Fetch(t.Context(), a, ids(a), nil, io.Discard)
	h.Heal("acme/site")
	if _, err := client(t).Fetch(t.Context(), a, ids(a), nil, io.Discard); err != nil {
		t.Errorf("after the fault: %v", err)
	}
	return errs
}

func TestWhatGitHubRefuses(t *testing.T) {
	t.Parallel()
	const notice = "https://github.com/github/dmca/blob/master/2020/10/2020-10-23-RIAA.md"
	tests := []struct {
		name    string
		fault   gittest.Fault
		kind    gitwire.Kind
		status  int
		message string
		wait    time.Duration
	}{
		{"no credentials", gittest.Refused(401), gitwire.Unauthorized, 401, "Invalid username or token", 0},
		{"missing", gittest.Refused(404), gitwire.NotFound, 404, "Repository not found.", 0},
		{"no contents permission", gittest.Refused(403), gitwire.Forbidden, 403, "Write access to repository not granted.", 0},
		{"takedown", gittest.Blocked(notice), gitwire.Blocked, 403, notice, 0},
		{"terms of service", gittest.Fault{Status: 403, Body: "Access to this repository has been disabled by GitHub staff due to a violation of GitHub's terms of service."}, gitwire.Blocked, 403, "disabled", 0},
		{"single sign-on", gittest.Fault{Status: 403, Body: "The 'acme' organization has enabled or enforced SAML SSO. Basic authentication is disabled."}, gitwire.Forbidden, 403, "SAML SSO", 0},
		{"legal reasons", gittest.Fault{Status: 451, Body: "no"}, gitwire.Blocked, 451, "no", 0},
		{"rate limit", gittest.RateLimited(90 * time.Second), gitwire.RateLimited, 429, "Too many requests.", 90 * time.Second},
		{"rate limit as 403", gittest.Fault{Status: 403, Body: "You have exceeded a secondary rate limit."}, gitwire.RateLimited, 403, "secondary", 0},
		{"maintenance", gittest.Fault{Status: 503, Body: "back soon", Header: [2]string{"Retry-After", "7"}}, gitwire.Server, 503, "back soon", 7 * time.Second},
		{"internal", gittest.Fault{Status: 500, Body: "boom\x1b[31m\n\tand more"}, gitwire.Server, 500, "boom [31m and more", 0},
		{"long text", gittest.Fault{Status: 502, Body: strings.Repeat("é", 1<<20)}, gitwire.Server, 502, "éééé", 0},
		{"portal", gittest.Portal(), gitwire.Server, 200, "", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for step, err := range both(t, test.fault) {
				e := wantKind(t, err, test.kind)
				if e.Status != test.status || e.RetryAfter != test.wait || !strings.Contains(e.Message, test.message) {
					t.Errorf("%s: got %+v", step, e)
				}
				if len(e.Message) > 1024 || len(err.Error()) > 1500 || strings.ContainsAny(err.Error(), "\n\x1b") {
					t.Errorf("%s: text is not fit for a log: %q", step, err)
				}
				if !strings.Contains(err.Error(), "/acme/site.git: ") {
					t.Errorf("%s: %q does not name the repository", step, err)
				}
			}
		})
	}
}

func TestPortalIsNamed(t *testing.T) {
	t.Parallel()
	for _, err := range both(t, gittest.Portal()) {
		if !strings.Contains(err.Error(), "sign-in page") || !strings.Contains(err.Error(), "text/html") {
			t.Errorf("error %q does not say what is in the way", err)
		}
	}
}

func TestRetryAfterAsDate(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	h.Fail("acme/site", gittest.Fault{Status: 429, Header: [2]string{"Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}})
	_, err := client(t).Advertise(t.Context(), h.repo())
	if e := wantKind(t, err, gitwire.RateLimited); e.RetryAfter < 58*time.Minute || e.RetryAfter > time.Hour {
		t.Errorf("wait is %s, not an hour", e.RetryAfter)
	}
}

func TestPrivateRepository(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	h.Access = gittest.Token("hunter2")
	_, err := client(t).Advertise(t.Context(), h.repo())
	wantKind(t, err, gitwire.Unauthorized)
	c := gitwire.New(basic{http.DefaultTransport, "hunter2"})
	a, err := c.Advertise(t.Context(), h.repo())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Fetch(t.Context(), a, ids(a), nil, io.Discard); err != nil {
		t.Fatal(err)
	}
}

// basic adds a token as GitHub wants it.
type basic struct {
	http.RoundTripper
	token string
}

func (b basic) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth("x-access-token", b.token)
	return b.RoundTripper.RoundTrip(r)
}

// A URL with a password in it is refused, and not repeated in the error.
func TestURLWithPassword(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"https://x:hunter2@example.com/a/b.git", "ssh://example.com/a/b", "/a/hunter2", "https://x:hunter2@%zz/", "https:///a"} {
		_, err := client(t).Advertise(t.Context(), bad)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error is %v", bad, err)
		}
	}
}

func TestCutAnywhereIsFound(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	a := advertise(t, h)
	for after := int64(0); after < 1<<20; after = after*5/4 + 1 {
		for _, cut := range []gittest.Cut{{After: after}, {After: after, Clean: true}, {After: after, Packet: true, Clean: true}} {
			h.Fail("acme/site", gittest.Fault{Cut: &cut})
			_, err := client(t).Fetch(t.Context(), a, ids(a), nil, io.Discard)
			_, aerr := client(t).Advertise(t.Context(), h.repo())
			h.Heal("acme/site")
			if err == nil && after > 2000 { // beyond the end
				return
			}
			wantKind(t, err, gitwire.Cut)
			if after < 500 {
				wantKind(t, aerr, gitwire.Cut)
			}
		}
	}
	t.Error("no cut was beyond the end")
}

func TestStall(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]int64{"before the header": -1, "at once": 0, "in the body": 600} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := serve(t, gittest.Normal)
			a := advertise(t, h)
			h.Fail("acme/site", gittest.Fault{Stall: &gittest.Stall{After: after}})
			c := client(t)
			c.Stall = 100 * time.Millisecond
			_, err := c.Fetch(t.Context(), a, ids(a), nil, io.Discard)
			wantKind(t, err, gitwire.Cut)
			if !strings.Contains(err.Error(), "stalled: nothing for 100ms") {
				t.Errorf("error is %q", err)
			}
			if after < 500 {
				_, err = c.Advertise(t.Context(), h.repo())
				wantKind(t, err, gitwire.Cut)
			}
		})
	}
}

type writer func([]byte) (int, error)

func (f writer) Write(p []byte) (int, error) { return f(p) }

func TestCorruptObjectIsFound(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	a := advertise(t, h)
	h.Fail("acme/site", gittest.Fault{Step: gittest.Pack, Corrupt: true})
	_, err := client(t).Fetch(t.Context(), a, ids(a), nil, io.Discard)
	e := wantKind(t, err, gitwire.Corrupt)
	if !strings.Contains(e.Error(), "object 1 of ") || !strings.Contains(e.Error(), "zlib") {
		t.Errorf("error is %q", e)
	}
}

func TestReferenceMovedMeanwhile(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Wiki)
	h.Fail("acme/site", h.Moved("acme/site", "master", 1))
	a := advertise(t, h)
	_, err := client(t).Fetch(t.Context(), a, ids(a), nil, io.Discard)
	e := wantKind(t, err, gitwire.Moved)
	if !strings.Contains(e.Message, "not our ref") {
		t.Errorf("message is %q", e.Message)
	}
	again := advertise(t, h)
	if again.Refs[0].Hash() == a.Refs[0].Hash() {
		t.Fatal("the reference did not move")
	}
	if _, err := client(t).Fetch(t.Context(), again, ids(again), nil, io.Discard); err != nil {
		t.Error(err)
	}
}

// A repository renamed between the two requests redirects the second.
func TestRenamedMeanwhile(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	a := advertise(t, h)
	h.Rename("acme/site", "acme/moved")
	_, err := client(t).Fetch(t.Context(), a, ids(a), nil, io.Discard)
	wantKind(t, err, gitwire.Moved)
}

func TestUnsupported(t *testing.T) {
	t.Parallel()
	for kind, text := range map[gittest.Kind]string{gittest.SHA256: "SHA-256", gittest.Shallow: "shallow"} {
		_, err := client(t).Advertise(t.Context(), serve(t, kind).repo())
		if e := wantKind(t, err, gitwire.Unsupported); !strings.Contains(e.Error(), text) {
			t.Errorf("%s: error is %q", kind, e)
		}
	}
}

func TestServerGone(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.NotFoundHandler())
	web.Close()
	_, err := client(t).Advertise(t.Context(), web.URL+"/acme/site.git")
	if e := wantKind(t, err, gitwire.Server); e.Status != 0 {
		t.Errorf("got %+v", e)
	}
	var beneath *net.OpError
	if !errors.As(err, &beneath) {
		t.Errorf("%v does not wrap the cause", err)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	a := advertise(t, h)
	h.Fail("acme/site", gittest.Fault{Stall: &gittest.Stall{After: 600}})
	cause := errors.New("the instance is about to be taken")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	_, err := client(t).Fetch(ctx, a, ids(a), nil, io.Discard)
	wantErr(t, err, context.Canceled)
	wantErr(t, err, cause)
	var e *gitwire.Error
	if errors.As(err, &e) {
		t.Errorf("cancellation is reported as the server's fault: %v", e)
	}
}

func TestWriterFails(t *testing.T) {
	t.Parallel()
	h := serve(t, gittest.Normal)
	a := advertise(t, h)
	full := errors.New("disk full")
	_, err := client(t).Fetch(t.Context(), a, ids(a), nil, writer(func([]byte) (int, error) { return 0, full }))
	wantErr(t, err, full)
	var e *gitwire.Error
	if errors.As(err, &e) {
		t.Errorf("our writer's failure is reported as the server's fault: %v", e)
	}
}

// answers serves fixed bodies in place of git.
func answers(t *testing.T, refs, pack string) string {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, body := "application/x-git-upload-pack-advertisement", refs
		if r.Method == http.MethodPost {
			kind, body = "application/x-git-upload-pack-result", pack
		}
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(web.Close)
	return web.URL + "/acme/site.git"
}

const (
	service = "001e# service=git-upload-pack\n0000"
	oneID   = "1111111111111111111111111111111111111111"
)

func packet(payload string) string {
	return string([]byte{hex(len(payload)+4, 12), hex(len(payload)+4, 8), hex(len(payload)+4, 4), hex(len(payload)+4, 0)}) + payload
}

func hex(n, shift int) byte { return "0123456789abcdef"[n>>shift&15] }

func TestOddAdvertisements(t *testing.T) {
	t.Parallel()
	first := func(name string) string { return packet(oneID + " " + name + "\x00side-band-64k ofs-delta\n") }
	tests := map[string]struct {
		body string
		kind gitwire.Kind
		text string
	}{
		"error packet":       {service + packet("ERR Repository not found.\n"), gitwire.NotFound, "Repository not found."},
		"other error packet": {packet("ERR access denied"), gitwire.Server, "access denied"},
		"newline in a name":  {service + first("refs/heads/a\n"+oneID+" refs/heads/b") + "0000", gitwire.Unsupported, "does not allow"},
		"name outside refs":  {service + first("config") + "0000", gitwire.Unsupported, "does not allow"},
		"climbing name":      {service + first("refs/../config") + "0000", gitwire.Unsupported, "does not allow"},
		"id that is none":    {service + first("refs/heads/a") + packet(strings.Repeat("x", 40)+" refs/heads/b\n") + "0000", gitwire.Unsupported, "does not allow"},
		"no sideband":        {service + packet(oneID+" refs/heads/a\x00ofs-delta\n") + "0000", gitwire.Unsupported, "side-band-64k"},
		"no end":             {service + first("refs/heads/a"), gitwire.Cut, ""},
		"nothing":            {"", gitwire.Cut, ""},
		"only the service":   {service, gitwire.Cut, ""},
		"not packets":        {strings.Repeat("zzzz", 3000), gitwire.Server, ""},
		"empty with SHA-256": {service + packet(strings.Repeat("0", 64)+" capabilities^{}\x00object-format=sha256\n") + "0000", gitwire.Unsupported, "SHA-256"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client(t).Advertise(t.Context(), answers(t, test.body, ""))
			if e := wantKind(t, err, test.kind); !strings.Contains(e.Error(), test.text) {
				t.Errorf("error %q lacks %q", e, test.text)
			}
		})
	}
}

// Git 2.41 and later shows an empty repository by its capabilities alone.
func TestEmptyWithCapabilities(t *testing.T) {
	t.Parallel()
	body := service + packet(strings.Repeat("0", 40)+" capabilities^{}\x00side-band-64k object-format=sha1\n") + "0000"
	a, err := client(t).Advertise(t.Context(), answers(t, body, ""))
	if err != nil || !a.Empty || len(a.Refs) != 0 || a.Head != nil {
		t.Fatalf("got %+v, %v", a, err)
	}
	_, err = client(t).Fetch(t.Context(), a, []plumbing.Hash{plumbing.NewHash(oneID)}, nil, io.Discard)
	wantErr(t, err, gitwire.ErrNothingToFetch)
}

// Git before 2.41 shows it by nothing at all behind the service's line. Nothing
// at all is no repository.
func TestEmptyWithoutCapabilities(t *testing.T) {
	t.Parallel()
	a, err := client(t).Advertise(t.Context(), answers(t, service+"0000", ""))
	if err != nil || !a.Empty {
		t.Fatalf("got %+v, %v", a, err)
	}
	_, err = client(t).Advertise(t.Context(), answers(t, "0000", ""))
	wantKind(t, err, gitwire.Cut)
}

func TestOddPacks(t *testing.T) {
	t.Parallel()
	refs := service + packet(oneID+" refs/heads/a\x00side-band-64k ofs-delta\n") + "0000"
	const nak = "0008NAK\n"
	header := "\x01PACK\x00\x00\x00\x02\x00\x00\x00\x01"
	tests := map[string]struct {
		body string
		kind gitwire.Kind
		text string
	}{
		"nothing":                 {"", gitwire.Cut, ""},
		"error packet":            {packet("ERR upload-pack: not our ref " + oneID), gitwire.Moved, "not our ref"},
		"error on the sideband":   {nak + packet("\x02Counting objects\n") + packet(header) + packet("\x03fatal: object is\ncorrupt\n"), gitwire.Server, "fatal: object is corrupt"},
		"only acknowledged":       {nak, gitwire.Cut, ""},
		"flush instead of a pack": {nak + "0000", gitwire.Cut, ""},
		"not a pack":              {nak + packet("\x01JUNKJUNKJUNKJUNK") + "0000", gitwire.Corrupt, `"JUNK"`},
		"unknown channel":         {nak + packet("\x09what") + "0000", gitwire.Corrupt, "unknown channel"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := client(t).Advertise(t.Context(), answers(t, refs, test.body))
			if err != nil {
				t.Fatal(err)
			}
			_, err = client(t).Fetch(t.Context(), a, ids(a), nil, io.Discard)
			if e := wantKind(t, err, test.kind); !strings.Contains(e.Error(), test.text) {
				t.Errorf("error %q lacks %q", e, test.text)
			}
		})
	}
}
