package rebuild

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
)

// An indexer computes the ids of the objects of a pack: first of those that
// are whole, as they stand in the pack; then, from each of them, of the deltas
// that are based on it, of the deltas that are based on these, and so on.
type indexer struct {
	f      *os.File
	size   int64   // of f, trailer included
	before *reader // of the packs before

	entries []entry // by offset
	ofs     []int32 // the offset deltas among them, by base
	ref     []reference
	read    *contents
	sum     [sha1.Size]byte // the trailer
}

// An entry is an object of the pack. Its kind and id are unset as long as it
// is a delta that is not resolved.
type entry struct {
	object
	crc  uint32
	base int32 // index of what it is a delta of, once that is known
}

// noBase stands in entry.base for none, or none yet.
const noBase = -1

// A reference is an entry that names its base by id.
type reference struct {
	base  plumbing.Hash
	entry int32
}

// newIndexer is for a file that holds a pack whose trailer fits.
func newIndexer(f *os.File, size int64, before *packs) *indexer {
	x := &indexer{f: f, size: size, before: before.reader()}
	x.read = &contents{cur: newCursor(f, window), cache: cache.NewBufferLRU(cacheSize), base: x.baseOf}
	return x
}

// baseOf returns where the base of the resolved reference delta at an offset
// begins.
func (x *indexer) baseOf(at int64, _ plumbing.Hash) (int64, bool) {
	i, found := x.entryAt(at)
	if !found || x.entries[i].base == noBase {
		return 0, false
	}
	return x.entries[x.entries[i].base].at, true
}

func (x *indexer) entryAt(at int64) (int32, bool) {
	i, found := slices.BinarySearchFunc(x.entries, at, func(e entry, at int64) int { return cmp.Compare(e.at, at) })
	return int32(i), found
}

func (x *indexer) index(ctx context.Context) error {
	if err := x.scan(ctx); err != nil {
		return err
	}
	slices.SortFunc(x.ofs, func(a, b int32) int {
		return cmp.Or(cmp.Compare(x.entries[a].base, x.entries[b].base), cmp.Compare(a, b))
	})
	slices.SortFunc(x.ref, func(a, b reference) int {
		return cmp.Or(bytes.Compare(a.base[:], b.base[:]), cmp.Compare(a.entry, b.entry))
	})
	for i := range x.entries {
		if !x.entries[i].whole() {
			continue
		}
		if err := x.descend(ctx, int32(i)); err != nil {
			return err
		}
	}
	return x.complete(ctx)
}

func (e *entry) resolved() bool { return e.kind != plumbing.InvalidObject }
func (e *entry) whole() bool    { return e.resolved() && e.base == noBase }

// scan reads the pack from its beginning to its end.
func (x *indexer) scan(ctx context.Context) error {
	cur := newCursor(x.f, 128<<10)
	var head [packHeader]byte
	if _, err := io.ReadFull(cur, head[:]); err != nil {
		return err
	}
	count := binary.BigEndian.Uint32(head[8:])
	if count > math.MaxInt32/2 {
		return fmt.Errorf("it holds %d objects: this takes git", count)
	}
	for i := range count {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := x.scanEntry(cur); err != nil {
			return fmt.Errorf("object %d of %d: %w", i+1, count, err)
		}
	}
	if at := cur.offset(); at != x.size-sha1.Size {
		return fmt.Errorf("its %d objects end at byte %d of %d: the pack is damaged", count, at, x.size)
	}
	_, err := io.ReadFull(cur, x.sum[:])
	return err
}

func (x *indexer) scanEntry(cur *cursor) error {
	at := cur.offset()
	h, err := cur.header(at)
	if err != nil {
		return fmt.Errorf("entry at %d: %w", at, err)
	}
	e := entry{object: object{at: at}, base: noBase}
	self := int32(len(x.entries))
	switch h.kind {
	case plumbing.OFSDeltaObject:
		base, found := x.entryAt(at - h.back)
		if !found {
			return fmt.Errorf("entry at %d is a delta of one at %d, where none begins", at, at-h.back)
		}
		e.base = base
		x.ofs = append(x.ofs, self)
		err = cur.inflate(io.Discard, h.size)
	case plumbing.REFDeltaObject:
		x.ref = append(x.ref, reference{h.base, self})
		err = cur.inflate(io.Discard, h.size)
	default:
		hasher := plumbing.NewHasher(h.kind, h.size)
		err = cur.inflate(hasher, h.size)
		e.kind, e.id = h.kind, hasher.Sum()
	}
	if err != nil {
		return fmt.Errorf("entry at %d: %w", at, err)
	}
	e.crc = cur.sum()
	x.entries = append(x.entries, e)
	return nil
}

// descend resolves all that is based on a resolved entry, directly or not.
func (x *indexer) descend(ctx context.Context, root int32) error {
	todo := []int32{root}
	for len(todo) > 0 {
		base := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for child := range x.children(base) {
			if x.entries[child].resolved() {
				continue
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := x.resolve(child, base); err != nil {
				return err
			}
			todo = append(todo, child)
		}
	}
	return nil
}

// children yields the deltas that are based on an entry.
func (x *indexer) children(base int32) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		i, _ := slices.BinarySearchFunc(x.ofs, base, func(e, base int32) int { return cmp.Compare(x.entries[e].base, base) })
		for ; i < len(x.ofs) && x.entries[x.ofs[i]].base == base; i++ {
			if !yield(x.ofs[i]) {
				return
			}
		}
		id := x.entries[base].id
		i, _ = slices.BinarySearchFunc(x.ref, id, func(r reference, id plumbing.Hash) int { return bytes.Compare(r.base[:], id[:]) })
		for ; i < len(x.ref) && x.ref[i].base == id; i++ {
			if !yield(x.ref[i].entry) {
				return
			}
		}
	}
}

func (x *indexer) resolve(child, base int32) error {
	e := &x.entries[child]
	e.base = base
	data, err := x.read.of(e.at)
	if err != nil {
		return err
	}
	e.kind = x.entries[base].kind
	e.id = plumbing.ComputeHash(e.kind, data)
	return nil
}
