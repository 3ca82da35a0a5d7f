package rebuild_test

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gittest"
	"mayfly/internal/rebuild"
)

// bothEngines runs a test with git and without.
func bothEngines(t *testing.T, test func(t *testing.T, path string)) {
	t.Helper()
	for name, path := range map[string]string{"git": findGit(t), "go": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, path)
		})
	}
}

func findGit(t *testing.T) string {
	t.Helper()
	path := rebuild.FindGit(t.Context())
	if path == "" {
		t.Fatal("these tests need git, 2.32 or later")
	}
	return path
}

// source makes a repository of a kind.
func source(t *testing.T, kind gittest.Kind) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source.git")
	if err := gittest.Repo(dir, kind); err != nil {
		t.Fatal(err)
	}
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return gitInput(t, dir, "", args...)
}

func gitInput(t *testing.T, dir, in string, args ...string) string {
	t.Helper()
	out, err := gittest.GitInput(dir, strings.NewReader(in), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// packOf makes a pack. With --revs in args, in names revisions, otherwise
// objects.
func packOf(t *testing.T, dir, in string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"pack-objects", "--stdout", "--quiet"}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, gittest.Env(), strings.NewReader(in)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git pack-objects: %v: %s", err, said.Bytes())
	}
	return out
}

// everything is a pack of all that refs and HEAD reach.
func everything(t *testing.T, dir string) []byte {
	t.Helper()
	return packOf(t, dir, "", "--revs", "--all")
}

// state reads HEAD and the refs of a repository.
func state(t *testing.T, dir string) (head *plumbing.Reference, refs []*plumbing.Reference) {
	t.Helper()
	if target, err := gittest.Git(dir, "symbolic-ref", "-q", "HEAD"); err == nil {
		head = plumbing.NewSymbolicReference(plumbing.HEAD, plumbing.ReferenceName(target))
	} else {
		head = plumbing.NewHashReference(plumbing.HEAD, plumbing.NewHash(git(t, dir, "rev-parse", "HEAD")))
	}
	for line := range strings.Lines(git(t, dir, "for-each-ref", "--format=%(objectname) %(refname)")) {
		id, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		refs = append(refs, plumbing.NewHashReference(plumbing.ReferenceName(name), plumbing.NewHash(id)))
	}
	return head, refs
}

// tips are the objects that HEAD and the refs name.
func tips(head *plumbing.Reference, refs []*plumbing.Reference) []plumbing.Hash {
	var ids []plumbing.Hash
	if head != nil && head.Type() == plumbing.HashReference {
		ids = append(ids, head.Hash())
	}
	for _, r := range refs {
		ids = append(ids, r.Hash())
	}
	return ids
}

// empty makes an empty repository to fill.
func empty(t *testing.T, o rebuild.Options) (*rebuild.Repository, string) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "rebuilt")
	}
	r, err := rebuild.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r, o.Dir
}

// filled makes a repository with a pack and the refs of another.
func filled(t *testing.T, o rebuild.Options, from string) (*rebuild.Repository, string) {
	t.Helper()
	r, dir := empty(t, o)
	add(t, r, everything(t, from))
	if err := r.SetRefs(state(t, from)); err != nil {
		t.Fatal(err)
	}
	return r, dir
}

func add(t *testing.T, r *rebuild.Repository, packs ...[]byte) {
	t.Helper()
	for _, p := range packs {
		if err := r.AddPack(t.Context(), bytes.NewReader(p)); err != nil {
			t.Fatal(err)
		}
	}
}

func sameState(t *testing.T, got, want string) {
	t.Helper()
	for _, args := range [][]string{{"for-each-ref"}, {"show-ref", "--dereference"}} {
		g, _ := gittest.Git(got, args...)
		w, _ := gittest.Git(want, args...)
		if g != w {
			t.Errorf("git %s says\n%s\nnot\n%s", args[0], g, w)
		}
	}
	for _, args := range [][]string{{"symbolic-ref", "HEAD"}, {"rev-parse", "--verify", "HEAD"}} {
		g, gerr := gittest.Git(got, args...)
		w, werr := gittest.Git(want, args...)
		if g != w || (gerr == nil) != (werr == nil) {
			t.Errorf("git %s says %q, not %q (%v, %v)", args[0], g, w, gerr, werr)
		}
	}
}

// sound makes sure that git finds nothing wrong, and nothing left over.
func sound(t *testing.T, dir string) {
	t.Helper()
	if out := git(t, dir, "fsck", "--full", "--strict", "--no-dangling"); out != "" {
		t.Errorf("git fsck says %s", out)
	}
	packDir := filepath.Join(git(t, dir, "rev-parse", "--absolute-git-dir"), "objects", "pack")
	left, err := filepath.Glob(filepath.Join(packDir, "tmp_*"))
	if err != nil || left != nil {
		t.Errorf("left over: %q, %v", left, err)
	}
	indexes, _ := filepath.Glob(filepath.Join(packDir, "*.idx"))
	for _, path := range indexes {
		git(t, dir, "verify-pack", path)
	}
}

// a failing reader returns what it has, then an error.
func failing(have []byte, err error) io.Reader {
	return io.MultiReader(bytes.NewReader(have), readerFunc(func([]byte) (int, error) { return 0, err }))
}

// a hanging reader returns what it has, and then nothing until ctx ends.
func hanging(ctx context.Context, have []byte) io.Reader {
	return io.MultiReader(bytes.NewReader(have), readerFunc(func([]byte) (int, error) {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
