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
}

var errOrder = errors.New("the store's listing is not in order: nothing can be compared with it")

// merge goes through the directory, the store's listing and the index side by
// side: all three are in the order of their paths. An error of the listing ends
// it; one of the index only ends what is known.
func merge(ctx context.Context, local iter.Seq[entry], objects iter.Seq2[store.Object, error], records iter.Seq2[record, error], prefix string, lost func(error)) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		nextLocal, stopLocal := iter.Pull(local)
		defer stopLocal()
		nextObject, stopObject := iter.Pull2(objects)
		defer stopObject()
		nextRecord, stopRecord := iter.Pull2(records)
		defer stopRecord()

		file, more := nextLocal()
		last := ""
		object, oerr, some := nextObject()
		advance := func() bool {
			for {
				object, oerr, some = nextObject()
				if !some || oerr != nil {
					return true
				}
				p := strings.TrimPrefix(object.Key, prefix+"/")
				if p <= last {
					oerr = errOrder
					return true
				}
				if last = p; !strings.HasPrefix(p, indexDir) {
					return true
				}
			}
		}
		if some && oerr == nil {
			if last = strings.TrimPrefix(object.Key, prefix+"/"); strings.HasPrefix(last, indexDir) {
				advance()
			}
		}
		rec, rerr, known := nextRecord()
		for {
			if ctx.Err() != nil {
				yield(pair{}, context.Cause(ctx))
				return
			}
			if some && oerr != nil {
				yield(pair{}, fmt.Errorf("list the store: %w", oerr))
				return
			}
			if !more && !some {
				return
			}
			var p pair
			key := strings.TrimPrefix(object.Key, prefix+"/")
			switch {
			case !some || more && file.path < key:
				p.path, p.local = file.path, &entry{}
				*p.local = file
				file, more = nextLocal()
			case !more || key < file.path:
				o := object
				p.path, p.object = key, &o
				advance()
			default:
				o := object
				p.path, p.local, p.object = key, &entry{}, &o
				*p.local = file
				file, more = nextLocal()
				advance()
			}
			for known && rerr == nil && rec.Path < p.path {
				rec, rerr, known = nextRecord()
			}
			if known && rerr != nil {
				lost(rerr)
				known = false
			}
			if known && rec.Path == p.path && p.object != nil && rec.ETag == p.object.ETag && rec.Size == p.object.Size {
				r := rec
				p.known = &r
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}
