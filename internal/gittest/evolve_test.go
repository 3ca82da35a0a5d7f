package gittest_test

import (
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/gittest"
)

func evolution(t testing.TB, dir string, seed uint64) *gittest.Evolution {
	t.Helper()
	e, err := gittest.NewEvolution(dir, seed)
	if err != nil {
		t.Fatal(err)
	}
	e.Prune = seed%2 == 0
	return e
}

func state(t testing.TB, dir string) string {
	t.Helper()
	s, err := gittest.State(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const seeds = 6

// Every step leaves the repository sound and fit to be served. Forty of them
// make nearly every change, and those of a few seeds make each several times.
func TestEvolution(t *testing.T) {
	t.Parallel()
	seen := make(chan map[string]bool, seeds)
	t.Run("seed", func(t *testing.T) {
		for seed := range uint64(seeds) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				seen <- evolve(t, seed)
			})
		}
	})
	count := map[string]int{}
	for range len(seen) {
		for name := range <-seen {
			count[name]++
		}
	}
	want := map[string]int{"pruned": seeds / 2}
	for _, name := range append(gittest.Changes(), "added", "changed", "removed", "renamed", "binary", "symlink", "submodule", "executable") {
		if _, ok := want[name]; !ok {
			want[name] = seeds
		}
		if count[name] < want[name]*2/3 {
			t.Errorf("%d of %d seeds made the change %q", count[name], want[name], name)
		}
	}
}

// evolve makes forty steps and returns which changes they and their commits made.
func evolve(t *testing.T, seed uint64) map[string]bool {
	s := gittest.New(t.TempDir())
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	dir := s.Dir("acme/site")
	e := evolution(t, dir, seed)
	seen := map[string]bool{}
	for n := range 40 {
		before := state(t, dir)
		what, err := e.Step()
		if err != nil {
			t.Fatal(err)
		}
		if after := state(t, dir); strings.HasPrefix(what[0], "unchanged: ") && after != before {
			t.Errorf("step %d, %v, made\n%s\nof\n%s", n, what, after, before)
		}
		for _, w := range what {
			name, details, _ := strings.Cut(w, ": ")
			seen[name] = true
			for _, word := range strings.Fields(details) {
				seen[word] = true
			}
		}
		if n%8 == 7 {
			sound(t, dir, web.URL+"/acme/site.git")
		}
	}
	return seen
}

// sound wants a repository that git finds no fault with and hands out.
func sound(t *testing.T, dir, url string) {
	t.Helper()
	git(t, dir, "fsck", "--full", "--strict")
	clone := filepath.Join(t.TempDir(), "clone.git")
	git(t, "", "clone", "--quiet", "--mirror", url, clone)
	_, got, _ := strings.Cut(state(t, clone), "\n")
	_, want, _ := strings.Cut(state(t, dir), "\n")
	if got != want {
		t.Errorf("cloned\n%s\nof\n%s", got, want)
	}
	git(t, clone, "fsck", "--full", "--strict")
}

// The same seed makes the same repository, another one another.
func TestEvolutionIsRepeatable(t *testing.T) {
	t.Parallel()
	var states, said []string
	for _, seed := range []uint64{7, 7, 8} {
		dir := filepath.Join(t.TempDir(), "site.git")
		e := evolution(t, dir, seed)
		var all []string
		for range 20 {
			what, err := e.Step()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, what...)
		}
		states, said = append(states, state(t, dir)), append(said, strings.Join(all, "\n"))
	}
	if states[0] != states[1] || said[0] != said[1] {
		t.Errorf("the same seed made\n%s\n%s\nand\n%s\n%s", said[0], states[0], said[1], states[1])
	}
	if states[0] == states[2] {
		t.Error("another seed made the same")
	}
}

// Without the option, an object that was there stays there.
func TestEvolutionKeepsObjects(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "site.git")
	e := evolution(t, dir, 1)
	seen := map[string]bool{}
	for range 40 {
		if _, err := e.Step(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(state(t, dir)) {
			seen[line[strings.LastIndex(line, " ")+1:]] = true
		}
	}
	delete(seen, state(t, dir)) // of a repository without references
	for id := range seen {
		if id := strings.TrimSpace(id); !strings.HasPrefix(id, "refs/") {
			git(t, dir, "--no-replace-objects", "cat-file", "-e", id)
		}
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "site.git")
	if err := gittest.Repo(dir, gittest.Unborn); err != nil {
		t.Fatal(err)
	}
	id := git(t, dir, "rev-parse", "main")
	refs := "refs/heads/main " + id + "\nrefs/heads/other " + id + "\n"
	if got, want := state(t, dir), "ref: refs/heads/nowhere\n"+refs; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	git(t, dir, "update-ref", "--no-deref", "HEAD", "main")
	git(t, dir, "update-ref", "refs/heads/main\xff", "main")
	if got, want := state(t, dir), id+"\nrefs/heads/main "+id+"\nrefs/heads/main\xff "+id+"\nrefs/heads/other "+id+"\n"; got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if _, err := gittest.State(t.TempDir()); err == nil {
		t.Error("a folder that is no repository has a state")
	}
}

func BenchmarkStep(b *testing.B) {
	e := evolution(b, filepath.Join(b.TempDir(), "site.git"), 0)
	for b.Loop() {
		if _, err := e.Step(); err != nil {
			b.Fatal(err)
		}
	}
}
