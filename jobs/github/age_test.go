package github

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/archive"
	"mayfly/internal/gittest"
	"mayfly/runner"
)

// copied makes everything in the store new, as a copy of it does.
func (w *world) copied() {
	w.t.Helper()
	now := time.Now()
	for _, key := range w.segments() {
		if err := os.Chtimes(filepath.Join(w.dir, filepath.FromSlash(key)), now, now); err != nil {
			w.t.Fatal(err)
		}
	}
}

// A store that was copied is full of new objects. The backups in it are as old
// as they were.
func TestAgeAfterCopy(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} { // the index
		w := newWorld(t)
		for _, name := range []string{"octo/fails", "octo/skipped", "octo/only-full"} {
			w.repo(name, gittest.Normal)
		}
		w.mustRun(w.config())
		first := w.start
		w.commit("octo/fails", "main")
		w.commit("octo/skipped", "main")
		w.later(w.config())
		last := w.start
		w.copied()
		if lost {
			if err := os.Remove(filepath.Join(w.dir, "github", "index.json")); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"octo/fails", "octo/only-full"} {
			w.srv.Git.Fail(name, gittest.Refused(403))
		}
		w.start = w.start.AddDate(0, 0, 200)
		c := w.config()
		c.Exclude = []string{"octo/skipped"}
		items := want(t, w.mustRun(c), map[string]runner.Outcome{"octo/fails": runner.Failed, "octo/skipped": runner.Skipped, "octo/only-full": runner.Failed})
		for name, at := range map[string]time.Time{"octo/fails": last, "octo/skipped": last, "octo/only-full": first} {
			if got := items[name].LastGood; !got.Equal(at) {
				t.Errorf("index lost %t: %s: the last good backup is said to be of %s, and is of %s", lost, name, got, at)
			}
		}
		all, err := archive.Repositories(t.Context(), w.st, "github")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			at := last
			if r.Name == "only-full" {
				at = first
			}
			if r.Date(t.Context(), w.st); !r.Newest.Equal(at) {
				t.Errorf("%s is listed as of %s, want %s", r.Name, r.Newest, at)
			}
		}
	}
}

// A repository that was deleted and made anew under its name has no backup, for
// all that there is one under that name.
func TestAgeOfStranger(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} { // the index
		w := newWorld(t)
		w.repo("octo/r", gittest.Normal)
		w.mustRun(w.config())
		if lost {
			if err := os.Remove(filepath.Join(w.dir, "github", "index.json")); err != nil {
				t.Fatal(err)
			}
		}
		w.srv.Renumber("octo/r")
		w.srv.Git.Fail("octo/r", gittest.Refused(403))
		items := want(t, w.later(w.config()), map[string]runner.Outcome{"octo/r": runner.Failed})
		if at := items["octo/r"].LastGood; !at.IsZero() {
			t.Errorf("index lost %t: it has no backup, and the last good one is said to be of %s", lost, at)
		}
	}
}

// A repository that has nothing but a detached HEAD is not empty.
func TestDetachedAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	w.git("octo/r", "update-ref", "--no-deref", "HEAD", strings.TrimSpace(w.git("octo/r", "rev-parse", "main")))
	for _, ref := range strings.Fields(w.git("octo/r", "for-each-ref", "--format=%(refname)")) {
		w.git("octo/r", "update-ref", "-d", ref)
	}
	want(t, w.mustRun(w.config()), map[string]runner.Outcome{"octo/r": runner.Changed})
	rep := w.later(w.config())
	want(t, rep, map[string]runner.Outcome{"octo/r": runner.Unchanged})
	if len(rep.Warnings) > 0 {
		t.Error(rep.Warnings)
	}
	w.points("octo/r")
}
