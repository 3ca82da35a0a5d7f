package dirsync

import (
	"context"
	"io/fs"
	"os"
	"path"
	"time"

	"mayfly/internal/store"
	"mayfly/runner"
)

// What is moved, while the walk is on, from a directory that is yet to be listed
// into one that has been listed already is seen under neither name. So before
// anything is deleted in the store, all directories are looked at again: if none
// has changed since it was listed, the list is what was there when the walk
// ended. What has changed is listed again, and what is new there brought over.

const (
	rounds    = 4                       // in which directories may go on changing
	skew      = 5 * time.Minute         // by which the clock of a file server may be wrong
	fineStep  = 100 * time.Millisecond  // within which two changes may have the same time
	wholeStep = 2500 * time.Millisecond // where times are whole seconds, or two
)

// A stamp is when a directory was last changed, by the clock of its file system.
type stamp struct{ mtime, ctime int64 }

func stampOf(fi fs.FileInfo) stamp { return stamp{fi.ModTime().UnixNano(), ctimeOf(fi)} }

func (s stamp) newest() time.Time { return time.Unix(0, max(s.mtime, s.ctime)) }

// step is within which time a later change may leave the same stamp.
func (s stamp) step() time.Duration {
	if s.mtime%int64(time.Second) == 0 && s.ctime%int64(time.Second) == 0 {
		return wholeStep
	}
	return fineStep
}

// A look is how a directory was when it was listed.
type look struct {
	stamp stamp
	since time.Time // when it was first seen so
	// sure says that any change after it was listed shows in the stamp.
	sure bool
}

// A tracker knows the directories that were listed, by their paths: about 150
// bytes for each. It belongs to one walk at a time.
type tracker struct {
	dirs  map[string]look
	began time.Time
	skew  time.Duration
}

func newTracker(skew time.Duration) *tracker {
	return &tracker{dirs: map[string]look{}, began: time.Now(), skew: skew}
}

// listing takes down that a directory is about to be listed, and reports whether
// it has been before, and has not changed since beyond doubt.
func (t *tracker) listing(dir *os.Root, at string) (quiet bool) {
	fi, err := dir.Stat(".")
	if err != nil {
		delete(t.dirs, at) // so it is no quiet one
		return false
	}
	now, s := time.Now(), stampOf(fi)
	l, known := t.dirs[at]
	if known && l.stamp == s && l.sure {
		return true
	}
	if !known || l.stamp != s {
		l = look{stamp: s, since: now}
	}
	l.sure = now.Sub(l.since) > s.step() || now.Sub(s.newest()) > t.skew
	t.dirs[at] = l
	return false
}

// changed looks at all directories again, and returns one that was changed since
// it was listed, or may have been; "" if there is none. wait is how long it takes
// until another look at them is beyond doubt.
func (t *tracker) changed(ctx context.Context, dir *folder) (one string, wait time.Duration, err error) {
	for at, l := range t.dirs {
		if ctx.Err() != nil {
			return "", 0, context.Cause(ctx)
		}
		fi, err := statDir(dir, at)
		switch {
		case err != nil: // so another one has changed, which held it
			delete(t.dirs, at)
		case stampOf(fi) != l.stamp:
			t.dirs[at] = look{stamp: stampOf(fi), since: time.Now()}
		case l.sure:
			continue
		}
		one = "/" + at
		if err == nil {
			wait = max(wait, t.dirs[at].stamp.step())
		}
	}
	return one, wait, nil
}

func statDir(dir *folder, at string) (fs.FileInfo, error) {
	d, err := dir.dir(path.Clean(at))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Stat(".")
}

// still reports whether what is not there was not there long before the run
// began: the directory that it would be in has not changed since.
func (t *tracker) still(rel string) bool {
	for {
		at := path.Dir(rel)
		if at == "." {
			at = ""
		}
		if l, ok := t.dirs[at]; ok {
			return l.sure && t.began.Sub(l.stamp.newest()) > t.skew
		}
		if at == "" {
			return false
		}
		rel = at
	}
}

// settle lists again what has changed since it was listed, until nothing has.
// It leaves the name of a directory that never came to rest in busy.
func (r *run) settle(ctx context.Context, w *indexWriter) error {
	for round := 0; ; round++ {
		one, wait, err := r.track.changed(ctx, r.dir)
		if err != nil || one == "" {
			return err
		}
		if round == rounds {
			r.busy = one
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := r.again(ctx, w.current()); err != nil {
			return err
		}
		if r.failed.Load() > 0 {
			return nil // nothing is deleted anyway
		}
	}
}

// again lists what has changed, and brings over what the store has not. The
// index says nothing of that: the next run asks the store.
func (r *run) again(ctx context.Context, x *index) error {
	tasks, ended := r.work(ctx, true)
	err := r.listAgain(ctx, x, tasks)
	close(tasks)
	ended()
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

func (r *run) listAgain(ctx context.Context, x *index, tasks chan<- *task) error {
	rec, stop := begin(x.records(ctx))
	defer stop()
	for e := range walk(ctx, r.dir.root, r.filter, r.badName, r.track) {
		for rec.ok && rec.err == nil && rec.at.Path < e.path {
			rec.next()
		}
		p := pair{path: e.path, local: &e}
		if rec.ok && rec.err == nil && rec.at.Path == e.path {
			known := rec.at
			p.known = &known
			p.object = &store.Object{Key: r.env.Prefix + "/" + e.path, Size: known.Size, ETag: known.ETag}
		}
		switch {
		case e.problem != nil:
			r.unread++
			r.fail(r.rec.Start(p.path), p, "read", e.problem, e.fix)
			continue
		case e.info == nil, r.recorded(p):
			continue
		}
		r.files++
		select {
		case tasks <- &task{pair: p, done: make(chan struct{})}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return context.Cause(ctx)
}

// keepDoubtful leaves of what is gone that which was gone long before the run
// began. While a directory changes all the time, anything else may have come to
// be there under another name.
func (r *run) keepDoubtful() {
	all := r.gone
	r.gone = nil
	for _, g := range all {
		if r.track.still(g.path) {
			r.gone = append(r.gone, g)
		}
	}
	if n := len(all) - len(r.gone); n > 0 {
		r.rec.Warn(runner.Problem{
			Reason: runner.FormatCount(n, "files") + " gone and not deleted in the store, since " + r.config.From + r.busy + " changed all the while, and they may have been moved there",
			Fix:    "nothing to do: a later run that finds it at rest deletes them",
		})
	}
}
