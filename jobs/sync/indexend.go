package dirsync

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"mayfly/internal/store"
)

// next is the stamp of the index that comes after this one: when its run began,
// or else, if a clock was ahead, the next that is free.
func (x *index) next(began time.Time) time.Time {
	began = began.UTC().Truncate(time.Second)
	last, err := time.Parse(stampForm, x.newest)
	if err == nil && !began.After(last) {
		return last.Add(time.Second)
	}
	return began
}

// endIndex ends the index of a run that has brought over what it could, and has
// deleted what it was to. What was not deleted keeps its record: times and sums
// of it stand nowhere else in a store that is a directory.
func (r *run) endIndex(ctx context.Context, w *indexWriter, whole bool) error {
	away := slices.DeleteFunc(slices.Clone(r.gone), func(g gone) bool { return !g.away })
	old := r.index.old
	if len(away) > 0 {
		all := w.current()
		if w.failed != nil {
			return w.failed
		}
		old = append(slices.Clone(old), w.pieces...)
		w = newIndexWriter(w.ctx, w.st, w.prefix, w.stamp.Add(time.Second), &index{})
		w.differs()
		for rec, err := range all.records(w.ctx) {
			if err != nil {
				return err
			}
			if _, is := slices.BinarySearchFunc(away, rec.Path, func(g gone, path string) int { return strings.Compare(g.path, path) }); !is {
				w.add(rec, nil)
			}
		}
	}
	if err := w.end(whole); err != nil || !whole || !w.wrote {
		return err
	}
	for _, o := range old { // of former runs, and what this one has written on the way
		if err := r.env.Store.Delete(ctx, o.Key, o.ETag); err != nil && !errors.Is(err, store.ErrNotExist) {
			return err
		}
	}
	return nil
}
