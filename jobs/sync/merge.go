package dirsync

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"mayfly/internal/store"
)

// A pair is what there is of one path, on either side.
type pair struct {
	path   string
	local  *entry        // nil: the directory has none
	object *store.Object // nil: the store has none
	known  *record       // what the index says of the object, if it is about that version
	copied *record       // what it says of another version of that length, with a sum: of this one, if the store was copied
	// stale says that this is none of all that: the index has a record of an
	// object that is not there, or is another by now; without a path it cannot
	// be read on.
	stale bool
}

var errOrder = errors.New("the store's listing is not in order: nothing can be compared with it")

// A cursor stands at one element of a sequence.
type cursor[T any] struct {
	pull func() (T, error, bool)
	at   T
	err  error
	ok   bool // it is not at the end
}

func begin[T any](seq iter.Seq2[T, error]) (*cursor[T], func()) {
	pull, stop := iter.Pull2(seq)
	c := &cursor[T]{pull: pull}
	c.next()
	return c, stop
}

func (c *cursor[T]) next() { c.at, c.err, c.ok = c.pull() }

// merge goes through the directory, the store's listing and the index side by
// side: all three are in the order of their paths. An error of the listing ends
// it; one of the index only ends what is known.
func merge(ctx context.Context, local iter.Seq[entry], objects iter.Seq2[store.Object, error], records iter.Seq2[record, error], prefix string, lost func(error)) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		file, stop := begin(sure(local))
		defer stop()
		object, stop := begin(below(objects, prefix))
		defer stop()
		rec, stop := begin(records)
		defer stop()
		for {
			var p pair
			switch {
			case ctx.Err() != nil:
				yield(pair{}, context.Cause(ctx))
				return
			case object.err != nil:
				yield(pair{}, fmt.Errorf("list the store: %w", object.err))
				return
			case file.ok && (!object.ok || file.at.path <= object.at.Key):
				p.path = file.at.path
			case object.ok:
				p.path = object.at.Key
			}
			for rec.ok && rec.err == nil && (rec.at.Path < p.path || p.path == "") {
				if !yield(pair{path: rec.at.Path, stale: true}, nil) {
					return
				}
				rec.next()
			}
			if rec.ok && rec.err != nil {
				lost(rec.err)
				if rec.ok = false; !yield(pair{stale: true}, nil) {
					return
				}
			}
			if p.path == "" {
				return
			}
			if file.ok && file.at.path == p.path {
				e := file.at
				p.local = &e
				file.next()
			}
			if object.ok && object.at.Key == p.path {
				o := object.at
				o.Key = prefix + "/" + o.Key
				p.object = &o
				object.next()
			}
			if rec.ok && rec.at.Path == p.path {
				switch r := rec.at; {
				case p.object == nil || r.Size != p.object.Size:
				case r.ETag == p.object.ETag:
					p.known = &r
				case r.CRC32C != "":
					p.copied = &r
				}
				rec.next()
				if p.known == nil && !yield(pair{path: p.path, object: p.object, copied: p.copied, stale: true}, nil) {
					return
				}
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// sure is a sequence that has no errors.
func sure[T any](seq iter.Seq[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v := range seq {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// below yields the objects below a prefix with keys relative to it, without
// mayfly's own, and makes sure that they are in order.
func below(objects iter.Seq2[store.Object, error], prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		last := ""
		for o, err := range objects {
			key, inside := strings.CutPrefix(o.Key, prefix+"/")
			switch {
			case err != nil:
			case !inside || key <= last:
				err = errOrder
			case strings.HasPrefix(key, indexDir):
				last = key
				continue
			}
			last, o.Key = key, key
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}
