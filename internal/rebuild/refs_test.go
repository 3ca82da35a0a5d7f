package rebuild_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gittest"
	"mayfly/internal/rebuild"
)

func named(name string, id plumbing.Hash) *plumbing.Reference {
	return plumbing.NewHashReference(plumbing.ReferenceName(name), id)
}

func symbolic(target string) *plumbing.Reference {
	return plumbing.NewSymbolicReference(plumbing.HEAD, plumbing.ReferenceName(target))
}

// What SetRefs writes, git reads.
func TestRefNames(t *testing.T) {
	t.Parallel()
	from := source(t, gittest.Normal)
	tip, tag := plumbing.NewHash(git(t, from, "rev-parse", "main")), plumbing.NewHash(git(t, from, "rev-parse", "v1.0.0"))
	names := []string{
		"refs/heads/zeta", "refs/heads/Zeta", "refs/heads/ZETA", "refs/heads/a-b", "refs/heads/a/b", "refs/heads/a.b", "refs/heads/a0",
		"refs/heads/-x", "refs/heads/@", "refs/heads/caf\xe9", "refs/heads/caf\u00e9", "refs/heads/\xff", "refs/heads/\"quoted\"$(true)",
		"refs/tags/v1", "refs/pull/1/head", "refs/notes/commits", "refs/odd", "refs/replace/" + strings.Repeat("1", 40),
	}
	var refs []*plumbing.Reference
	want := map[string]string{}
	for i, name := range names {
		id := tip
		if i%2 == 1 {
			id = tag
		}
		refs, want[name] = append(refs, named(name, id)), id.String()
	}
	bothEngines(t, func(t *testing.T, path string) {
		r, dir := empty(t, rebuild.Options{Git: path})
		add(t, r, everything(t, from))
		if err := r.SetRefs(symbolic("refs/heads/caf\xe9"), refs); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for line := range strings.Lines(git(t, dir, "for-each-ref", "--format=%(objectname) %(refname)")) {
			id, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			got[name] = id
		}
		for name, id := range want {
			if got[name] != id {
				t.Errorf("%q is %q, not %s", name, got[name], id)
			}
			if one, err := gittest.Git(dir, "rev-parse", "--verify", name+"^{}"); err != nil || one != tip.String() && one != git(t, from, "rev-parse", "v1.0.0^{}") {
				t.Errorf("looked up by name, %q is %q: %v", name, one, err)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d refs, not %d: %v", len(got), len(want), got)
		}
		if id := git(t, dir, "rev-parse", "HEAD"); id != want["refs/heads/caf\xe9"] && id != tip.String() {
			t.Errorf("HEAD is %s", id)
		}
		// A second state takes the place of the first, all of it.
		if err := r.SetRefs(nil, refs[:1]); err != nil {
			t.Fatal(err)
		}
		if out := git(t, dir, "for-each-ref", "--format=%(refname)"); out != "refs/heads/zeta" {
			t.Errorf("the refs are %q", out)
		}
		// Git can go on from there.
		git(t, dir, "update-ref", "-d", "refs/heads/zeta")
		git(t, dir, "update-ref", "refs/heads/new", tip.String())
		git(t, dir, "pack-refs", "--all")
		git(t, dir, "fsck", "--full")
	})
}

func TestHead(t *testing.T) {
	t.Parallel()
	from := source(t, gittest.Normal)
	tip := plumbing.NewHash(git(t, from, "rev-parse", "main"))
	pack := everything(t, from)
	for name, c := range map[string]struct {
		head *plumbing.Reference
		refs []string
		want string
	}{
		"symbolic":        {symbolic("refs/heads/b"), []string{"refs/heads/a", "refs/heads/b"}, "ref: refs/heads/b\n"},
		"unborn":          {symbolic("refs/heads/nowhere"), []string{"refs/heads/a"}, "ref: refs/heads/nowhere\n"},
		"detached":        {plumbing.NewHashReference(plumbing.HEAD, tip), nil, tip.String() + "\n"},
		"unknown, main":   {nil, []string{"refs/heads/a", "refs/heads/main", "refs/heads/master"}, "ref: refs/heads/main\n"},
		"unknown, master": {nil, []string{"refs/heads/a", "refs/heads/master"}, "ref: refs/heads/master\n"},
		"unknown, others": {nil, []string{"refs/aa", "refs/heads/z", "refs/heads/b", "refs/tags/a"}, "ref: refs/heads/b\n"},
		"unknown, tags":   {nil, []string{"refs/tags/a"}, "ref: refs/heads/main\n"},
		"unknown, none":   {nil, nil, "ref: refs/heads/main\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothEngines(t, func(t *testing.T, path string) {
				r, dir := empty(t, rebuild.Options{Git: path})
				add(t, r, pack)
				var refs []*plumbing.Reference
				for _, name := range c.refs {
					refs = append(refs, named(name, tip))
				}
				if err := r.SetRefs(c.head, refs); err != nil {
					t.Fatal(err)
				}
				if text, err := os.ReadFile(filepath.Join(dir, "HEAD")); string(text) != c.want {
					t.Errorf("HEAD is %q, not %q: %v", text, c.want, err)
				}
				git(t, dir, "for-each-ref")
				git(t, dir, "fsck", "--full")
			})
		})
	}
}

func TestRefsRefused(t *testing.T) {
	t.Parallel()
	id := plumbing.NewHash(strings.Repeat("ab", 20))
	for name, c := range map[string]struct {
		head *plumbing.Reference
		refs []*plumbing.Reference
	}{
		"a line of its own": {nil, []*plumbing.Reference{named("refs/heads/a\n"+id.String()+" refs/heads/b", id)}},
		"space":             {nil, []*plumbing.Reference{named("refs/heads/a b", id)}},
		"up and away":       {nil, []*plumbing.Reference{named("refs/heads/../../config", id)}},
		"not below refs":    {nil, []*plumbing.Reference{named("config", id)}},
		"HEAD":              {nil, []*plumbing.Reference{named("HEAD", id)}},
		"lock":              {nil, []*plumbing.Reference{named("refs/heads/a.lock", id)}},
		"empty":             {nil, []*plumbing.Reference{named("", id)}},
		"no object":         {nil, []*plumbing.Reference{named("refs/heads/a", plumbing.ZeroHash)}},
		"twice":             {nil, []*plumbing.Reference{named("refs/heads/a", id), named("refs/heads/a", id)}},
		"symbolic ref":      {nil, []*plumbing.Reference{plumbing.NewSymbolicReference("refs/heads/a", "refs/heads/b")}},
		"HEAD is nothing":   {named("HEAD", plumbing.ZeroHash), nil},
		"HEAD goes away":    {symbolic("../../secret"), nil},
		"HEAD has lines":    {symbolic("refs/heads/a\nb"), nil},
		"HEAD is invalid":   {&plumbing.Reference{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, dir := empty(t, rebuild.Options{})
			if err := r.SetRefs(c.head, c.refs); err == nil || !strings.Contains(err.Error(), dir) {
				t.Errorf("SetRefs says %v", err)
			}
			if _, err := os.Lstat(filepath.Join(dir, "packed-refs")); err == nil {
				t.Error("refs were written")
			}
			if text, _ := os.ReadFile(filepath.Join(dir, "HEAD")); string(text) != "ref: refs/heads/main\n" {
				t.Errorf("HEAD is %q", text)
			}
		})
	}
}

func TestManyRefs(t *testing.T) {
	t.Parallel()
	const many = 100_000
	from := source(t, gittest.Normal)
	tip := plumbing.NewHash(git(t, from, "rev-parse", "main"))
	refs := make([]*plumbing.Reference, many)
	for i := range refs {
		refs[i] = named(fmt.Sprintf("refs/heads/b/%06d", many-i), tip)
	}
	r, dir := empty(t, rebuild.Options{})
	add(t, r, everything(t, from))
	start := time.Now()
	if err := r.SetRefs(nil, refs); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	if refs[0].Name() != "refs/heads/b/100000" {
		t.Error("the caller's refs were sorted")
	}
	if n := strings.Count(git(t, dir, "for-each-ref", "--format=x"), "x"); n != many {
		t.Errorf("git sees %d refs", n)
	}
}
