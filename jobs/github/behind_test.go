package github

import (
	"strings"
	"testing"
	"time"

	"mayfly/internal/archive"
	"mayfly/internal/gittest"
)

// newest is the newest point in the store of octo/r.
func (w *world) newest() archive.Point {
	w.t.Helper()
	p, err := archive.PointAt(w.t.Context(), w.st, "github", "octo", "r", time.Time{}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// What a machine writes whose clock is behind is the newest all the same, in an
// increment, in a full archive that is due, and in one of a repository that was
// made anew under the name.
func TestClockBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	c := w.config()
	one, share := 1, 100.0
	c.Full.After, c.Full.Share = &one, &share
	w.mustRun(c)
	w.commit("octo/r", "main")
	w.later(c)
	for i, behind := range []time.Duration{time.Hour, 20 * 24 * time.Hour, time.Hour, 3 * time.Hour} {
		if i == 3 {
			w.srv.Renumber("octo/r")
		}
		before := w.newest()
		w.start = before.At.Add(-behind)
		w.commit("octo/r", "main")
		rep := w.mustRun(c)
		p := w.newest()
		if p.Key == before.Key || p.Manifest.RepositoryID != before.Manifest.RepositoryID && i != 3 {
			t.Errorf("run %d: %s is still the newest", i, p.Key)
		}
		if p.Manifest.Created.Sub(before.At) != time.Second {
			t.Errorf("run %d: made at %s, after one of %s", i, p.Manifest.Created, before.At)
		}
		said := 0
		for _, p := range rep.Warnings {
			if strings.Contains(p.Reason, "this machine's clock is") {
				said++
			}
		}
		if said != 1 {
			t.Errorf("run %d: warnings %v", i, rep.Warnings)
		}
		if i != 3 {
			w.points("octo/r")
		}
	}
	if rep := w.mustRun(c); rep.Items[0].Outcome != "unchanged" {
		t.Errorf("then: %s", rep.Items[0].Outcome)
	}
}

// Runs within the same second, and clocks that are apart by seconds, are
// nothing to speak of.
func TestClockBehindALittle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/r", gittest.Normal)
	w.mustRun(w.config())
	w.commit("octo/r", "main")
	w.start = w.start.Add(-2 * time.Second)
	if rep := w.mustRun(w.config()); len(rep.Warnings) > 0 {
		t.Error(rep.Warnings)
	}
	if n := w.points("octo/r"); n != 2 {
		t.Errorf("%d points", n)
	}
}
