package github

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/runner"
)

// TestUnchangedListingIsFree lists the same account twice with requests for
// once and a half: GitHub does not count answers of 304, and all pages but the
// last are asked for in that way.
func TestUnchangedListingIsFree(t *testing.T) {
	t.Parallel()
	const requests = 2 + 4 // whose token, the owner, four pages
	w := newWorld(t, func(o *githubtest.Options) { o.PerPage, o.Limit = 1, requests+3 })
	names := []string{"octo/a", "octo/b", "octo/c", "octo/d"}
	for _, n := range names {
		w.repo(n, gittest.Empty)
	}
	want(t, w.mustRun(w.config()), outcomes(runner.Empty, names...))
	if n := len(w.srv.Requests()); n != requests {
		t.Fatalf("the first listing took %d requests: %v", n, w.srv.Requests())
	}
	rep := w.mustRun(w.config())
	if rep.Expected != len(names) || len(rep.Items) != len(names) {
		t.Errorf("the second listing has %d items: %v", rep.Expected, rep.Items)
	}
	if w.clock.longest() > time.Minute {
		t.Error("the second listing met the rate limit")
	}
}

// TestChangedListing: what begins a page behind the last one is seen although
// that one stays as it is, and a cache that was damaged does no harm.
func TestChangedListing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *githubtest.Options) { o.PerPage = 1 })
	w.repo("octo/a", gittest.Empty)
	w.mustRun(w.config())
	w.repo("octo/b", gittest.Empty)
	if rep := w.mustRun(w.config()); rep.Expected != 2 {
		t.Errorf("expected %d items, want 2", rep.Expected)
	}
	if err := os.RemoveAll(w.srv.Git.Dir("octo/a")); err != nil {
		t.Fatal(err)
	}
	if rep := w.mustRun(w.config()); rep.Expected != 1 {
		t.Errorf("expected %d items, want 1", rep.Expected)
	}
	file := filepath.Join(w.dir, "github", "listing.json")
	if err := os.WriteFile(file, []byte(`{"cut`), 0o600); err != nil {
		t.Fatal(err)
	}
	if rep := w.mustRun(w.config()); rep.Expected != 1 {
		t.Errorf("expected %d items, want 1", rep.Expected)
	}
}

func TestNoCloneTokenIsKept(t *testing.T) {
	t.Parallel()
	b, err := withoutCredentials([]byte(`[{"id":9007199254740993,"temp_clone_token":"AAAA","parent":{"temp_clone_token":"BBBB"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b); got != `[{"id":9007199254740993,"parent":{}}]` {
		t.Error(got)
	}
	if strings.Contains(string(b), "clone") {
		t.Error("a credential is kept")
	}
}
