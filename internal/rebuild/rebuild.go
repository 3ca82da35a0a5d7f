// Package rebuild makes a git repository on disk out of packs and refs.
//
// Two engines do the same work: the system's git, and one in Go for machines
// without git. Both compute the id of every object from its bytes, keep the
// packs as packs, and walk everything that the refs need. The files around
// the packs are written here and never by `git init`, so that nothing of the
// user's templates, hooks and defaults gets in, and both engines leave the
// same repository behind.
//
// What a call has written is durable when it returns without error; only a
// work tree is left to the operating system, its content being in the packs.
package rebuild

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

var (
	// ErrNoGit is wrapped by Push, which only the system's git can do.
	ErrNoGit = errors.New("git is missing, or older than " + oldestGit)
	// ErrUnborn is wrapped by CheckOut when HEAD names nothing.
	ErrUnborn = errors.New("HEAD names no commit")
)

// Options say where a repository is made, and with what.
type Options struct {
	Dir      string   // must not exist, or be an empty directory
	Git      string   // the git to use, as FindGit returns it; "": none
	Checkout bool     // Dir is a work tree and holds .git; otherwise Dir is bare
	Env      []string // for git, which gets no GIT_* of it but in Push; nil: the process's
}

// A Repository is one that is being rebuilt, in a directory of its own. The
// order is AddPack for every pack, Connected, SetRefs, CheckOut, Push. After
// an error of AddPack the directory is of no use. Not for concurrent use.
type Repository struct {
	dir    string // Options.Dir, absolute
	gitDir string
	bare   bool
	engine engine
	git    *git // nil: none
	env    []string
	refs   refs
}

// An engine stores packs below gitDir and walks their objects.
type engine interface {
	// addPack reads a pack of at least one object to its end.
	addPack(ctx context.Context, in *input) error
	// connected is Repository.Connected with at least one tip.
	connected(ctx context.Context, tips []plumbing.Hash) error
	// checkOut writes the tree of HEAD, which is head, and the index.
	checkOut(ctx context.Context, workTree string, head plumbing.Hash) error
}

var (
	_ engine = (*git)(nil)
	_ engine = (*packs)(nil)
)

// New makes an empty repository. A directory that holds anything is refused
// and left as it is.
func New(ctx context.Context, o Options) (*Repository, error) {
	r, err := create(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("make a repository in %s: %w", o.Dir, err)
	}
	return r, nil
}

func create(ctx context.Context, o Options) (*Repository, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := claim(dir); err != nil {
		return nil, err
	}
	r := &Repository{dir: dir, gitDir: dir, bare: !o.Checkout, env: o.Env}
	if o.Checkout {
		r.gitDir = filepath.Join(dir, ".git")
	}
	if r.env == nil {
		r.env = os.Environ()
	}
	if err := layOut(r.gitDir, r.bare); err != nil {
		return nil, err
	}
	if err := errors.Join(syncDir(dir), syncDir(filepath.Dir(dir))); err != nil {
		return nil, err
	}
	if o.Git != "" {
		r.git = &git{path: o.Git, dir: r.gitDir, env: closedEnv(r.env, r.gitDir)}
		r.engine = r.git
	} else {
		r.engine = &packs{dir: filepath.Join(r.gitDir, "objects", "pack")}
	}
	return r, nil
}

// claim makes dir, or finds it empty. Here and for all that a repository holds
// the modes are what git gives: everything, less what the umask takes away.
func claim(dir string) error {
	names, err := os.ReadDir(dir)
	switch {
	case err == nil && len(names) > 0:
		return errors.New("the directory is not empty: name another one, or one that does not exist")
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return os.MkdirAll(dir, 0o777)
	}
	return err
}

// AddPack reads a pack to its end and adds its objects. Deltas may be based
// on objects of the packs before. It makes sure of the pack's trailer, that
// nothing follows it, and that every object yields an id; whether the objects
// are the ones that are needed, Connected tells.
//
// It returns when ctx ends, even from within a Read of pack that does not;
// that Read is then left to itself, so close pack to end it.
func (r *Repository) AddPack(ctx context.Context, pack io.Reader) error {
	in := newInput(ctx, pack)
	defer in.stop()
	if err := r.addPack(ctx, in); err != nil {
		r.sweep()
		return fmt.Errorf("add a pack to %s: %w", r.dir, err)
	}
	return nil
}

func (r *Repository) addPack(ctx context.Context, in *input) error {
	count, err := in.header()
	if err == nil && count > 0 {
		err = r.engine.addPack(ctx, in)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case in.failed() != nil: // tells more than what the engine made of it
		return fmt.Errorf("read it: %w", in.failed())
	case err != nil:
		return err
	}
	if err := in.finish(); err != nil {
		return err
	}
	if count == 0 && in.n > packHeader+sha1.Size {
		return fmt.Errorf("it holds no object in %d bytes: the pack is damaged", in.n)
	}
	return syncDir(filepath.Join(r.gitDir, "objects", "pack"))
}

// sweep removes what a failed AddPack has left unfinished.
func (r *Repository) sweep() {
	dir := filepath.Join(r.gitDir, "objects", "pack")
	names, _ := os.ReadDir(dir)
	for _, n := range names {
		if strings.HasPrefix(n.Name(), "tmp_") {
			os.Remove(filepath.Join(dir, n.Name()))
		}
	}
}

// Connected walks everything that is reachable from tips, which may be
// commits, trees, blobs and tags, and reports the first object it finds
// missing or damaged, by id. The commits that trees name (submodules, mode
// 160000) belong to other repositories and are not looked for.
//
// The content of objects is not hashed once more: AddPack has computed their
// ids, so an object that is there is the right one.
func (r *Repository) Connected(ctx context.Context, tips []plumbing.Hash) error {
	err := context.Cause(ctx)
	if err == nil && len(tips) > 0 {
		err = r.engine.connected(ctx, tips)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("check that %s is complete: %w", r.dir, err)
	}
	return nil
}
