package github

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/runner"
)

func TestRateLimitsAreWaitedOut(t *testing.T) {
	t.Parallel()
	once := func(f githubtest.Fault) githubtest.Fault { f.Times = 1; return f }
	soon := func(d time.Duration) time.Time { return time.Now().Add(d) }
	tests := []struct {
		name     string
		faults   []githubtest.Fault
		min, max time.Duration // the longest single wait
	}{
		{"primary", []githubtest.Fault{once(githubtest.PrimaryLimit("/user/repos", soon(20*time.Minute)))}, 19 * time.Minute, 21 * time.Minute},
		{"primary in the past", []githubtest.Fault{once(githubtest.PrimaryLimit("/user/repos", soon(-time.Minute)))}, time.Millisecond, 2 * time.Second},
		{"primary with a clock gone wrong", []githubtest.Fault{once(githubtest.PrimaryLimit("/user/repos", soon(1000*time.Hour)))}, longestWait - time.Second, longestWait},
		{"secondary, 403, with a time", []githubtest.Fault{once(githubtest.SecondaryLimit("/user/repos", 403, 90*time.Second))}, 90 * time.Second, 92 * time.Second},
		{"secondary, 429, with a time", []githubtest.Fault{once(githubtest.SecondaryLimit("/user/repos", 429, 90*time.Second))}, 90 * time.Second, 92 * time.Second},
		{"secondary without a time", []githubtest.Fault{once(githubtest.SecondaryLimit("/user/repos", 403, 0))}, 59 * time.Second, time.Minute},
		{"secondary, three times", []githubtest.Fault{once(githubtest.SecondaryLimit("/user/repos", 403, 0)), once(githubtest.SecondaryLimit("/user/repos", 429, 0)), once(githubtest.SecondaryLimit("/user/repos", 403, 0))}, 239 * time.Second, 4 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.repo("octo/r", gittest.Normal)
			w.srv.Fail(tt.faults...)
			var shown []runner.Waiting
			w.clock.hook = func(time.Duration) error {
				if s := w.rec.Snapshot().Waiting; s != nil {
					shown = append(shown, *s)
				}
				return nil
			}
			rep := w.mustRun(w.config())
			want(t, rep, map[string]runner.Outcome{"octo/r": runner.Changed})
			if got := w.clock.longest(); got < tt.min || got > tt.max {
				t.Errorf("waited %v, want %v to %v", got, tt.min, tt.max)
			}
			if len(shown) < len(tt.faults) || !strings.Contains(shown[0].Why, "rate limit") {
				t.Errorf("the report showed %v while it waited", shown)
			}
			if rep.Waiting != nil {
				t.Errorf("still shows %v", rep.Waiting)
			}
		})
	}
}

// TestLimitUsedUp lets the server count: the listing takes more requests than
// an hour has. None is sent in vain.
func TestLimitUsedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *githubtest.Options) { o.Limit, o.PerPage = 4, 1 })
	for _, n := range []string{"octo/a", "octo/b", "octo/c"} {
		w.repo(n, gittest.Empty)
	}
	w.clock.hook = func(time.Duration) error { return errors.New("enough") }
	_, err := w.run(w.config())
	if err == nil || w.clock.longest() < 50*time.Minute {
		t.Fatalf("error %v after waits of %v", err, w.clock.slept)
	}
	if n := len(w.srv.Requests()); n != 4 {
		t.Errorf("sent %d requests with 4 allowed", n)
	}
}

func TestPermissionIsNoRateLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Empty)
	w.srv.Fail(githubtest.Fault{Path: "/user/repos", Status: http.StatusForbidden, Header: http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"4000000000"}}})
	_, err := w.run(w.config())
	if err == nil || len(w.clock.slept) > 0 {
		t.Fatalf("error %v after waits of %v", err, w.clock.slept)
	}
	contains(t, "error", err.Error(), "Resource not accessible by personal access token", "grant the token")
}

func TestWaitObeysCancellation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.srv.Fail(githubtest.PrimaryLimit("", time.Now().Add(time.Hour)))
	cause := errors.New("the instance is taken")
	ctx, cancel := context.WithCancelCause(t.Context())
	w.clock.hook = func(time.Duration) error { cancel(cause); return nil }
	rep, err := w.runCtx(ctx, w.config())
	if !errors.Is(err, cause) && (err == nil || !strings.Contains(err.Error(), "cancel")) {
		t.Errorf("error %v", err)
	}
	if rep.Expected != -1 {
		t.Errorf("expected %d items of a listing that was not complete", rep.Expected)
	}
}

// TestWaitBeyondDeadline: a wait that the run cannot survive is not begun.
func TestWaitBeyondDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.srv.Fail(githubtest.PrimaryLimit("", time.Now().Add(time.Hour)))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	_, err := w.runCtx(ctx, w.config())
	if err == nil || len(w.clock.slept) > 0 {
		t.Fatalf("error %v after waits of %v", err, w.clock.slept)
	}
	contains(t, "error", err.Error(), "rate limit until", "the run ends at", "later")
}

// TestAnswersThatPass: each of these strikes twice, and the listing is whole.
func TestAnswersThatPass(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]githubtest.Fault{
		"500":                   {Status: 500},
		"502 with a page":       {Status: 502, Body: "<html>bad gateway"},
		"connection breaks":     {Cut: true},
		"half an answer":        {Half: true},
		"no answer":             {Void: true},
		"not JSON":              {Status: 200, Body: "<html>sign in"},
		"silence":               {Stall: true},
		"silence in the middle": {Hang: true},
		"503 with Retry-After":  {Status: 503, Header: http.Header{"Retry-After": {"5"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.repo("octo/a", gittest.Empty)
			w.stall = 5 * time.Second
			if f.Stall || f.Hang {
				w.stall = 300 * time.Millisecond
			}
			f.Path, f.Times = "/user/repos", 2
			w.srv.Fail(f)
			want(t, w.mustRun(w.config()), map[string]runner.Outcome{"octo/a": runner.Empty})
		})
	}
}

// TestAnswersThatDoNot: the same for ever. Nothing of it may look like an
// account without repositories.
func TestAnswersThatDoNot(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault githubtest.Fault
		says  []string
	}{
		"500":            {githubtest.Fault{Status: 500}, []string{"500", "later"}},
		"no answer":      {githubtest.Fault{Void: true}, []string{"0 bytes"}},
		"half an answer": {githubtest.Fault{Half: true}, []string{"not a whole JSON"}},
		"401":            {githubtest.Fault{Status: 401}, []string{"wrong or expired", "new token"}},
		"403":            {githubtest.Fault{Status: 403}, []string{"Resource not accessible"}},
		"404":            {githubtest.Fault{Status: 404}, []string{"does not find", "check the name"}},
		"451": {githubtest.Fault{Status: 451, Body: `{"message":"Repository access blocked","block":{"reason":"dmca","created_at":"2026-01-02T03:04:05Z"}}`},
			[]string{"blocked", "2026-01-02"}},
		"terms of service": {githubtest.Fault{Status: 403, Body: `{"message":"Repository access blocked","block":{"reason":"tos","created_at":"2026-01-02T03:04:05Z"}}`}, []string{"blocked"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.repo("octo/a", gittest.Empty)
			tt.fault.Path = "/user/repos"
			w.srv.Fail(tt.fault)
			rep, err := w.run(w.config())
			if err == nil || rep.Expected != -1 || len(rep.Items) > 0 {
				t.Fatalf("error %v, expected %d, items %v", err, rep.Expected, rep.Items)
			}
			contains(t, "error", err.Error(), append(tt.says, "list the repositories of octo")...)
		})
	}
}

// TestTokenStaysHome follows redirects of both services to a host that is not
// GitHub's.
func TestTokenStaysHome(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var foreign []http.Header
	stranger := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		foreign = append(foreign, r.Header.Clone())
		http.NotFound(rw, r)
	}))
	defer stranger.Close()
	w := newWorld(t)
	w.repo("octo/a", gittest.Normal)
	w.repo("octo/b", gittest.Normal)
	w.srv.Git.Fail("octo/a", gittest.Fault{Status: 301, Body: "moved", Header: [2]string{"Location", stranger.URL + "/octo/a.git/info/refs?service=git-upload-pack"}})
	w.srv.Fail(githubtest.Fault{Path: "/users/acme", Status: 302, Header: http.Header{"Location": {stranger.URL + "/api/v3/users/acme"}}})
	c := w.config()
	c.Owners = append(c.Owners, "acme")
	rep, err := w.run(c)
	if err == nil {
		t.Error("the listing of acme did not fail")
	}
	want(t, rep, map[string]runner.Outcome{"octo/a": runner.Failed, "octo/b": runner.Changed})
	if len(foreign) != 2 {
		t.Errorf("the stranger saw %d requests, want 2", len(foreign))
	}
	for _, h := range foreign {
		if h.Get("Authorization") != "" {
			t.Error("the stranger got the token")
		}
	}
}

func TestServiceOf(t *testing.T) {
	t.Parallel()
	at, err := endpointsOf("https://ghe.example.com")
	if err != nil {
		t.Fatal(err)
	}
	tr := &transport{at: at}
	for raw, want := range map[string]service{
		"https://ghe.example.com/api/v3/user":                rest,
		"https://ghe.example.com/o/n.git/info/refs":          gitHTTP,
		"http://ghe.example.com/o/n.git/info/refs":           elsewhere, // downgraded
		"https://ghe.example.com:8443/api/v3/user":           elsewhere,
		"https://evil.example/api/v3/user":                   elsewhere,
		"https://ghe.example.com.evil.example/o/n.git":       elsewhere,
		"https://ghe.example.com@evil.example/o/n.git":       elsewhere,
		"https://evil.example/https://ghe.example.com/o.git": elsewhere,
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := tr.serviceOf(u); got != want {
			t.Errorf("%s: %v, want %v", raw, got, want)
		}
	}
}

func TestAgents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/a", gittest.Normal)
	var mu sync.Mutex
	agents := map[string]bool{}
	base := w.base
	w.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		agents[r.Header.Get("User-Agent")] = true
		mu.Unlock()
		return base.RoundTrip(r)
	})
	w.mustRun(w.config())
	if len(agents) != 2 || !agents["mayfly/1.2.3"] || !agents["git/2.0 (mayfly/1.2.3)"] {
		t.Errorf("agents %v", agents)
	}
}

// TestAtMostParallel counts the requests that are open at once.
func TestAtMostParallel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, n := range []string{"a", "b", "c", "d", "e", "f"} {
		w.repo("octo/"+n, gittest.Empty)
	}
	var mu sync.Mutex
	var open, most int
	base := w.base
	w.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		open++
		most = max(most, open)
		mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		defer func() { mu.Lock(); open--; mu.Unlock() }()
		return base.RoundTrip(r)
	})
	c := w.config()
	c.Parallel = 2
	w.mustRun(c)
	if most != 2 {
		t.Errorf("%d requests at once, want 2", most)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestTokenAppearsNowhere runs with faults of every sort, without a redactor,
// and searches all that is left of it.
func TestTokenAppearsNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []string{"ok", "401", "403", "503", "cut", "corrupt", "page", "blocked", "broken"}
	outcomes := map[string]runner.Outcome{}
	for _, n := range names {
		w.repo("octo/"+n, gittest.Normal)
		outcomes["octo/"+n] = runner.Failed
	}
	outcomes["octo/ok"] = runner.Changed
	w.repo("octo/ok.wiki", gittest.Wiki)
	w.srv.Git.Fail("octo/401", gittest.Refused(401))
	w.srv.Git.Fail("octo/403", gittest.Refused(403))
	w.srv.Git.Fail("octo/503", gittest.Fault{Status: 503, Body: "busy"})
	w.srv.Git.Fail("octo/cut", gittest.Fault{Step: gittest.Pack, Cut: &gittest.Cut{After: 900}})
	w.srv.Git.Fail("octo/corrupt", gittest.Fault{Step: gittest.Pack, Corrupt: true})
	w.srv.Git.Fail("octo/page", gittest.Portal())
	w.srv.Git.Fail("octo/blocked", gittest.Blocked("https://example.com/notice"))
	base := w.base
	w.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Path, "/octo/broken") {
			return nil, errors.New("connection reset by peer")
		}
		return base.RoundTrip(r)
	})
	w.srv.Fail(githubtest.Fault{Path: "/users/octo", Status: 500, Times: 2}, githubtest.SecondaryLimit("/users/acme", 403, 0))
	c := w.config()
	c.Owners = []string{"octo", "acme"}
	rep, err := w.run(c)
	if err == nil {
		t.Error("acme was listed")
	}
	want(t, rep, outcomes)

	texts := map[string]string{"log": w.log.String(), "error": err.Error()}
	for _, it := range rep.Items {
		if it.Problem != nil {
			texts["problem of "+it.Name] = it.Problem.String()
		}
	}
	walkErr := filepath.WalkDir(w.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		texts[p] = string(b)
		return err
	})
	if walkErr != nil {
		t.Fatal(walkErr)
	}
	for _, f := range w.segment("octo/ok").File {
		texts["segment "+f.Name] = w.entry("octo/ok", f.Name)
	}
	basic := "x-access-token:" + testToken
	for where, text := range texts {
		for _, form := range []string{testToken, url.QueryEscape(testToken), url.PathEscape(testToken), base64.StdEncoding.EncodeToString([]byte(basic)), base64.URLEncoding.EncodeToString([]byte(basic)), base64.StdEncoding.EncodeToString([]byte(testToken))} {
			if strings.Contains(text, strings.TrimRight(form, "=")) {
				t.Errorf("%s holds the token", where)
			}
		}
	}
	if len(texts) < 10 {
		t.Errorf("searched %d texts only", len(texts))
	}
}

// TestTrickle: a byte a minute is no answer.
func TestTrickle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		g := newGuard(t.Context(), stallAfter, cancel, func() {})
		slow := readerFunc(func(p []byte) (int, error) {
			time.Sleep(time.Minute)
			return 1, context.Cause(ctx)
		})
		began := time.Now()
		b := &guarded{body: io.NopCloser(io.LimitReader(slow, 1000)), guard: g, ctx: ctx}
		defer b.Close()
		_, err := io.Copy(io.Discard, b)
		if spent := time.Since(began); !errors.Is(err, errStalled) || spent > 21*time.Minute {
			t.Errorf("ended after %s: %v", spent, err)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestOneLimitIsOneStrike: many that meet the same secondary limit wait no
// longer than one.
func TestOneLimitIsOneStrike(t *testing.T) {
	t.Parallel()
	c := &fakeClock{base: time.Now()}
	l := &limits{clock: clock{c.now, c.sleep}, show: func(string, time.Time) {}}
	meet := func(n int) time.Duration {
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				l.note(&http.Response{StatusCode: 403, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("You have exceeded a secondary rate limit"))}, gitHTTP)
			})
		}
		wg.Wait()
		return l.until[gitHTTP].Sub(c.now())
	}
	for i, want := range []time.Duration{secondaryFirst, 2 * secondaryFirst, 4 * secondaryFirst} {
		got := meet(32)
		if got != want {
			t.Errorf("limit %d: %s, want %s", i+1, got, want)
		}
		if err := c.sleep(t.Context(), got); err != nil {
			t.Fatal(err)
		}
	}
}

// TestForgottenBody: a body that nobody closes gives its slot back when its
// request's context ends.
func TestForgottenBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/a", gittest.Normal)
	made, err := w.config().New(w.env())
	if err != nil {
		t.Fatal(err)
	}
	j := made.(*job)
	j.config.Parallel = 1
	j.rec = runner.NewRecorder(discard(), time.Now)
	tr := j.transport(fixedToken{})
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/octo/a.git/info/refs?service=git-upload-pack", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		cancel() // and no Close
	}
}
