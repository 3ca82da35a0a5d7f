package github

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/archive"
	"mayfly/internal/gittest"
	"mayfly/runner"
)

// chain is the folder of a repository's first chain.
func (w *world) chain(repo string) string {
	return filepath.Join(w.dir, "github", filepath.FromSlash(repo), "20251120T170412Z")
}

// touch makes a file look like a new one, as a copy of it does.
func touch(t *testing.T, files ...string) {
	t.Helper()
	for _, f := range files {
		now := time.Now().Add(time.Hour)
		if err := os.Chtimes(f, now, now); err != nil {
			t.Fatal(err)
		}
	}
}

// flip changes one byte in the middle of a file.
func flip(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		b[len(b)/2] ^= 1
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func warnings(rep runner.JobReport) string {
	var all []string
	for _, p := range rep.Warnings {
		all = append(all, p.String())
	}
	return strings.Join(all, "\n")
}

// TestChainsInDoubt: segments that are not listed as they were recorded are
// read to the end before they count for anything.
func TestChainsInDoubt(t *testing.T) {
	t.Parallel()
	mark := func(w *world) {
		full, err := time.Parse("20060102T150405Z", "20251120T170412Z")
		if err == nil {
			err = archive.Mark(t.Context(), w.st, archive.MarkKey("github", "octo", "r", full), start(), "1.2.3", errors.New("a flipped byte"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		spoil  func(w *world)
		commit bool
		newest string // segment that the run wrote, "" for none
		says   string
		again  bool // the next run says so again
	}{
		{"a flipped byte, nothing new", func(w *world) { flip(t, w.chain("octo/r")+"/0000-full.zip") }, false,
			"0000-full.zip", "octo/r: a full archive instead of an increment: segment file://", false},
		{"a flipped byte, a commit", func(w *world) { flip(t, w.chain("octo/r")+"/0000-full.zip") }, true,
			"0000-full.zip", "it is damaged", false},
		{"a flipped byte in the increment", func(w *world) { flip(t, w.chain("octo/r")+"/0001-incr.zip") }, false,
			"0000-full.zip", "0001-incr.zip: ", false},
		{"a copy, nothing new", func(w *world) { touch(t, w.chain("octo/r")+"/0000-full.zip", w.chain("octo/r")+"/0001-incr.zip") }, false,
			"", "the archives of 1 repository are not listed as they were recorded, as after a copy or a move of the store: every byte of them was read, and they are whole: octo/r", false},
		{"a copy, a commit", func(w *world) { touch(t, w.chain("octo/r")+"/0000-full.zip") }, true,
			"0002-incr.zip", "every byte of them was read", false},
		{"a mark, nothing new", mark, false, "0000-full.zip", "it is damaged: mayfly verify has said so in file://", false},
		{"a mark, a commit", mark, true, "0000-full.zip", "DAMAGED.txt", false},
		{"the last segment is gone", func(w *world) { remove(t, w.chain("octo/r")+"/0001-incr.zip") }, false,
			"0000-full.zip", "are no longer in file://" + "%s/github: octo/r: 1 of the 2 newest archives, in 20251120T170412Z: nothing to do", false},
		{"the last segment is gone, a commit", func(w *world) { remove(t, w.chain("octo/r")+"/0001-incr.zip") }, true,
			"0000-full.zip", "octo/r: 1 of the 2 newest archives", false},
		{"all is gone", func(w *world) { remove(t, filepath.Join(w.dir, "github", "octo", "r")) }, false,
			"0000-full.zip", "octo/r: its newest archives, 2 in 20251120T170412Z", false},
		{"all is gone, and the index", func(w *world) {
			remove(t, filepath.Join(w.dir, "github", "octo", "r"))
			remove(t, filepath.Join(w.dir, "github", "index.json"))
		}, false, "0000-full.zip", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.repo("octo/r", gittest.Normal)
			w.repo("octo/other", gittest.Normal)
			share := 100.0
			conf := w.config()
			conf.Full.Share = &share
			w.mustRun(conf)
			w.commit("octo/r", "main")
			w.later(conf)
			c.spoil(w)
			if c.commit {
				w.commit("octo/r", "main")
			}
			before := w.segments()
			outcome := runner.Changed
			if c.newest == "" {
				outcome = runner.Unchanged
			}
			rep := w.later(conf)
			want(t, rep, map[string]runner.Outcome{"octo/r": outcome, "octo/other": runner.Unchanged})
			if said := warnings(rep); c.says == "" && said != "" || !strings.Contains(said, strings.ReplaceAll(c.says, "%s", w.dir)) {
				t.Errorf("the report says %q, want %q in it", said, c.says)
			}
			if len(rep.Warnings) > 1 {
				t.Errorf("%d notes: %s", len(rep.Warnings), warnings(rep))
			}
			wrote := ""
			for _, k := range w.segments() {
				if !strings.Contains(fmt.Sprint(before), k) {
					wrote += filepath.Base(k)
				}
			}
			if wrote != c.newest {
				t.Errorf("the run wrote %q, want %q", wrote, c.newest)
			}
			rep = w.later(conf)
			want(t, rep, map[string]runner.Outcome{"octo/r": runner.Unchanged, "octo/other": runner.Unchanged})
			if len(rep.Warnings) > 0 {
				t.Errorf("the next report says %s", warnings(rep))
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// TestDoubtThatCannotBeSettled: what cannot be read is the item's failure, not
// the archives'.
func TestDoubtThatCannotBeSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	w.mustRun(w.config())
	before := fmt.Sprint(w.segments())
	touch(t, w.chain("octo/r")+"/0000-full.zip")
	plain := w.st
	w.st = closedStore{plain}
	items := want(t, w.later(w.config()), map[string]runner.Outcome{"octo/r": runner.Failed})
	contains(t, "problem", items["octo/r"].Problem.String(), "archived: restore it first")
	w.st = plain
	if now := fmt.Sprint(w.segments()); now != before {
		t.Errorf("the store holds %s", now)
	}
	rep := w.later(w.config())
	want(t, rep, map[string]runner.Outcome{"octo/r": runner.Unchanged})
	contains(t, "warnings", warnings(rep), "every byte of them was read")
}

// TestMissingOfWhatIsNotBackedUp: it is said once.
func TestMissingOfWhatIsNotBackedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	w.repo("octo/out", gittest.Normal)
	w.mustRun(w.config())
	w.commit("octo/out", "main")
	w.later(w.config())
	remove(t, w.chain("octo/out")+"/0001-incr.zip")
	c := w.config()
	c.Exclude = []string{"*/out"}
	contains(t, "warnings", warnings(w.later(c)), "octo/out: 1 of the 2 newest archives")
	if rep := w.later(c); len(rep.Warnings) > 0 {
		t.Errorf("warnings %v, again", rep.Warnings)
	}
}
