package github

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/archive"
	"mayfly/internal/gittest"
	"mayfly/internal/store"
	"mayfly/runner"
)

// A watchedStore notes what is read and written.
type watchedStore struct {
	store.Store
	mu    sync.Mutex
	calls []string
}

func (s *watchedStore) note(op, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, op+" "+key)
}

func (s *watchedStore) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

func (s *watchedStore) Create(ctx context.Context, key string) (store.Writer, error) {
	s.note("create", key)
	return s.Store.Create(ctx, key)
}

func (s *watchedStore) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, store.Object, error) {
	s.note("open", key)
	return s.Store.Open(ctx, key, off, n)
}

// commit puts a commit with a new file on a branch of the repository.
func (w *world) commit(repo, branch string) {
	w.t.Helper()
	dir := w.srv.Git.Dir(repo)
	w.seq++
	blob, err := gittest.GitInput(dir, strings.NewReader(fmt.Sprintf("content %d\n", w.seq)), "hash-object", "-w", "--stdin")
	if err != nil {
		w.t.Fatal(err)
	}
	tree, err := gittest.GitInput(dir, strings.NewReader(fmt.Sprintf("100644 blob %s\tfile%d\n", strings.TrimSpace(blob), w.seq)), "mktree")
	if err != nil {
		w.t.Fatal(err)
	}
	w.git(repo, "update-ref", "refs/heads/"+branch, strings.TrimSpace(w.git(repo, "commit-tree", "-p", branch, "-m", fmt.Sprint(w.seq), strings.TrimSpace(tree))))
}

func (w *world) git(repo string, args ...string) string {
	w.t.Helper()
	out, err := gittest.Git(w.srv.Git.Dir(repo), args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// later runs the job again, a day later.
func (w *world) later(c *Config) runner.JobReport {
	w.t.Helper()
	w.start = w.start.Add(24 * time.Hour)
	return w.mustRun(c)
}

// A rebuilt is a repository made of a chain's packs by git itself.
type rebuilt struct{ dir string }

func (b rebuilt) AddPack(_ context.Context, pack io.Reader) error {
	_, err := gittest.GitInput(b.dir, pack, "index-pack", "--stdin")
	return err
}

func (b rebuilt) SetRefs(*plumbing.Reference, []*plumbing.Reference) error { return nil }

func (b rebuilt) Connected(_ context.Context, tips []plumbing.Hash) error {
	var in bytes.Buffer
	for _, id := range tips {
		fmt.Fprintln(&in, id)
	}
	_, err := gittest.GitInput(b.dir, &in, "rev-list", "--objects", "--quiet", "--stdin")
	return err
}

// points checks that every state in the store is whole, and that the newest is
// what the server has; it returns how many there are.
func (w *world) points(repo string) int {
	w.t.Helper()
	owner, name, _ := strings.Cut(repo, "/")
	all, err := archive.Points(w.t.Context(), w.st, "github", owner, name)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, p := range all {
		for _, part := range []archive.Part{archive.Repo, archive.Wiki} {
			if !p.Has(part) {
				continue
			}
			b := rebuilt{filepath.Join(w.t.TempDir(), "r.git")}
			if err := gittest.Repo(b.dir, gittest.Empty); err != nil {
				w.t.Fatal(err)
			}
			s, err := p.Restore(w.t.Context(), part, b, nil)
			if err != nil {
				w.t.Fatalf("%s of %s: %v", part, p.Key, err)
			}
			if i < len(all)-1 || part == archive.Wiki {
				continue
			}
			var got []string
			for _, r := range s.Refs {
				got = append(got, r.Hash().String()+" "+r.Name().String())
			}
			if want := strings.Fields(w.git(repo, "for-each-ref", "--format=%(objectname)_%(refname)")); strings.Join(got, "\n") != strings.ReplaceAll(strings.Join(want, "\n"), "_", " ") {
				w.t.Errorf("%s is in the store as %v, want %v", repo, got, want)
			}
		}
	}
	return len(all)
}

// TestUnchanged: what has not changed costs one request to the git server, and
// one for the wiki; nothing is read from the store for it, and nothing written.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	w.repo("octo/r.wiki", gittest.Wiki)
	w.repo("octo/empty", gittest.Empty)
	w.repo("octo/detached", gittest.Detached)
	seen := &watchedStore{Store: w.st}
	w.st = seen
	w.mustRun(w.config())
	first := w.segments()
	asked := len(w.srv.Git.Requests())
	seen.take()
	items := want(t, w.later(w.config()), map[string]runner.Outcome{"octo/r": runner.Unchanged, "octo/empty": runner.Empty, "octo/detached": runner.Unchanged})
	if got := w.segments(); !slices.Equal(got, first) {
		t.Errorf("the store holds %v, and held %v", got, first)
	}
	for _, r := range w.srv.Git.Requests()[asked:] {
		if r.Step != gittest.Advertise {
			t.Errorf("a pack of %s was asked for", r.Repo)
		}
	}
	if n := len(w.srv.Git.Requests()) - asked; n != 6 {
		t.Errorf("%d requests to the git server, want one for each of 3 repositories and 3 wikis", n)
	}
	for _, call := range seen.take() {
		if strings.HasSuffix(call, ".zip") {
			t.Errorf("%s", call)
		}
	}
	if it := items["octo/r"]; it.Wrote > 0 || it.Read > 0 || it.LastGood.IsZero() {
		t.Errorf("unchanged, and reported as %+v", it)
	}
	// Without the index the segments say it.
	for _, spoil := range []func(string) error{
		os.Remove,
		func(f string) error { return os.WriteFile(f, []byte("{"), 0o600) },
	} {
		if err := spoil(filepath.Join(w.dir, "github", "index.json")); err != nil {
			t.Fatal(err)
		}
		want(t, w.later(w.config()), map[string]runner.Outcome{"octo/r": runner.Unchanged, "octo/empty": runner.Empty, "octo/detached": runner.Unchanged})
		if calls := seen.take(); !slices.ContainsFunc(calls, func(c string) bool { return strings.HasSuffix(c, "0000-full.zip") }) {
			t.Errorf("calls %v", calls)
		}
		want(t, w.later(w.config()), map[string]runner.Outcome{"octo/r": runner.Unchanged, "octo/empty": runner.Empty, "octo/detached": runner.Unchanged})
		for _, call := range seen.take() {
			if strings.HasSuffix(call, ".zip") {
				t.Errorf("the index was not mended: %s", call)
			}
		}
	}
}

// TestIncrements: each kind of change becomes a small segment, and every state
// can be got back.
func TestIncrements(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	w.repo("octo/r.wiki", gittest.Wiki)
	c := w.config()
	share := 100.0
	c.Full.Share = &share
	full := want(t, w.mustRun(c), map[string]runner.Outcome{"octo/r": runner.Changed})["octo/r"].Read
	steps := []struct {
		name   string
		change func()
		pack   bool
	}{
		{"commits", func() { w.commit("octo/r", "main"); w.commit("octo/r", "topic/one") }, true},
		{"a force push", func() { w.git("octo/r", "update-ref", "refs/heads/topic/two", "light") }, false},
		{"a reset to what no ref named", func() { w.git("octo/r", "update-ref", "refs/heads/topic/two", "main~8") }, true},
		{"a new root", func() {
			w.git("octo/r", "update-ref", "refs/heads/other", strings.TrimSpace(w.git("octo/r", "commit-tree", "-m", "root", "main^{tree}")))
		}, true},
		{"a deletion", func() { w.git("octo/r", "update-ref", "-d", "refs/heads/topic/one") }, false},
		{"HEAD moved", func() { w.git("octo/r", "symbolic-ref", "HEAD", "refs/heads/other") }, false},
		{"a tag", func() { w.git("octo/r", "tag", "-a", "-m", "tag", "v9", "main") }, true},
		{"the wiki", func() {
			w.git("octo/r.wiki", "update-ref", "refs/heads/master", strings.TrimSpace(w.git("octo/r.wiki", "commit-tree", "-p", "master", "-m", "page", "master^{tree}")))
		}, true},
		{"a name that holds a name", func() {
			w.git("octo/r", "update-ref", "-d", "refs/heads/other")
			w.git("octo/r", "symbolic-ref", "HEAD", "refs/heads/main")
			w.git("octo/r", "update-ref", "refs/heads/other/sub", "main")
		}, false},
	}
	for i, s := range steps {
		asked := len(w.srv.Git.Requests())
		s.change()
		it := want(t, w.later(c), map[string]runner.Outcome{"octo/r": runner.Changed})["octo/r"]
		packs := 0
		for _, r := range w.srv.Git.Requests()[asked:] {
			if r.Step == gittest.Pack {
				packs++
			}
		}
		if s.pack != (packs == 1) || packs > 1 {
			t.Errorf("%s: %d packs were asked for", s.name, packs)
		}
		if it.Read > full/4 || it.Wrote > 2*it.Read+12000 {
			t.Errorf("%s: %d bytes read and %d written, and %d read at first", s.name, it.Read, it.Wrote, full)
		}
		if i < len(steps)-1 {
			continue // each reads all
		}
		if n := w.points("octo/r"); n != i+2 {
			t.Errorf("%s: %d points in time", s.name, n)
		}
	}
	keys := w.segments()
	if last := keys[len(keys)-1]; last != fmt.Sprintf("github/octo/r/20251120T170412Z/%04d-incr.zip", len(steps)) {
		t.Errorf("the last segment is %s", last)
	}
}

// TestNewFull: the chain ends when it is long or heavy, and when nothing can be
// built on it.
func TestNewFull(t *testing.T) {
	t.Parallel()
	number := func(n int) *int { return &n }
	ratio := func(f float64) *float64 { return &f }
	for _, tt := range []struct {
		name  string
		full  Full
		spoil func(w *world, chain string)
		runs  []string // file of the newest segment after each changed run
		says  string
	}{
		{"length", Full{After: number(2), Share: ratio(100)}, nil, []string{"0001-incr.zip", "0002-incr.zip", "0000-full.zip", "0001-incr.zip"}, ""},
		{"always", Full{After: number(0)}, nil, []string{"0000-full.zip", "0000-full.zip"}, ""},
		{"weight", Full{Share: ratio(0)}, nil, []string{"0001-incr.zip", "0000-full.zip", "0001-incr.zip"}, ""},
		{"missing", Full{Share: ratio(100)}, func(w *world, chain string) {
			w.commit("octo/r", "main")
			w.later(&Config{Owners: []string{"octo"}, URL: w.url, Token: w.config().Token, Full: Full{Share: ratio(100)}})
			if err := os.Remove(filepath.Join(chain, "0000-full.zip")); err != nil {
				w.t.Fatal(err)
			}
		}, []string{"0000-full.zip", "0001-incr.zip"}, "missing"},
		{"damaged", Full{Share: ratio(100)}, func(w *world, chain string) {
			f := filepath.Join(chain, "0000-full.zip")
			b, err := os.ReadFile(f)
			if err == nil {
				err = os.WriteFile(f, b[:len(b)-100], 0o600)
			}
			if err != nil {
				w.t.Fatal(err)
			}
		}, []string{"0000-full.zip", "0001-incr.zip"}, "damaged"},
		{"another repository of this name", Full{Share: ratio(100)}, func(w *world, _ string) {
			if err := os.RemoveAll(w.srv.Git.Dir("octo/r")); err != nil {
				w.t.Fatal(err)
			}
			w.repo("octo/r", gittest.Normal)
			w.srv.Renumber("octo/r")
		}, []string{"0000-full.zip", "0001-incr.zip"}, "another repository"},
		{"nothing in common", Full{Share: ratio(100)}, func(w *world, _ string) {
			w.git("octo/r", "update-ref", "refs/heads/x", strings.TrimSpace(w.git("octo/r", "commit-tree", "-m", "root", "main^{tree}")))
			refs := strings.Fields(w.git("octo/r", "for-each-ref", "--format=%(refname)"))
			for _, ref := range refs {
				if ref != "refs/heads/x" {
					w.git("octo/r", "update-ref", "-d", ref)
				}
			}
			w.git("octo/r", "symbolic-ref", "HEAD", "refs/heads/x")
			w.git("octo/r", "gc", "--quiet", "--prune=now")
			w.git("octo/r", "branch", "main", "x")
			w.git("octo/r", "prune", "--expire=now")
		}, []string{"0000-full.zip", "0001-incr.zip"}, "nothing in common"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.repo("octo/r", gittest.Normal)
			c := w.config()
			c.Full = tt.full
			w.mustRun(c)
			if tt.spoil != nil {
				tt.spoil(w, filepath.Join(w.dir, "github", "octo", "r", "20251120T170412Z"))
			}
			for i, file := range tt.runs {
				before := w.segments()
				if i > 0 || tt.name != "nothing in common" {
					w.commit("octo/r", "main")
				}
				rep := w.later(c)
				want(t, rep, map[string]runner.Outcome{"octo/r": runner.Changed})
				var added []string
				for _, k := range w.segments() {
					if !slices.Contains(before, k) {
						added = append(added, filepath.Base(k))
					}
				}
				if len(added) != 1 || added[0] != file {
					t.Errorf("run %d wrote %v, want %s", i, added, file)
				}
				said := fmt.Sprint(rep.Warnings) + w.log.String()
				if tt.says != "" && i == 0 && !strings.Contains(said, tt.says) {
					t.Errorf("%q does not say %q", said, tt.says)
				}
			}
			if tt.spoil == nil {
				w.points("octo/r")
			}
		})
	}
}

// TestWikiFailsLater: a wiki that cannot be read stays as it was, and the
// repository goes on.
func TestWikiFailsLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	w.repo("octo/r.wiki", gittest.Wiki)
	w.mustRun(w.config())
	w.srv.Git.Fail("octo/r.wiki", gittest.Fault{Status: 500, Body: "no"})
	first := want(t, w.later(w.config()), map[string]runner.Outcome{"octo/r": runner.Partial})
	if n := w.points("octo/r"); n != 1 {
		t.Errorf("%d points after a run that found nothing new", n)
	}
	if at := first["octo/r"].LastGood; !at.Equal(start()) {
		t.Errorf("the last good backup is of %s", at)
	}
	w.commit("octo/r", "main")
	want(t, w.later(w.config()), map[string]runner.Outcome{"octo/r": runner.Partial})
	if n := w.points("octo/r"); n != 2 {
		t.Errorf("%d points", n)
	}
	p, err := archive.PointAt(t.Context(), w.st, "github", "octo", "r", time.Time{}, nil)
	if err != nil || !p.Has(archive.Wiki) || !strings.Contains(p.Manifest.Parts.Wiki.Why, "500") {
		t.Errorf("the wiki is %+v, %v", p.Manifest.Parts.Wiki, err)
	}
	w.srv.Git.Heal("octo/r.wiki")
	want(t, w.later(w.config()), map[string]runner.Outcome{"octo/r": runner.Unchanged})
}

// TestEmptied: a repository that has lost everything is recorded, named, and
// keeps what it had.
func TestEmptied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	c := w.config()
	none := 0
	c.Full.After = &none
	w.mustRun(c)
	main := strings.TrimSpace(w.git("octo/r", "rev-parse", "main"))
	for _, ref := range strings.Fields(w.git("octo/r", "for-each-ref", "--format=%(refname)")) {
		w.git("octo/r", "update-ref", "-d", ref)
	}
	rep := w.later(c)
	want(t, rep, map[string]runner.Outcome{"octo/r": runner.Empty})
	if len(rep.Warnings) != 1 || !strings.Contains(rep.Warnings[0].String(), "octo/r: it is empty now") {
		t.Errorf("warnings %v", rep.Warnings)
	}
	if rep = w.later(c); len(rep.Warnings) > 0 {
		t.Errorf("warnings %v, again", rep.Warnings)
	}
	w.git("octo/r", "update-ref", "refs/heads/main", main)
	want(t, w.later(w.config()), map[string]runner.Outcome{"octo/r": runner.Changed})
	if n := w.points("octo/r"); n != 3 {
		t.Errorf("%d points", n)
	}
}

// TestSelectionChanges: pull requests that are asked for later are new refs.
func TestSelectionChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Pull)
	c := w.config()
	w.mustRun(c)
	c.PullRequests = true
	want(t, w.later(c), map[string]runner.Outcome{"octo/r": runner.Changed})
	if n := w.points("octo/r"); n != 2 {
		t.Errorf("%d points", n)
	}
	want(t, w.later(c), map[string]runner.Outcome{"octo/r": runner.Unchanged})
}

// A racedStore has another run write the same increment first.
type racedStore struct {
	store.Store
	once sync.Once
	race func()
}

func (s *racedStore) Create(ctx context.Context, key string) (store.Writer, error) {
	w, err := s.Store.Create(ctx, key)
	if strings.HasSuffix(key, "-incr.zip") || strings.HasSuffix(key, "-full.zip") {
		s.once.Do(s.race)
	}
	return w, err
}

// TestTwoRunsAtOnce: two runs that go on from the same segment, whatever their
// clocks say, do not both write the next.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		for _, skew := range []time.Duration{0, -1000 * time.Hour, 1000 * time.Hour} {
			t.Run(fmt.Sprintf("first=%t/skew=%s", first, skew), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.repo("octo/r", gittest.Normal)
				if !first {
					w.mustRun(w.config())
					w.commit("octo/r", "main")
					w.start = w.start.Add(24 * time.Hour)
				}
				other := *w
				other.start = w.start.Add(skew)
				plain := w.st
				w.st = &racedStore{Store: plain, race: func() {
					w.commit("octo/r", "main")
					other.st = plain
					want(t, other.mustRun(other.config()), map[string]runner.Outcome{"octo/r": runner.Changed})
				}}
				rep := w.mustRun(w.config())
				w.st = plain
				if o := rep.Items[0].Outcome; o != runner.Changed && o != runner.Unchanged {
					t.Errorf("outcome %s: %v", o, rep.Items[0].Problem)
				}
				// Where both began a chain the newer one may hold the older state.
				if o := w.later(w.config()).Items[0].Outcome; o != runner.Unchanged && !(o == runner.Changed && first) {
					t.Errorf("the next run: %s", o)
				}
				w.points("octo/r")
				want(t, w.later(w.config()), map[string]runner.Outcome{"octo/r": runner.Unchanged})
			})
		}
	}
}

// TestRenamedBetweenRuns: the number tells that it is the same repository.
func TestRenamedBetweenRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/old", gittest.Normal)
	w.repo("octo/gone", gittest.Normal)
	w.mustRun(w.config())
	if err := w.srv.Rename("octo/old", "octo/new"); err != nil {
		t.Fatal(err)
	}
	rep := w.later(w.config())
	want(t, rep, map[string]runner.Outcome{"octo/new": runner.Changed, "octo/gone": runner.Unchanged})
	if len(rep.Warnings) != 1 || !strings.Contains(rep.Warnings[0].String(), "renamed or transferred since their last backup: octo/old is now octo/new") {
		t.Errorf("warnings %v", rep.Warnings)
	}
	if rep = w.later(w.config()); len(rep.Warnings) > 0 {
		t.Errorf("warnings %v, again", rep.Warnings)
	}
}

// A closedStore cannot be read, as when segments are in cold storage.
type closedStore struct{ store.Store }

var errCold = errors.New("the object is archived: restore it first")

func (s closedStore) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, store.Object, error) {
	if strings.HasSuffix(key, ".zip") {
		return nil, store.Object{}, errCold
	}
	return s.Store.Open(ctx, key, off, n)
}

// TestUnreadableIsNotMissing: a chain that cannot be read is no reason for a new
// full segment; nor does it matter while nothing changes.
func TestUnreadableIsNotMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	w.mustRun(w.config())
	before := w.segments()
	w.st = closedStore{w.st}
	want(t, w.later(w.config()), map[string]runner.Outcome{"octo/r": runner.Unchanged})
	w.commit("octo/r", "main")
	items := want(t, w.later(w.config()), map[string]runner.Outcome{"octo/r": runner.Failed})
	contains(t, "problem", items["octo/r"].Problem.String(), "archived: restore it first")
	if got := w.segments(); !slices.Equal(got, before) {
		t.Errorf("the store holds %v", got)
	}
}

// TestGoodAgeOfTheUnchanged: the backup of what has not changed for long is as
// new as the run that found so.
func TestGoodAgeOfTheUnchanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	w.mustRun(w.config())
	w.later(w.config())
	seen := w.start
	w.srv.Git.Fail("octo/r", gittest.Refused(404))
	items := want(t, w.later(w.config()), map[string]runner.Outcome{"octo/r": runner.Failed})
	if at := items["octo/r"].LastGood; !at.Equal(seen) {
		t.Errorf("last good backup of %s, want %s", at, seen)
	}
}

// TestWikiVanishes: a wiki that is emptied, or gone, is named once, in an
// increment and in a full archive alike; one that is no longer asked for is not.
func TestWikiVanishes(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		w := newWorld(t)
		w.repo("octo/r", gittest.Normal)
		w.repo("octo/r.wiki", gittest.Wiki)
		c := w.config()
		if none := 0; full {
			c.Full.After = &none
		}
		w.mustRun(c)
		for _, ref := range strings.Fields(w.git("octo/r.wiki", "for-each-ref", "--format=%(refname)")) {
			w.git("octo/r.wiki", "update-ref", "-d", ref)
		}
		rep := w.later(c)
		if len(rep.Warnings) != 1 || !strings.Contains(rep.Warnings[0].String(), "octo/r: its wiki had pages and has none now") {
			t.Errorf("full %v: warnings %v", full, rep.Warnings)
		}
		w.srv.Git.Fail("octo/r.wiki", gittest.Refused(404))
		if rep = w.later(c); len(rep.Warnings) > 0 {
			t.Errorf("full %v: warnings %v, again", full, rep.Warnings)
		}
	}
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	w.repo("octo/r.wiki", gittest.Wiki)
	w.mustRun(w.config())
	c := w.config()
	off := false
	c.Wiki = &off
	if rep := w.later(c); len(rep.Warnings) > 0 {
		t.Errorf("without asking for it: warnings %v", rep.Warnings)
	}
}
