package github

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/internal/secret"
	"mayfly/internal/store"
	"mayfly/runner"
)

const testToken = "github_pat_11ABCDEFG0/+secret=token"

// start is when every test's run begins: in the past, as the store's clock sees it.
func start() time.Time { return time.Date(2025, 11, 20, 17, 4, 12, 0, time.UTC) }

// A world is a GitHub with an account "octo", a store, and a run's inputs.
type world struct {
	t     *testing.T
	srv   *githubtest.Server
	url   string
	root  string // of the bare repositories
	dir   string // of the store
	st    store.Store
	log   *syncBuffer
	clock *fakeClock
	token string
	app   string // the app's private key
	stall time.Duration
	rec   *runner.Recorder
	base  http.RoundTripper
	start time.Time // of the run
	seq   int       // of commits
}

func newWorld(t *testing.T, change ...func(*githubtest.Options)) *world {
	t.Helper()
	w := &world{t: t, root: t.TempDir(), dir: t.TempDir(), log: &syncBuffer{}, token: testToken, stall: time.Minute, start: start()}
	w.clock = &fakeClock{base: time.Now()}
	o := githubtest.Options{Dir: w.root, Login: "octo", Token: testToken, Organizations: []string{"acme"}}
	for _, f := range change {
		f(&o)
	}
	w.srv = githubtest.New(o)
	url, err := w.srv.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.srv.Close() })
	w.url = url
	if w.st, err = store.NewDir(w.dir); err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	w.base = tr
	return w
}

// repo makes a bare repository "owner/name".
func (w *world) repo(name string, kind gittest.Kind) {
	w.t.Helper()
	if err := gittest.Repo(w.srv.Git.Dir(name), kind); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) env() runner.Env {
	return runner.Env{
		Job: "github", Prefix: "github", RunID: "20251120T170412Z-test", Start: w.start, Store: w.st,
		Secret: func(r secret.Ref) (secret.Value, error) {
			if r.Name == "KEY" {
				return secret.New(w.app), nil
			}
			return secret.New(w.token), nil
		},
		Redact: func(s string) string { return s }, // so that what leaks is seen
		Hide:   func(secret.Value) {},
		HTTP:   w.base, Getenv: func(string) string { return "" }, Version: "1.2.3",
	}
}

// config is a job for the account, with the token.
func (w *world) config() *Config {
	return &Config{Owners: []string{"octo"}, URL: w.url, Token: secret.Ref{Scheme: "env", Name: "TOKEN"}}
}

// run runs the job to its end.
func (w *world) run(c *Config) (runner.JobReport, error) { return w.runCtx(w.t.Context(), c) }

func (w *world) runCtx(ctx context.Context, c *Config) (runner.JobReport, error) {
	w.t.Helper()
	if ps := c.Validate(); len(ps) > 0 {
		w.t.Fatal(ps)
	}
	made, err := c.New(w.env())
	if err != nil {
		w.t.Fatal(err)
	}
	j := made.(*job)
	j.clock = clock{w.clock.now, w.clock.sleep}
	j.stall = w.stall
	w.rec = runner.NewRecorder(slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})), time.Now)
	err = made.Run(ctx, w.rec)
	return w.rec.Snapshot(), err
}

// mustRun is run for jobs whose own error would fail the test.
func (w *world) mustRun(c *Config) runner.JobReport {
	w.t.Helper()
	rep, err := w.run(c)
	if err != nil {
		w.t.Fatalf("run: %v\n%s", err, w.log)
	}
	return rep
}

// segments are the keys of the store's zips.
func (w *world) segments() []string {
	w.t.Helper()
	var keys []string
	for o, err := range w.st.List(w.t.Context(), "") {
		if err != nil {
			w.t.Fatal(err)
		}
		if o.Key != "github/listing.json" && o.Key != "github/index.json" {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// segment opens the one full segment of a repository.
func (w *world) segment(name string) *zip.ReadCloser {
	w.t.Helper()
	z, err := zip.OpenReader(filepath.Join(w.dir, "github", filepath.FromSlash(name), "20251120T170412Z", "0000-full.zip"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { z.Close() })
	return z
}

// entry is one file of the segment; "" when there is none.
func (w *world) entry(repo, name string) string {
	w.t.Helper()
	for _, f := range w.segment(repo).File {
		if f.Name != name {
			continue
		}
		r, err := f.Open()
		if err != nil {
			w.t.Fatal(err)
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if err != nil {
			w.t.Fatal(err)
		}
		return string(b)
	}
	return ""
}

// restored checks that git makes of the segment's bundle what the server has:
// the same references, and nothing missing.
func (w *world) restored(repo, bundle, source string) {
	w.t.Helper()
	dir := w.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "b.bundle"), []byte(w.entry(repo, bundle)), 0o600); err != nil {
		w.t.Fatal(err)
	}
	git := func(dir string, args ...string) string {
		w.t.Helper()
		out, err := gittest.Git(dir, args...)
		if err != nil {
			w.t.Fatal(err)
		}
		return out
	}
	git(dir, "clone", "--quiet", "--mirror", "b.bundle", "r.git")
	git(filepath.Join(dir, "r.git"), "fsck", "--full", "--strict")
	want, got := git(w.srv.Git.Dir(source), "for-each-ref"), git(filepath.Join(dir, "r.git"), "for-each-ref")
	if want != got {
		w.t.Errorf("%s of %s: refs\n%s\nwant\n%s", bundle, repo, got, want)
	}
}

// want checks the outcome of every item and returns the report's items by name.
func want(t *testing.T, rep runner.JobReport, outcomes map[string]runner.Outcome) map[string]runner.ItemReport {
	t.Helper()
	items := map[string]runner.ItemReport{}
	for _, it := range rep.Items {
		items[it.Name] = it
		if w, ok := outcomes[it.Name]; !ok || it.Outcome != w || it.Open {
			t.Errorf("%s: %s (open %v), want %q; problem: %v", it.Name, it.Outcome, it.Open, w, it.Problem)
		}
		if it.Problem != nil && (it.Problem.Reason == "" || it.Problem.Fix == "" || it.Problem.Doing == "" || it.Problem.Item != it.Name) {
			t.Errorf("%s: a problem with a part missing: %+v", it.Name, *it.Problem)
		}
	}
	for name := range outcomes {
		if _, ok := items[name]; !ok {
			t.Errorf("%s: no item", name)
		}
	}
	return items
}

// A fakeClock does not wait: it notes how long it should have, and is so much later.
type fakeClock struct {
	mu    sync.Mutex
	base  time.Time
	off   time.Duration
	slept []time.Duration
	hook  func(time.Duration) error
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base.Add(c.off)
}

func (c *fakeClock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	hook := c.hook
	c.slept = append(c.slept, d)
	c.off += d
	c.mu.Unlock()
	if hook != nil {
		if err := hook(d); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func (c *fakeClock) longest() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var l time.Duration
	for _, d := range c.slept {
		l = max(l, d)
	}
	return l
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s: %q lacks %q", what, text, p)
		}
	}
}
