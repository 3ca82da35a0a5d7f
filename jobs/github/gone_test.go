package github

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"mayfly/internal/archive"
	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/runner"
)

// TestGoneRepositoriesAreNamed: what is in the store and no longer listed is
// kept and named in every report, until the config asks for it no more.
func TestGoneRepositoriesAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, n := range []string{"octo/stays", "octo/deleted", "octo/hidden", "octo/scratch", "acme/other"} {
		w.repo(n, gittest.Empty)
	}
	c := w.config()
	c.Owners = []string{"OCTO", "acme"}
	if rep := w.mustRun(c); len(rep.Warnings) > 0 {
		t.Fatalf("warnings %v", rep.Warnings)
	}
	for _, n := range []string{"octo/deleted", "octo/scratch"} {
		if err := os.RemoveAll(w.srv.Git.Dir(n)); err != nil {
			t.Fatal(err)
		}
	}
	w.srv.Set("octo/hidden", githubtest.Attributes{Private: true, Hidden: true})
	before := fmt.Sprint(w.segments())
	w.start = start().Add(time.Hour)
	warning := func(c *Config) string {
		t.Helper()
		w.start = w.start.Add(time.Hour)
		rep := w.mustRun(c)
		var all []string
		for _, p := range rep.Warnings {
			if strings.Contains(p.Reason, "no longer listed") {
				all = append(all, p.Reason)
			}
		}
		return strings.Join(all, "; ")
	}
	if got := warning(c); got != "3 repositories are in the store that are no longer listed: octo/deleted, octo/hidden, octo/scratch (kept)" {
		t.Errorf("warning %q", got)
	}
	c.Exclude = []string{"*/scratch*", "*/hidden"}
	if got := warning(c); got != "1 repository is in the store that is no longer listed: octo/deleted (kept)" {
		t.Errorf("with exclude: %q", got)
	}
	c.Exclude, c.Owners = nil, []string{"acme"}
	if got := warning(c); got != "" {
		t.Errorf("of an owner that is not asked for: %q", got)
	}
	c.Owners = []string{"me"}
	if got := warning(c); !strings.HasPrefix(got, "3 repositories") {
		t.Errorf("with me: %q", got)
	}
	after := fmt.Sprint(w.segments())
	for _, key := range strings.Fields(strings.Trim(before, "[]")) {
		if !strings.Contains(after, key) {
			t.Errorf("%s is gone from the store", key)
		}
	}
	// A listing that is not complete says nothing about what it lacks.
	w.srv.Fail(githubtest.Fault{Path: "/orgs/acme/repos", Status: 500})
	w.start = w.start.Add(time.Hour)
	c.Owners = []string{"octo", "acme"}
	rep, err := w.run(c)
	if err == nil {
		t.Fatal("no error")
	}
	for _, p := range rep.Warnings {
		if strings.Contains(p.Reason, "no longer") {
			t.Errorf("warning %v", p)
		}
	}
}

func TestManyGoneRepositories(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	index, err := archive.ReadIndex(t.Context(), w.st, "github")
	if err != nil {
		t.Fatal(err)
	}
	j := &job{config: &Config{Owners: []string{"o"}}, rec: runner.NewRecorder(discard(), time.Now), index: index}
	j.env.Redact = func(s string) string { return s }
	good := map[string]age{}
	for i := range 25 {
		good[fmt.Sprintf("o/r%02d", i)] = age{at: start()}
	}
	j.warnOfGone([]*repository{{fullName: "o/r00"}}, good)
	ws := j.rec.Snapshot().Warnings
	if len(ws) != 1 || !strings.HasPrefix(ws[0].Reason, "24 repositories are in the store that are no longer listed: o/r01, o/r02, ") || !strings.HasSuffix(ws[0].Reason, ", o/r10 and 14 more (kept)") {
		t.Errorf("warnings %v", ws)
	}
}

// TestExcludedBackupsHaveAnAge: the report names old backups of what the config
// leaves out as well.
func TestExcludedBackupsHaveAnAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/a", gittest.Empty)
	w.repo("octo/b", gittest.Empty)
	c := w.config()
	w.mustRun(c)
	c.Exclude = []string{"octo/a"}
	w.start = start().Add(time.Hour)
	items := want(t, w.mustRun(c), map[string]runner.Outcome{"octo/a": runner.Skipped, "octo/b": runner.Empty})
	if at := items["octo/a"].LastGood; !at.Equal(start()) {
		t.Errorf("last good backup at %v, want %v", at, start())
	}
}
