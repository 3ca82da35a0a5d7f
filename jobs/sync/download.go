package dirsync

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"regexp"
	"time"

	"mayfly/internal/store"
	"mayfly/runner"
)

// download brings one file from the store, if it differs.
func (r *run) download(ctx context.Context, t *task) {
	it := r.rec.Start(t.path)
	it.Expect(t.object.Size)
	if t.local != nil {
		differs, _, err := r.differs(ctx, r.dir, t.pair, nil)
		switch {
		case err == nil && !differs:
			it.Fold(runner.Unchanged)
			return
		case err != nil && !errors.Is(err, errVanished) && !errors.Is(err, errChanged):
			if ctx.Err() == nil {
				r.fail(it, t.pair, "compare", err, fixOf(err))
			}
			return
		case err == nil && r.onlyMode(ctx, t.pair):
			it.Fold(runner.Changed)
			return
		}
	}
	f := fetch{store: r.env.Store, dir: r.dir}
	for try := 1; ; try++ {
		err := f.one(ctx, t.path, *t.object, t.known, t.copied, it.Read)
		switch {
		case err == nil:
			r.counted(nil)
			it.Wrote(t.object.Size)
			it.Fold(runner.Changed)
		case errors.Is(err, store.ErrNotExist):
			r.vanished.Add(1)
			it.Forget()
		case ctx.Err() != nil: // interrupted, as the runner finds it
		case errors.Is(err, errBroken) && try < tries:
			continue
		default:
			r.counted(err)
			r.fail(it, t.pair, "fetch", err, "")
		}
		return
	}
}

// onlyMode gives a file the permissions that it is to have, if it lacks nothing
// else, and reports whether that was so.
func (r *run) onlyMode(ctx context.Context, p pair) bool {
	fi := p.local.info
	if r.config.Compare == compareChecksum || fi.Size() != p.object.Size {
		return false
	}
	mtime, mode, err := attributes(ctx, r.env.Store, *p.object, p.known)
	return err == nil && fi.ModTime().Equal(mtime) && fi.Mode().Perm() != mode && r.chmod(p, mode) == nil
}

// chmod gives the file that was listed, and no other, its permissions. One that
// cannot be read is fetched again.
func (r *run) chmod(p pair, mode fs.FileMode) error {
	f, err := r.dir.file(p.path)
	if err != nil {
		return err
	}
	defer f.Close()
	if is, err := f.Stat(); err != nil || !os.SameFile(is, p.local.info) {
		return errSpecial
	}
	return f.Chmod(mode)
}

// removeLeftover removes what a run that was cut off left of a file that it
// fetched, unless another one is perhaps at work on it.
func (r *run) removeLeftover(rel string) {
	dir, err := r.dir.dir(path.Dir(rel))
	if err != nil {
		return
	}
	defer dir.Close()
	name := path.Base(rel)
	if fi, err := dir.Lstat(name); err == nil && fi.Mode().IsRegular() && time.Since(fi.ModTime()) > time.Hour {
		_ = dir.Remove(name)
	}
}

// temporaryForm is that of the names of files that are being fetched.
var temporaryForm = regexp.MustCompile(`^\.mayfly-[A-Z2-7]{26}\.tmp$`)

// unfinishedForm is that of the names of objects that are being written to a
// store which is a directory.
var unfinishedForm = regexp.MustCompile(`^\.mayfly-tmp-[A-Z2-7]{26}$`)

// errBroken says that a body did not come to its end: it may the next time.
var errBroken = errors.New("the transfer broke off")
