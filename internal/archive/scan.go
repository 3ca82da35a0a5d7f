package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"mayfly/internal/store"
)

// A Print is the digest of number, size and ETag of each segment of a chain as
// a store lists them. The same print says that no segment has come, gone or
// changed.
type Print [sha256.Size]byte

// And is the print of the chain with one more segment.
func (p Print) And(number int, o store.Object) Print {
	h := sha256.New()
	h.Write(p[:])
	fmt.Fprintf(h, "%d %d %s\n", number, o.Size, o.ETag)
	return Print(h.Sum(nil))
}

func (p Print) String() string { return hex.EncodeToString(p[:]) }

// A Listed is what a listing alone says of one chain. It takes no more memory
// for many segments than for one.
type Listed struct {
	Full       time.Time // the stamp in the key
	Stored     time.Time // when the store got the full segment, by its clock
	Newest     time.Time // when the newest one that can be restored was made, of any chain
	Segments   int
	Base       int64 // bytes of the full segment
	Increments int64 // bytes of all the others
	Print      Print
	// Gap says that a segment is missing or stands twice: nothing can be
	// built on the chain.
	Gap bool
}

// Extendable reports whether an increment can follow.
func (l Listed) Extendable() bool { return l.Segments > 0 && !l.Gap && l.Segments <= MaxIncrements }

// add takes in the next segment in key order.
func (l *Listed) add(p Place, o store.Object) {
	// No segment is newer than its object: the stamp of a machine whose clock
	// was ahead would make it the newest, and hide its age, for ever. The stamp
	// outlives a copy of the store, which makes all objects new.
	made := o.Modified
	if !p.Incr && p.Full.Before(made) {
		made = p.Full
	}
	if p.Number != l.Segments {
		l.Gap = true
	}
	l.Full = p.Full
	if p.Number == 0 {
		l.Stored, l.Base = o.Modified, o.Size
	} else {
		l.Increments += o.Size
	}
	if !l.Gap && made.After(l.Newest) {
		l.Newest = made
	}
	l.Segments++
	l.Print = l.Print.And(p.Number, o)
}

// And is the chain with one more segment, which this run has just written.
func (l Listed) And(s Segment) Listed {
	p := Place{Number: l.Segments, Full: l.Full, Incr: l.Segments > 0}
	if !p.Incr {
		p.Full = s.Manifest.Created.UTC().Truncate(time.Second)
	}
	l.add(p, s.Object)
	return l
}

// Scan lists the segments below prefix once and returns the newest chain of
// each "OWNER/NAME". The chain that the newest full segment begins is the
// newest one, even if nothing can be built on it. A listing that breaks off
// yields no map, only the error.
func Scan(ctx context.Context, st store.Store, prefix string) (map[string]Listed, error) {
	newest := make(map[string]Listed)
	err := eachChain(ctx, st, prefix, "", func(l Listed, name string, _ []store.Object) {
		if was, ok := newest[name]; ok {
			l = newer(was, l)
		}
		newest[name] = l
	})
	if err != nil {
		return nil, err
	}
	return newest, nil
}

// ScanOne is Scan of a single repository; nothing of it is there when the
// result has no Segments.
func ScanOne(ctx context.Context, st store.Store, prefix, owner, name string) (Listed, error) {
	var newest Listed
	err := eachChain(ctx, st, prefix, owner+"/"+name+"/", func(l Listed, _ string, _ []store.Object) {
		newest = newer(newest, l)
	})
	return newest, err
}

// Chains lists all chains of one repository, the oldest first, each with its
// segments in order.
func Chains(ctx context.Context, st store.Store, prefix, owner, name string) ([][]store.Object, error) {
	type chain struct {
		Listed
		objects []store.Object
	}
	var all []chain
	if err := eachChain(ctx, st, prefix, owner+"/"+name+"/", func(l Listed, _ string, objects []store.Object) {
		all = append(all, chain{l, objects})
	}); err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b chain) int { return a.compare(b.Listed) })
	lists := make([][]store.Object, len(all))
	for i, c := range all {
		lists[i] = c.objects
	}
	return lists, nil
}

// eachChain lists what is below prefix and within, and calls f for each chain
// with its segments.
func eachChain(ctx context.Context, st store.Store, prefix, within string, f func(l Listed, name string, objects []store.Object)) error {
	var l Listed
	var at Place
	var objects []store.Object
	end := func() {
		if l.Segments > 0 {
			f(l, at.Owner+"/"+at.Name, objects)
		}
		l, objects = Listed{}, nil
	}
	dir := below(prefix) + within
	for o, err := range st.List(ctx, dir) {
		if err != nil {
			return fmt.Errorf("list the segments in %s: %w", st.URL(dir), err)
		}
		p, ok := ParseKey(prefix, o.Key)
		if !ok {
			continue
		}
		if p.Owner != at.Owner || p.Name != at.Name || !p.Full.Equal(at.Full) {
			end()
			at = p
		}
		l.add(p, o)
		objects = append(objects, o)
	}
	end()
	return nil
}

// newer is the newer of two chains of one repository; nothing is older than
// anything.
func newer(a, b Listed) Listed {
	if b.compare(a) < 0 {
		a, b = b, a
	}
	if a.Newest.After(b.Newest) {
		b.Newest = a.Newest
	}
	return b
}

// compare orders chains of one repository by when they were begun: by the
// store's clock where that tells them apart, for a machine's may have been
// wrong; else by the stamps, for a copy of a store makes all of it new.
func (l Listed) compare(m Listed) int {
	if d := l.Stored.Sub(m.Stored); d.Abs() > 24*time.Hour {
		return l.Stored.Compare(m.Stored)
	}
	return l.Full.Compare(m.Full)
}

// ListChain lists the segments of one chain, in order.
func ListChain(ctx context.Context, st store.Store, prefix, owner, name string, full time.Time) ([]store.Object, error) {
	var objects []store.Object
	err := eachChain(ctx, st, prefix, owner+"/"+name+"/"+full.UTC().Format(stampLayout)+"/", func(_ Listed, _ string, found []store.Object) {
		objects = found
	})
	return objects, err
}
