package dirsync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"mayfly/internal/store"
	"mayfly/runner"
)

const (
	window     = 4096 // files whose records wait for those before them
	maxNamed   = 1000 // failed files that the report names
	giveUpFrom = 20   // writes in a row that failed, and none that did not
)

// A run goes through all files once.
type run struct {
	*job
	rec    *runner.Recorder
	root   *os.Root
	index  *index
	cancel context.CancelCauseFunc
	large  chan struct{}

	files    int // there, and taken
	inStore  int // objects that the filter takes
	unread   int // entries that are none: directories that cannot be read, bad names
	gone     []gone
	kinds    map[string]int
	vanished atomic.Int64
	failed   atomic.Int64
	inARow   atomic.Int64
	wrote    atomic.Int64 // files
}

// A gone is what one side has and the other has not.
type gone struct {
	path   string
	object *store.Object // nil: a file
}

// A task is one file that is compared and, if it differs, brought over. done is
// closed when it has ended; record is then what the index is to say of it.
type task struct {
	pair
	done   chan struct{}
	record *record
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// all compares and brings over, then deletes, then writes the index.
func (r *run) all(ctx context.Context) error {
	up := r.config.From != ""
	tasks, order := make(chan *task), make(chan *task, window)
	work := r.download
	if up {
		work = r.upload
	}
	var workers sync.WaitGroup
	for range r.config.parallel() {
		workers.Go(func() {
			for t := range tasks {
				if ctx.Err() == nil {
					work(ctx, t)
				}
				close(t.done)
			}
		})
	}
	var records sync.WaitGroup
	var w *indexWriter
	if up {
		w = newIndexWriter(ctx, r.env.Store, r.env.Prefix+"/"+indexDir+r.env.Start.UTC().Format("20060102T150405Z")+"/")
	}
	records.Go(func() {
		for t := range order {
			<-t.done
			if w != nil && t.record != nil {
				w.add(*t.record)
			}
		}
	})
	listed := r.list(ctx, up, tasks, order)
	close(tasks)
	workers.Wait()
	close(order)
	records.Wait()
	if cause := context.Cause(ctx); listed == nil && cause != nil {
		listed = cause
	}
	if listed == nil {
		r.rec.Expect(r.files - int(r.vanished.Load()) + r.unread)
	}
	r.remarks()
	whole := listed == nil
	if whole {
		listed = r.clean(ctx, up)
	}
	if w != nil && ctx.Err() == nil {
		err := w.end(whole)
		if err == nil && whole {
			err = r.dropOld(ctx)
		}
		if err != nil {
			r.rec.Warn(runner.Problem{Doing: "write the index", Reason: err.Error(), Fix: "the files are there; the next run is slower"})
		}
	}
	return listed
}

// list goes through all paths and hands on what is to be looked at.
func (r *run) list(ctx context.Context, up bool, tasks, order chan<- *task) error {
	r.kinds = map[string]int{}
	unchanged := 0
	defer func() { r.rec.Count(runner.Unchanged, unchanged) }()
	for p, err := range r.pairs(ctx, r.root, r.index, r.lost) {
		if err != nil {
			return err
		}
		if p.object != nil && r.filter.takes(p.path) {
			r.inStore++
		}
		switch {
		case p.local != nil && p.local.problem != nil:
			r.unread++
			r.fail(r.rec.Start(p.path), p, "read", p.local.problem, p.local.fix)
			continue
		case p.local != nil && p.local.kind != "":
			r.kinds[p.local.kind]++
			continue
		case up && p.local == nil:
			if r.filter.takes(p.path) {
				r.gone = append(r.gone, gone{p.path, p.object})
			}
			continue
		case !up && p.object == nil:
			r.gone = append(r.gone, gone{path: p.path})
			continue
		case !up && !r.filter.takes(p.path):
			continue
		}
		r.files++
		t := &task{pair: p, done: closed}
		if r.same(p) {
			unchanged++
			t.record = p.known
			if unchanged%1000 == 0 {
				r.rec.Count(runner.Unchanged, unchanged)
				unchanged = 0
			}
		} else {
			t.done = make(chan struct{})
			select {
			case tasks <- t:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if up {
			order <- t // whoever writes the index ends with the workers
		}
	}
	if up && r.files == 0 && r.unread == 0 {
		return fmt.Errorf("from: %s has no file that the config takes: is its disk mounted? nothing was changed in the store", r.config.From)
	}
	if !up && r.files == 0 {
		return fmt.Errorf("to: the store has no file under %s/ that the config takes: nothing was changed in %s", r.env.Prefix, r.config.To)
	}
	return nil
}

// same reports whether a file is known to be its object, without looking.
func (r *run) same(p pair) bool {
	if p.local == nil || p.object == nil || p.known == nil || r.config.Compare == compareChecksum {
		return false
	}
	fi := p.local.info
	return fi.Size() == p.known.Size && fi.ModTime().UnixNano() == p.known.MTime && modeOf(fi) == p.known.Mode
}

// lost says that the index of the last run cannot be read on.
func (r *run) lost(err error) {
	r.rec.Warn(runner.Problem{Doing: "read the index", Reason: err.Error(), Fix: "nothing to do: the store is asked about each file, which takes longer"})
}

// fail ends an item that could not be brought over.
func (r *run) fail(it *runner.Item, p pair, doing string, err error, fix string) {
	if p.object != nil && r.config.From != "" {
		it.LastGood(p.object.Modified)
	}
	if r.failed.Add(1) > maxNamed {
		it.Fold(runner.Failed)
		return
	}
	it.End(runner.Failed, &runner.Problem{Doing: doing, Reason: err.Error(), Fix: fix})
}

// counted looks at how writes go: when none has ever worked, the rest will not
// either.
func (r *run) counted(err error) {
	if err == nil {
		r.inARow.Store(0)
		r.wrote.Add(1)
		return
	}
	if r.inARow.Add(1) >= giveUpFrom && r.wrote.Load() == 0 {
		r.cancel(fmt.Errorf("gave up, since nothing can be written: %w", err))
	}
}

// remarks are what the reader should know and cannot see from the files.
func (r *run) remarks() {
	for kind, n := range r.kinds {
		r.rec.Warn(runner.Problem{Reason: fmt.Sprintf("%s left out: they are not followed, and the store holds files only", runner.FormatCount(n, kind))})
	}
	if n := r.vanished.Load(); n > 0 {
		r.rec.Warn(runner.Problem{Reason: runner.FormatCount(int(n), "files") + " removed by others while the run was at work"})
	}
	if n := r.failed.Load(); n > maxNamed {
		r.rec.Warn(runner.Problem{Reason: runner.FormatCount(int(n-maxNamed), "files") + " failed besides those that are named here", Fix: "the first of them may tell why"})
	}
}

// dropOld removes the indexes of former runs.
func (r *run) dropOld(ctx context.Context) error {
	var errs []error
	for _, o := range r.index.old {
		if err := r.env.Store.Delete(ctx, o.Key, o.ETag); err != nil && !errors.Is(err, store.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs[:min(len(errs), 1)]...)
}

// clean deletes what is gone, if that is wanted and beyond doubt.
func (r *run) clean(ctx context.Context, up bool) error {
	n := len(r.gone)
	if n == 0 || !r.config.Delete {
		return nil
	}
	all := r.inStore
	if !up {
		all = r.files + n
	}
	switch limit := r.config.MaxDelete.of(all); {
	case r.failed.Load() > 0 || r.vanished.Load() > 0:
		r.rec.Warn(runner.Problem{Reason: runner.FormatCount(n, "files") + " gone and not deleted on the other side, since not all went well", Fix: "the next run without failures deletes them"})
		return nil
	case n > limit:
		return fmt.Errorf("%d of %d files are gone, more than max_delete: %s allows to delete at once: nothing was deleted: if that is right, set max_delete: %d for one run", n, all, r.config.MaxDelete, n)
	}
	if err := r.rec.Held(ctx); err != nil {
		return err
	}
	deleted := 0
	var errs []error
	for chunk := range slices.Chunk(r.gone, r.config.parallel()) {
		results := make([]error, len(chunk))
		var all sync.WaitGroup
		for i, g := range chunk {
			all.Go(func() { results[i] = r.remove(ctx, g) })
		}
		all.Wait()
		for _, err := range results {
			if err != nil {
				errs = append(errs, err)
			} else {
				deleted++
			}
		}
		if len(errs) > 0 || ctx.Err() != nil {
			break
		}
	}
	where := "the store"
	if !up {
		where = r.config.To
	}
	r.rec.Warn(runner.Problem{Reason: runner.FormatCount(deleted, "files") + " gone, and deleted in " + where})
	return errors.Join(errs[:min(len(errs), 3)]...)
}

func (r *run) remove(ctx context.Context, g gone) error {
	if g.object == nil {
		if err := r.root.Remove(g.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("delete %s: %w", g.path, plain(err))
		}
		return nil
	}
	err := r.env.Store.Delete(ctx, g.object.Key, g.object.ETag)
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	return err
}
