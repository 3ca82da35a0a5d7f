package github

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/internal/store"
	"mayfly/runner"
)

func TestBackUpAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/site", gittest.Normal)
	w.repo("octo/site.wiki", gittest.Wiki)
	w.repo("octo/octo.github.io", gittest.OddTags)
	w.repo("octo/octo.github.io.wiki", gittest.Wiki)
	w.repo("octo/secret", gittest.Detached)
	w.srv.Set("octo/secret", githubtest.Attributes{Private: true})
	w.repo("octo/nothing", gittest.Empty)
	w.repo("octo/noted", gittest.Notes)
	w.repo("acme/other", gittest.Normal)

	rep := w.mustRun(w.config())
	items := want(t, rep, map[string]runner.Outcome{
		"octo/site": runner.Changed, "octo/octo.github.io": runner.Changed, "octo/secret": runner.Changed,
		"octo/nothing": runner.Empty, "octo/noted": runner.Changed,
	})
	if rep.Expected != 5 {
		t.Errorf("expected %d items, want 5", rep.Expected)
	}
	for name, it := range items {
		if it.Wrote == 0 || it.Outcome == runner.Changed && it.Read == 0 {
			t.Errorf("%s: read %d, wrote %d bytes", name, it.Read, it.Wrote)
		}
	}
	for _, name := range []string{"octo/site", "octo/octo.github.io", "octo/noted"} {
		w.restored(name, "repo.bundle", name)
	}
	w.restored("octo/site", "wiki.bundle", "octo/site.wiki")
	w.restored("octo/octo.github.io", "wiki.bundle", "octo/octo.github.io.wiki")
	contains(t, "metadata", w.entry("octo/secret", "metadata/repository.json"), `"full_name": "octo/secret"`, `"private": true`)
	if len(rep.Warnings) > 0 {
		t.Error(rep.Warnings)
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/detached", gittest.Detached)
	w.repo("octo/unborn", gittest.Unborn)
	w.repo("octo/empty", gittest.Empty)
	w.repo("octo/shared", gittest.Shared)
	want(t, w.mustRun(w.config()), map[string]runner.Outcome{
		"octo/detached": runner.Changed, "octo/unborn": runner.Changed, "octo/empty": runner.Empty, "octo/shared": runner.Changed,
	})
	detached, err := gittest.Git(w.srv.Git.Dir("octo/detached"), "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "detached", w.entry("octo/detached", "refs.json"), strings.TrimSpace(detached))
	contains(t, "unborn", w.entry("octo/unborn", "refs.json"), "refs/heads/nowhere")
	contains(t, "empty", w.entry("octo/empty", "refs.json"), "refs/heads/main")
	contains(t, "shared", w.entry("octo/shared", "refs.json"), "refs/heads/zeta")
}

func TestPullRequestsAreAChoice(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		w := newWorld(t)
		w.repo("octo/busy", gittest.Pull)
		c := w.config()
		c.PullRequests = on
		want(t, w.mustRun(c), map[string]runner.Outcome{"octo/busy": runner.Changed})
		if got := strings.Contains(w.entry("octo/busy", "refs.json"), "refs/pull/2/merge"); got != on {
			t.Errorf("pull_requests: %v, and refs/pull is there: %v", on, got)
		}
	}
}

// TestOneFailureIsOneItems: each row spoils one repository; the other is
// backed up all the same, and the spoiled one leaves nothing in the store.
func TestOneFailureIsOneItems(t *testing.T) {
	t.Parallel()
	const notice = "https://github.com/github/dmca/blob/master/2026/01/2026-01-02-acme.md"
	fail := func(fs ...gittest.Fault) func(*world) {
		return func(w *world) { w.srv.Git.Fail("octo/bad", fs...) }
	}
	tests := []struct {
		name    string
		kind    gittest.Kind
		spoil   func(*world)
		outcome runner.Outcome
		says    []string
	}{
		{"401", gittest.Normal, fail(gittest.Refused(http.StatusUnauthorized)), runner.Failed, []string{"wrong, expired or missing", "new token"}},
		{"403", gittest.Normal, func(w *world) { w.srv.Set("octo/bad", githubtest.Attributes{NoContents: true}) }, runner.Failed, []string{"Contents: read", "exclude"}},
		{"404", gittest.Normal, fail(gittest.Refused(http.StatusNotFound)), runner.Failed, []string{"does not find it", "check the name"}},
		{"taken down", gittest.Normal, fail(gittest.Blocked(notice)), runner.Failed, []string{"blocked", notice}},
		{"429 once", gittest.Normal, fail(gittest.Fault{Step: gittest.Advertise, Times: 1, Status: 429, Header: [2]string{"Retry-After", "30"}}), runner.Changed, nil},
		{"429 on the pack once", gittest.Normal, fail(gittest.Fault{Step: gittest.Pack, Times: 1, Status: 429}), runner.Changed, nil},
		{"429 for ever", gittest.Normal, fail(gittest.RateLimited(time.Minute)), runner.Failed, []string{"rate limit"}},
		{"503 once", gittest.Normal, fail(gittest.Fault{Status: 503, Body: "busy", Times: 1}), runner.Changed, nil},
		{"503 for ever", gittest.Normal, fail(gittest.Fault{Status: 503, Body: "busy"}), runner.Failed, []string{"503", "githubstatus"}},
		{"cut once", gittest.Normal, fail(gittest.Fault{Step: gittest.Pack, Times: 1, Cut: &gittest.Cut{After: 900}}), runner.Changed, nil},
		{"cut for ever", gittest.Normal, fail(gittest.Fault{Step: gittest.Pack, Cut: &gittest.Cut{After: 900}}), runner.Failed, []string{"ended early"}},
		{"cut between packets", gittest.Normal, fail(gittest.Fault{Step: gittest.Pack, Cut: &gittest.Cut{After: 900, Packet: true, Clean: true}}), runner.Failed, []string{"ended early"}},
		{"corrupt once", gittest.Normal, fail(gittest.Fault{Step: gittest.Pack, Times: 1, Corrupt: true}), runner.Changed, nil},
		{"corrupt", gittest.Normal, fail(gittest.Fault{Step: gittest.Pack, Corrupt: true}), runner.Failed, []string{"damaged", "git fsck"}},
		{"force push meanwhile", gittest.Normal, func(w *world) { w.srv.Git.Fail("octo/bad", w.srv.Git.Moved("octo/bad", "main", 1)) }, runner.Changed, nil},
		{"a proxy's page", gittest.Normal, fail(gittest.Portal()), runner.Failed, []string{"sign-in"}},
		{"sha-256", gittest.SHA256, func(*world) {}, runner.Failed, []string{"SHA-256"}},
		{"shallow", gittest.Shallow, func(*world) {}, runner.Failed, []string{"shallow"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.repo("octo/bad", tt.kind)
			w.repo("octo/good", gittest.Normal)
			tt.spoil(w)
			rep := w.mustRun(w.config())
			items := want(t, rep, map[string]runner.Outcome{"octo/bad": tt.outcome, "octo/good": runner.Changed})
			w.restored("octo/good", "repo.bundle", "octo/good")
			if rep.Expected != 2 {
				t.Errorf("expected %d items, want 2", rep.Expected)
			}
			if tt.outcome == runner.Changed {
				w.restored("octo/bad", "repo.bundle", "octo/bad")
				return
			}
			contains(t, "problem", items["octo/bad"].Problem.String(), tt.says...)
			if keys := w.segments(); len(keys) != 1 {
				t.Errorf("the store holds %v", keys)
			}
		})
	}
}

func TestWiki(t *testing.T) {
	t.Parallel()
	refused := func(status int) func(*world) {
		return func(w *world) { w.srv.Git.Fail("octo/r.wiki", gittest.Refused(status)) }
	}
	tests := []struct {
		name    string
		wiki    bool
		spoil   func(*world)
		outcome runner.Outcome
		kept    bool
		says    string
	}{
		{"never written", false, func(*world) {}, runner.Changed, false, ""},
		{"written", true, func(*world) {}, runner.Changed, true, ""},
		{"401", true, refused(401), runner.Partial, false, "wrong, expired or missing"},
		{"403", true, refused(403), runner.Partial, false, "Contents: read"},
		{"429", true, func(w *world) { w.srv.Git.Fail("octo/r.wiki", gittest.RateLimited(time.Minute)) }, runner.Partial, false, "rate limit"},
		{"500", true, func(w *world) { w.srv.Git.Fail("octo/r.wiki", gittest.Fault{Status: 500, Body: "no"}) }, runner.Partial, false, "500"},
		{"cut", true, func(w *world) {
			w.srv.Git.Fail("octo/r.wiki", gittest.Fault{Step: gittest.Pack, Cut: &gittest.Cut{After: 900}})
		}, runner.Partial, false, "ended early"},
		{"cut once", true, func(w *world) {
			w.srv.Git.Fail("octo/r.wiki", gittest.Fault{Step: gittest.Pack, Times: 1, Cut: &gittest.Cut{After: 900}})
		}, runner.Changed, true, ""},
		{"off at GitHub", true, func(w *world) { w.srv.Set("octo/r", githubtest.Attributes{NoWiki: true}) }, runner.Changed, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.repo("octo/r", gittest.Normal)
			if tt.wiki {
				w.repo("octo/r.wiki", gittest.Wiki)
			}
			tt.spoil(w)
			items := want(t, w.mustRun(w.config()), map[string]runner.Outcome{"octo/r": tt.outcome})
			w.restored("octo/r", "repo.bundle", "octo/r")
			if got := w.entry("octo/r", "wiki.bundle") != ""; got != tt.kept {
				t.Errorf("the wiki is in the segment: %v, want %v", got, tt.kept)
			}
			if !tt.kept {
				contains(t, "RESTORE.txt", w.entry("octo/r", "RESTORE.txt"), "The wiki is not in this archive")
			}
			if tt.says != "" {
				contains(t, "problem", items["octo/r"].Problem.String(), "back up the wiki of", tt.says)
			}
		})
	}
}

func TestWikiCanBeLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	w.repo("octo/r.wiki", gittest.Wiki)
	c := w.config()
	off := false
	c.Wiki = &off
	want(t, w.mustRun(c), map[string]runner.Outcome{"octo/r": runner.Changed})
	for _, r := range w.srv.Git.Requests() {
		if r.Repo == "octo/r.wiki" {
			t.Error("the wiki was asked for")
		}
	}
}

// TestAnonymous: without a token, GitHub's git servers answer 401 for what is
// not there; for the wiki of a public repository that is no failure.
func TestAnonymous(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	w.repo("octo/hidden", gittest.Normal)
	w.srv.Set("octo/hidden", githubtest.Attributes{Private: true})
	want(t, w.mustRun(&Config{Owners: []string{"octo"}, URL: w.url}), map[string]runner.Outcome{"octo/r": runner.Changed})
	for _, r := range w.srv.Requests() {
		if strings.HasPrefix(r, "GET /user?") || r == "GET /user" || strings.HasPrefix(r, "GET /user/") {
			t.Errorf("asked %s without a token", r)
		}
	}
}

func TestRenamedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/old", gittest.Normal)
	w.repo("octo/old.wiki", gittest.Wiki)
	w.srv.Fail(githubtest.Fault{Path: "/user/repos", Times: 1, Then: func() {
		if err := w.srv.Rename("octo/old", "acme/new"); err != nil {
			t.Error(err)
		}
	}})
	rep := w.mustRun(w.config())
	want(t, rep, map[string]runner.Outcome{"octo/old": runner.Changed})
	w.restored("acme/new", "repo.bundle", "acme/new")
	w.restored("acme/new", "wiki.bundle", "acme/new.wiki")
	if len(rep.Warnings) != 1 {
		t.Fatalf("warnings: %v", rep.Warnings)
	}
	contains(t, "warning", rep.Warnings[0].String(), "octo/old", "acme/new", "renamed")
}

// TestRedirectToAnother: the old name leads to a repository that is another one.
func TestRedirectToAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/a", gittest.Normal)
	w.repo("acme/b", gittest.Shared)
	w.srv.Git.Rename("octo/a", "acme/b")
	w.srv.Fail(githubtest.Fault{Path: "/repos/octo/a", Status: 301, Header: http.Header{"Location": {w.url + "/api/v3/repos/acme/b"}}})
	items := want(t, w.mustRun(w.config()), map[string]runner.Outcome{"octo/a": runner.Failed})
	contains(t, "problem", items["octo/a"].Problem.String(), "another repository", "acme/b")
	if keys := w.segments(); len(keys) > 0 {
		t.Errorf("the store holds %v", keys)
	}
}

// TestGitAddressLeadsElsewhere: the git server alone redirects. What is there
// must not get this repository's name.
func TestGitAddressLeadsElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/a", gittest.Normal)
	w.repo("octo/b", gittest.Normal)
	w.repo("octo/other", gittest.Shared)
	w.srv.Git.Rename("octo/a", "octo/other")
	w.srv.Git.Rename("octo/b.wiki", "octo/other")
	items := want(t, w.mustRun(w.config()), map[string]runner.Outcome{"octo/a": runner.Failed, "octo/b": runner.Partial, "octo/other": runner.Changed})
	contains(t, "problem", items["octo/a"].Problem.String(), "octo/a", "octo/other")
	contains(t, "problem", items["octo/b"].Problem.String(), "wiki of octo/b", "octo/other")
	if w.entry("octo/b", "wiki.bundle") != "" {
		t.Error("octo/b's wiki is another repository")
	}
	for _, key := range w.segments() {
		if strings.HasPrefix(key, "github/octo/a/") {
			t.Errorf("the store holds %s", key)
		}
	}
}

// TestStoreThatCannotBeWritten: whether the listing of the store fails or each
// write, the run says so and why.
func TestStoreThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	if err := os.Remove(w.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rep, err := w.run(w.config())
	if err != nil {
		contains(t, "error", err.Error(), w.dir)
		return
	}
	items := want(t, rep, map[string]runner.Outcome{"octo/r": runner.Failed})
	contains(t, "problem", items["octo/r"].Problem.String(), w.dir, "see that the store can be written to")
}

// A fullStore takes so many bytes of every segment and no more.
type fullStore struct {
	store.Store
	room int
}

type fullWriter struct {
	store.Writer
	room int
}

var errNoRoom = errors.New("no space left on device")

func (s fullStore) Create(ctx context.Context, key string) (store.Writer, error) {
	if s.room < 0 {
		return nil, errNoRoom
	}
	w, err := s.Store.Create(ctx, key)
	return &fullWriter{w, s.room}, err
}

func (w *fullWriter) Write(p []byte) (int, error) {
	if w.room -= len(p); w.room < 0 {
		return 0, errNoRoom
	}
	return w.Writer.Write(p)
}

func TestFullStore(t *testing.T) {
	t.Parallel()
	for _, room := range []int{-1, 0, 100, 2000} {
		w := newWorld(t)
		w.repo("octo/r", gittest.Normal)
		w.repo("octo/r.wiki", gittest.Wiki)
		w.st = fullStore{w.st, room}
		items := want(t, w.mustRun(w.config()), map[string]runner.Outcome{"octo/r": runner.Failed})
		contains(t, "problem", items["octo/r"].Problem.String(), "no space left", "see that the store can be written to")
		if keys := w.segments(); len(keys) > 0 {
			t.Errorf("room %d: the store holds %v", room, keys)
		}
		if n := len(w.srv.Git.Requests()); n > 4 {
			t.Errorf("room %d: %d requests to the git server: a full store is not the server's fault", room, n)
		}
	}
}

// A shyStore drops the first writes.
type shyStore struct {
	store.Store
	drops *atomic.Int32
}

type shyWriter struct {
	store.Writer
	drops *atomic.Int32
}

func (s shyStore) Create(ctx context.Context, key string) (store.Writer, error) {
	w, err := s.Store.Create(ctx, key)
	return &shyWriter{w, s.drops}, err
}

func (w *shyWriter) Commit() (store.Object, error) {
	if w.drops.Add(-1) >= 0 {
		return store.Object{}, store.ErrAgain
	}
	return w.Writer.Commit()
}

// TestDroppedWrite: a write that the store dropped begins again with a new
// pack, as no two packs are alike; but not for ever.
func TestDroppedWrite(t *testing.T) {
	t.Parallel()
	for drops, outcome := range map[int32]runner.Outcome{2: runner.Changed, 3: runner.Failed} {
		w := newWorld(t)
		w.repo("octo/r", gittest.Normal)
		left := &atomic.Int32{}
		left.Store(drops)
		w.st = shyStore{w.st, left}
		items := want(t, w.mustRun(w.config()), map[string]runner.Outcome{"octo/r": outcome})
		if outcome == runner.Changed {
			w.restored("octo/r", "repo.bundle", "octo/r")
		} else if items["octo/r"].Problem == nil || len(w.segments()) > 0 {
			t.Errorf("problem %v, store %v", items["octo/r"].Problem, w.segments())
		}
	}
}
