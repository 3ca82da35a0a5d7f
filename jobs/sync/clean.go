package dirsync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"

	"mayfly/internal/store"
	"mayfly/runner"
)

// A gone is what one side has and the other has not.
type gone struct {
	path string
	etag store.ETag  // of the object
	info fs.FileInfo // of the file; nil: it is an object
	away bool        // it was an object, and may be no more
}

// missed takes down what one side has and the other has not.
func (r *run) missed(p pair) {
	if !r.config.Delete {
		return
	}
	g := gone{path: p.path}
	if p.object != nil {
		g.etag = p.object.ETag
	} else {
		g.info = p.local.info
	}
	r.gone = append(r.gone, g)
}

// limit is how many files may be deleted at once, and of how many.
func (r *run) limit(up bool) (all, limit int) {
	all = r.inStore
	if !up {
		all = r.files + len(r.gone)
	}
	return all, r.config.MaxDelete.of(all)
}

// mayClean reports whether there is something to delete, and no reason yet why
// it must not be.
func (r *run) mayClean(up bool) bool {
	n := len(r.gone)
	_, limit := r.limit(up)
	return n > 0 && n <= limit && r.failed.Load() == 0
}

// clean deletes what is gone, if that is wanted and beyond doubt.
func (r *run) clean(ctx context.Context, up bool) error {
	n := len(r.gone)
	if n == 0 {
		return nil
	}
	all, limit := r.limit(up)
	const later = "the next run without failures deletes them"
	switch {
	case r.failed.Load() > 0:
		r.rec.Warn(runner.Problem{Reason: runner.FormatCount(n, "files") + " gone and not deleted on the other side, since not all went well", Fix: later})
		return nil
	case r.moved && !up:
		r.rec.Warn(runner.Problem{Reason: runner.FormatCount(n, "files") + " gone and not deleted on the other side, since a directory was moved or removed while it was listed", Fix: later})
		return nil
	case !up && r.index.cut:
		r.rec.Warn(runner.Problem{Reason: runner.FormatCount(n, "files") + " not in the store and not deleted here, since the last run that wrote to the store was cut off", Fix: "sync to the store first"})
		return nil
	case n > limit:
		return fmt.Errorf("%d of %d files are gone, more than max_delete: %s allows to delete at once: nothing was deleted: if that is right, set max_delete: \"%d\" for one run", n, all, r.config.MaxDelete, n)
	}
	if r.busy != "" {
		r.keepDoubtful()
	}
	if err := r.rec.Held(ctx); err != nil {
		return err
	}
	deleted, err := r.removeAll(ctx)
	where := "the store"
	if !up {
		where = r.config.To
	}
	if deleted > 0 {
		r.rec.Warn(runner.Problem{Reason: runner.FormatCount(deleted, "files") + " gone, and deleted in " + where})
	}
	return err
}

// removeAll deletes what is gone; the first failure ends it.
func (r *run) removeAll(ctx context.Context) (deleted int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var n, at atomic.Int64
	var workers sync.WaitGroup
	for range r.config.parallel() {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(at.Add(1)) - 1
				if i >= len(r.gone) {
					return
				}
				done, err := r.remove(ctx, &r.gone[i])
				if err != nil {
					cancel(err)
				} else if done {
					n.Add(1)
				}
			}
		})
	}
	workers.Wait()
	return int(n.Load()), context.Cause(ctx)
}

// remove deletes one, unless it has come back, or become another, meanwhile.
func (r *run) remove(ctx context.Context, g *gone) (bool, error) {
	if g.info == nil {
		fi, err := r.dir.lstat(g.path)
		if err == nil && !fi.IsDir() || err != nil && !missing(err) {
			return false, nil
		}
		err = r.env.Store.Delete(ctx, r.env.Prefix+"/"+g.path, g.etag)
		g.away = !errors.Is(err, store.ErrChanged)
		if errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrChanged) {
			return false, nil
		}
		return err == nil, err
	}
	dir, err := r.dir.dir(path.Dir(g.path))
	if err != nil {
		return false, nil
	}
	defer dir.Close()
	now, err := dir.Lstat(path.Base(g.path))
	if err != nil || !now.Mode().IsRegular() || now.Size() != g.info.Size() || !now.ModTime().Equal(g.info.ModTime()) {
		return false, nil
	}
	err = dir.Remove(path.Base(g.path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("delete %s: %w", g.path, plain(err))
	}
	return err == nil, nil
}
