package dirsync

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"mayfly/internal/store"
	"mayfly/runner"
)

const (
	window     = 4096 // files whose records wait for those before them
	maxNamed   = 1000 // failed files that the report names
	giveUpFrom = 20   // writes in a row that failed, and none that did not

	indexTime = 10 * time.Second // for what is left of the index when the run is cut off
)

// A run goes through all files once.
type run struct {
	*job
	rec    *runner.Recorder
	dir    *folder
	index  *index
	cancel context.CancelCauseFunc
	large  chan struct{}

	files    int  // there, and taken
	inStore  int  // objects that the filter takes
	unread   int  // entries that are none: directories that cannot be read, bad names
	moved    bool // a directory went away while the run was at work
	gone     []gone
	busy     string   // a directory that changed as often as it was looked at
	track    *tracker // of the directories that were listed; nil: nothing is deleted in the store
	kinds    map[string]int
	vanished atomic.Int64
	failed   atomic.Int64
	inARow   atomic.Int64
	wrote    atomic.Int64 // files
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

// all compares and brings over, then deletes, then ends the index.
func (r *run) all(ctx context.Context) error {
	up := r.config.From != ""
	if up && r.config.Delete {
		r.track = newTracker(r.skew)
	}
	tasks, ended := r.work(ctx, up)
	order := make(chan *task, window)
	var records sync.WaitGroup
	after, cancel := outliving(ctx, indexTime)
	defer cancel()
	w := newIndexWriter(after, r.env.Store, r.env.Prefix, r.index.next(r.env.Start), r.index)
	records.Go(func() {
		for t := range order {
			<-t.done
			switch {
			case t.stale:
				w.differs()
			case t.record != nil:
				w.add(*t.record, t.known)
			case t.known != nil:
				w.differs()
			}
		}
	})
	listed := r.list(ctx, up, tasks, order)
	close(tasks)
	ended()
	close(order)
	records.Wait()
	if cause := context.Cause(ctx); listed == nil && cause != nil {
		listed = cause
	}
	whole := listed == nil
	if whole && r.mayClean(up) && up {
		listed = r.settle(ctx, w)
	}
	if listed == nil {
		r.rec.Expect(r.files - int(r.vanished.Load()) + r.unread)
	}
	r.remarks()
	if listed == nil {
		listed = r.clean(ctx, up)
	}
	if up {
		err := r.endIndex(ctx, w, whole)
		if err != nil && ctx.Err() == nil {
			r.rec.Warn(runner.Problem{Doing: "write the index", Reason: err.Error(), Fix: "the files are there; the next run is slower"})
		}
	}
	return listed
}

// work starts what does the tasks; ended waits until all are done, once no more
// can come.
func (r *run) work(ctx context.Context, up bool) (tasks chan *task, ended func()) {
	tasks = make(chan *task)
	var workers sync.WaitGroup
	for range r.config.parallel() {
		workers.Go(func() {
			for t := range tasks {
				r.one(ctx, t, up)
			}
		})
	}
	return tasks, workers.Wait
}

// outliving is a context that ends so long after another one. The index of a
// run that was cut off is written, too: the next run need not ask about what
// this one has done, and whoever brings it all elsewhere sees that it was cut.
func outliving(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	after, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return after, cancel
}

// one does one file. The runner's guard against panics does not reach here.
func (r *run) one(ctx context.Context, t *task, up bool) {
	defer close(t.done)
	defer func() {
		if p := recover(); p != nil {
			r.rec.Log().Error("panic", "file", t.path, "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			r.cancel(fmt.Errorf("%s: a bug in mayfly: %v: report it with the log", t.path, p))
		}
	}()
	switch {
	case ctx.Err() != nil:
	case up:
		r.upload(ctx, t)
	default:
		r.download(ctx, t)
	}
}

// list goes through all paths and hands on what is to be looked at.
func (r *run) list(ctx context.Context, up bool, tasks, order chan<- *task) error {
	r.kinds = map[string]int{}
	unchanged := 0
	defer func() { r.rec.Count(runner.Unchanged, unchanged) }()
	for p, err := range r.pairs(ctx, r.dir, r.index, r.track, r.lost) {
		if err != nil {
			return err
		}
		t := &task{pair: p, done: closed, record: p.known}
		look := false
		switch {
		case p.stale:
			if !up && !r.index.cut && r.isLost(p) {
				r.unread++
				r.fail(r.rec.Start(p.path), p, "fetch", errLost, fixLost)
			}
		case !r.file(p, up):
			if p.known == nil {
				continue
			}
		case r.same(p):
			if unchanged++; unchanged%1000 == 0 {
				r.rec.Count(runner.Unchanged, unchanged)
				unchanged = 0
			}
		default:
			look = true
			t.done, t.record = make(chan struct{}), nil
		}
		if look {
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
	if r.files == 0 && r.unread == 0 {
		return r.none()
	}
	return nil
}

// none says that there is nothing to bring over.
func (j *job) none() error {
	if j.config.From != "" {
		return fmt.Errorf("from: %s has no file that the config takes: is its disk mounted? nothing was changed in the store", j.config.From)
	}
	return fmt.Errorf("to: the store has no file under %s/ that the config takes: nothing was changed in %s", j.env.Prefix, j.config.To)
}

// file takes note of a pair, and reports whether it is a file to bring over.
func (r *run) file(p pair, up bool) bool {
	takes := r.filter.takes(p.path)
	if p.object != nil && takes {
		r.inStore++
	}
	switch e := p.local; {
	case e != nil && e.problem != nil:
		r.unread++
		r.fail(r.rec.Start(p.path), p, "read", e.problem, e.fix)
	case e != nil && e.gone:
		r.moved = true
	case e != nil && e.leftover:
		if !up {
			r.removeLeftover(p.path)
		}
	case e != nil && e.kind != "" && !up && p.object != nil && takes:
		r.unread++
		r.fail(r.rec.Start(p.path), p, "fetch", errInTheWay, "move it away")
	case e != nil && e.kind != "":
		r.kinds[e.kind]++
	case up && e == nil || !up && p.object == nil:
		if takes {
			r.missed(p)
		}
	case takes:
		r.files++
		return true
	}
	return false
}

var errInTheWay = errors.New("what stands there is no file: a link is not followed, and nothing but a file is replaced")

var errLost = errors.New("the store has lost it: the index has it, and no object is there")

const fixLost = "sync it to the store again from where it still is; what is here stays. If it was deleted in the store on purpose, the next run to the store takes that down"

// isLost reports whether a pair is a file that the last run to the store has
// recorded and that is not there.
func (j *job) isLost(p pair) bool {
	return p.stale && p.path != "" && p.object == nil && j.filter.takes(p.path)
}

// same reports whether a file is known to be its object, without looking.
func (r *run) same(p pair) bool {
	return p.local != nil && p.object != nil && p.known != nil && r.config.Compare != compareChecksum && r.recorded(p)
}

// recorded reports whether a file has the size, time and mode that the index
// says.
func (r *run) recorded(p pair) bool {
	if p.known == nil {
		return false
	}
	fi := p.local.info
	return fi.Size() == p.known.Size && r.sameTime(momentOf(fi.ModTime()), p.known.MTime) && r.sameMode(p.known.Mode, modeOf(fi))
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
	it.End(runner.Failed, &runner.Problem{Doing: doing, Reason: r.env.Redact(err.Error()), Fix: fix})
}

// counted looks at how writes go: when none has ever worked, the rest will not
// either. What is wrong with one file alone does not count.
func (r *run) counted(err error) {
	if store.OfOne(err) || errors.Is(err, errInTheWay) || errors.Is(err, errNoDir) || errors.Is(err, errOther) {
		return
	}
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
		r.rec.Warn(runner.Problem{Reason: runner.FormatCount(n, kind) + " left out: links are not followed, and the store holds files only"})
	}
	if n := r.vanished.Load(); n > 0 {
		r.rec.Warn(runner.Problem{Reason: runner.FormatCount(int(n), "files") + " removed by others while the run was at work"})
	}
	if n := r.failed.Load(); n > maxNamed {
		r.rec.Warn(runner.Problem{Reason: runner.FormatCount(int(n-maxNamed), "files") + " failed besides those that are named here", Fix: "the first of them may tell why"})
	}
}
