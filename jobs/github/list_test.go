package github

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/runner"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// outcomes gives all of the names the same outcome.
func outcomes(o runner.Outcome, names ...string) map[string]runner.Outcome {
	m := map[string]runner.Outcome{}
	for _, n := range names {
		m[n] = o
	}
	return m
}

// crowd makes repositories of every sort for two owners and a third.
func crowd(w *world) {
	for _, n := range []string{"octo/plain", "octo/fork", "octo/old", "octo/private", "acme/tool", "acme/inner", "zed/shared", "zed/public"} {
		w.repo(n, gittest.Empty)
	}
	w.srv.Set("octo/fork", githubtest.Attributes{Fork: true})
	w.srv.Set("octo/old", githubtest.Attributes{Archived: true})
	w.srv.Set("octo/private", githubtest.Attributes{Private: true})
	w.srv.Set("acme/inner", githubtest.Attributes{Private: true})
	w.srv.Set("zed/shared", githubtest.Attributes{Private: true})
}

func TestOwners(t *testing.T) {
	t.Parallel()
	octo := []string{"octo/plain", "octo/fork", "octo/old", "octo/private"}
	all := append([]string{"acme/tool", "acme/inner", "zed/shared", "zed/public"}, octo...)
	tests := []struct {
		owners []string
		want   []string
	}{
		{[]string{"octo"}, octo},
		{[]string{"OCTO"}, octo},
		{[]string{"acme"}, []string{"acme/tool", "acme/inner"}},
		{[]string{"zed"}, []string{"zed/public"}},
		{[]string{"me"}, all},
		{[]string{"octo", "me", "acme", "zed"}, all},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.owners, ","), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *githubtest.Options) { o.PerPage = 2 })
			crowd(w)
			c := w.config()
			c.Owners = tt.owners
			rep := w.mustRun(c)
			want(t, rep, outcomes(runner.Empty, tt.want...))
			if rep.Expected != len(tt.want) || len(rep.Items) != len(tt.want) {
				t.Errorf("expected %d of %d items, want %d", rep.Expected, len(rep.Items), len(tt.want))
			}
		})
	}
}

func TestSelection(t *testing.T) {
	t.Parallel()
	off := false
	tests := []struct {
		name    string
		set     func(*Config)
		skipped []string
	}{
		{"exclude", func(c *Config) { c.Exclude = []string{"*/p*"} }, []string{"octo/plain", "octo/private"}},
		{"include", func(c *Config) { c.Include = []string{"OCTO/{plain,old}"} }, []string{"octo/fork", "octo/private"}},
		{"both", func(c *Config) { c.Include, c.Exclude = []string{"octo/*"}, []string{"*/old"} }, []string{"octo/old"}},
		{"no forks", func(c *Config) { c.Forks = &off }, []string{"octo/fork"}},
		{"no archived", func(c *Config) { c.Archived = &off }, []string{"octo/old"}},
		{"no private", func(c *Config) { c.Private = &off }, []string{"octo/private"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			crowd(w)
			c := w.config()
			tt.set(c)
			o := outcomes(runner.Empty, "octo/plain", "octo/fork", "octo/old", "octo/private")
			for _, s := range tt.skipped {
				o[s] = runner.Skipped
			}
			rep := w.mustRun(c)
			want(t, rep, o)
			if len(rep.Warnings) > 0 {
				t.Errorf("warnings %v", rep.Warnings)
			}
		})
	}
}

// TestNothingSelected: a job that backs up nothing is not complete.
func TestNothingSelected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	crowd(w)
	c := w.config()
	c.Include = []string{"nobody/*"}
	rep, err := w.run(c)
	if err == nil {
		t.Fatal("no error")
	}
	want(t, rep, outcomes(runner.Skipped, "octo/plain", "octo/fork", "octo/old", "octo/private"))
	contains(t, "error", err.Error(), "selects none of 4 repositories", "globs")
}

// TestFewerThanCounted: what the token was not given is missing without a
// word in the listing, but not in the report.
func TestFewerThanCounted(t *testing.T) {
	t.Parallel()
	for _, owner := range []string{"octo", "acme"} {
		w := newWorld(t)
		crowd(w)
		hidden := map[string]string{"octo": "octo/private", "acme": "acme/inner"}[owner]
		w.srv.Set(hidden, githubtest.Attributes{Private: true, Hidden: true})
		c := w.config()
		c.Owners = []string{owner}
		rep := w.mustRun(c)
		if len(rep.Warnings) != 1 {
			t.Fatalf("%s: warnings %v", owner, rep.Warnings)
		}
		contains(t, "warning", rep.Warnings[0].String(), owner, "repositories are counted", "the token sees", "give the token access")
	}
}

// TestPartialListing: one owner that cannot be listed keeps the job from being
// complete, and no other owner's repositories from being backed up.
func TestPartialListing(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]githubtest.Fault{
		"owner not found": {Path: "/users/nobody"},
		"second page":     {Path: "/orgs/acme/repos", Query: "page=2", Status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *githubtest.Options) { o.PerPage = 1 })
			crowd(w)
			w.srv.Fail(fault)
			c := w.config()
			c.Owners = []string{"acme", "octo"}
			missing := "acme"
			if fault.Status == 0 {
				c.Owners[0], missing = "nobody", "nobody"
			}
			rep, err := w.run(c)
			if err == nil || rep.Expected != -1 {
				t.Fatalf("error %v, expected %d", err, rep.Expected)
			}
			contains(t, "error", err.Error(), "list the repositories of "+missing)
			o := outcomes(runner.Empty, "octo/plain", "octo/fork", "octo/old", "octo/private")
			if fault.Status != 0 {
				o["acme/inner"] = runner.Empty // of the first page
			}
			want(t, rep, o)
		})
	}
}

func TestBadToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	crowd(w)
	w.token = "expired"
	_, err := w.run(w.config())
	if err == nil {
		t.Fatal("no error")
	}
	contains(t, "error", err.Error(), "wrong or expired", "Bad credentials", "make a new token")
	w.token = " \n"
	_, err = w.run(w.config())
	if err == nil {
		t.Fatal("no error")
	}
	contains(t, "error", err.Error(), "env:TOKEN is empty")
}

func TestTokenWithNewline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	crowd(w)
	w.token = testToken + "\n"
	want(t, w.mustRun(w.config()), outcomes(runner.Empty, "octo/plain", "octo/fork", "octo/old", "octo/private"))
}

// TestInterrupted: when the run ends in the middle, what is in work and what
// was not begun is interrupted, and the store holds nothing half-made.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, n := range []string{"octo/a", "octo/b", "octo/c"} {
		w.repo(n, gittest.Normal)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	w.srv.Git.Fail("octo/a", gittest.Fault{Step: gittest.Pack, Before: func() { cancel(errors.New("the instance is taken")) }, Stall: &gittest.Stall{After: 500}})
	c := w.config()
	c.Parallel = 1
	c.Include = []string{"octo/*"}
	began := time.Now()
	w.srv.Git.Fail("octo/b", gittest.Fault{Step: gittest.Pack, Stall: &gittest.Stall{After: 500}, Before: func() { cancel(errors.New("the instance is taken")) }})
	w.srv.Git.Fail("octo/c", gittest.Fault{Step: gittest.Pack, Stall: &gittest.Stall{After: 500}, Before: func() { cancel(errors.New("the instance is taken")) }})
	rep, err := w.runCtx(ctx, c)
	if err != nil {
		t.Error(err)
	}
	want(t, rep, outcomes(runner.Interrupted, "octo/a", "octo/b", "octo/c"))
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("took %v to stop", d)
	}
	if keys := w.segments(); len(keys) > 0 {
		t.Errorf("the store holds %v", keys)
	}
}

// TestOrderOfWork: what has no good backup comes first, then the oldest, then
// the largest.
func TestOrderOfWork(t *testing.T) {
	t.Parallel()
	j := &job{config: &Config{}, rec: runner.NewRecorder(discard(), time.Now)}
	j.env.Redact = func(s string) string { return s }
	repo := func(name string, size int64) *repository { return &repository{fullName: "o/" + name, size: size} }
	picked := j.pick(t.Context(), []*repository{repo("new", 1), repo("old", 1), repo("big", 9), repo("never", 1), repo("never-big", 9)}, map[string]age{
		"o/new": {at: start()}, "o/big": {at: start()}, "o/old": {at: start().Add(-time.Hour)},
	})
	var got []string
	for _, r := range picked {
		got = append(got, r.name())
	}
	if fmt.Sprint(got) != "[never-big never old big new]" {
		t.Errorf("order %v", got)
	}
}

// TestPanicIsOneItems: a bug in one repository's work is that item's failure.
func TestPanicIsOneItems(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/a", gittest.Empty)
	w.repo("octo/b", gittest.Empty)
	base := w.base
	w.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Path, "/octo/a.git") {
			panic("a bug")
		}
		return base.RoundTrip(r)
	})
	items := want(t, w.mustRun(w.config()), map[string]runner.Outcome{"octo/a": runner.Failed, "octo/b": runner.Empty})
	contains(t, "problem", items["octo/a"].Problem.String(), "a bug")
}
