package archive

import (
	"cmp"
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
	Stored     time.Time // when the store got the first segment, by its clock
	Newest     time.Time // when the newest one that can be restored was made, of any chain
	Segments   int
	Base       int64 // bytes of the full segment
	Increments int64 // bytes of all the others
	Print      Print
	// Doubt says that the index has a record of this chain, and that the
	// segments which it is about are not listed as they were then.
	Doubt bool
	// Marked says that its folder has a mark: verify has found damage.
	Marked bool
	// Gap says that a segment is missing or stands twice: nothing can be
	// built on the chain.
	Gap bool
}

// Extendable reports whether an increment can follow.
func (l Listed) Extendable() bool {
	return l.Segments > 0 && !l.Gap && !l.Marked && l.Segments <= MaxIncrements
}

// add takes in the next segment in key order.
func (l *Listed) add(p Place, o store.Object) {
	made := o.Modified
	if !p.Incr {
		made = capped(p.Full, o)
	}
	if p.Number != l.Segments {
		l.Gap = true
	}
	l.Full = p.Full
	if l.Segments == 0 {
		l.Stored = o.Modified
	}
	if p.Number == 0 {
		l.Base = o.Size
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

// A Folder is one chain as it is listed: its segments, in order.
type Folder struct {
	Listed
	Objects []store.Object
}

// Scan lists the segments below prefix once and returns the newest chain of
// each "OWNER/NAME", and what the index has a record of and is not listed. The
// index must have been read before: a segment that comes between is only new.
// The chain that the newest full segment begins is the newest one, even if
// nothing can be built on it. A listing that breaks off yields the error only.
func Scan(ctx context.Context, st store.Store, prefix string, x *Index) (map[string]Listed, []Missing, error) {
	newest := make(map[string]Listed)
	there := make(map[string]int)
	err := eachChain(ctx, st, prefix, "", x, func(f Folder, name string) {
		if e, ok := x.Get(name); ok && e.Chain.Equal(f.Full) {
			there[name] = f.Segments
		}
		if was, ok := newest[name]; ok {
			f.Listed = newer(was, f.Listed)
		}
		newest[name] = f.Listed
	})
	if err != nil {
		return nil, nil, err
	}
	return newest, x.missing(there), nil
}

// ScanOne is Scan of a single repository; nothing of it is there when the
// result has no Segments.
func ScanOne(ctx context.Context, st store.Store, prefix, owner, name string, x *Index) (Listed, error) {
	var newest Listed
	err := eachChain(ctx, st, prefix, owner+"/"+name+"/", x, func(f Folder, _ string) {
		newest = newer(newest, f.Listed)
	})
	return newest, err
}

// Chains lists all chains of one repository, the oldest first. The index may
// be nil: then none of them is in doubt.
func Chains(ctx context.Context, st store.Store, prefix, owner, name string, x *Index) ([]Folder, error) {
	var all []Folder
	if err := eachChain(ctx, st, prefix, owner+"/"+name+"/", x, func(f Folder, _ string) {
		all = append(all, f)
	}); err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b Folder) int { return a.compare(b.Listed) })
	return all, nil
}

// eachChain lists what is below prefix and within, and calls f for each chain.
func eachChain(ctx context.Context, st store.Store, prefix, within string, x *Index, f func(chain Folder, name string)) error {
	var l Listed
	var at Place
	var objects []store.Object
	end := func() {
		if l.Segments > 0 {
			f(Folder{l, objects}, at.Owner+"/"+at.Name)
		}
		l, objects = Listed{}, nil
	}
	dir := below(prefix) + within
	for o, err := range st.List(ctx, dir) {
		if err != nil {
			return fmt.Errorf("list the segments in %s: %w", st.URL(dir), err)
		}
		p, ok := ParseKey(prefix, o.Key)
		if !ok { // a mark stands behind the segments: letters come after digits
			l.mark(l.Segments > 0 && o.Key == MarkKey(prefix, at.Owner, at.Name, at.Full))
			continue
		}
		if p.Owner != at.Owner || p.Name != at.Name || !p.Full.Equal(at.Full) {
			end()
			at = p
		}
		l.add(p, o)
		l.Doubt = x.doubts(at.Owner+"/"+at.Name, l)
		objects = append(objects, o)
	}
	end()
	return nil
}

// mark takes in a mark.
func (l *Listed) mark(found bool) {
	if found {
		l.Marked, l.Newest = true, time.Time{} // nobody knows what of it is good
	}
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

// Began is when the chain was begun, as far as the listing tells: its stamp,
// unless a machine's clock was ahead when it was made.
func (l Listed) Began() time.Time { return capped(l.Full, store.Object{Modified: l.Stored}) }

// capped is when an object was made that says so itself: never later than the
// store got it, for the clock of the machine that made it may have been ahead,
// and would make it the newest, and hide its age, for ever. It is no later for
// an object that is newer: a copy in place, of one object or of the whole
// store, makes it new and leaves what is in it as old as it was.
func capped(made time.Time, o store.Object) time.Time {
	if o.Modified.Before(made) && o.Modified.Unix() > 0 { // some file systems have no times
		return o.Modified
	}
	return made
}

// compare orders chains of one repository by when they were begun, and else by
// their stamps, which no two of them share.
func (l Listed) compare(m Listed) int {
	return cmp.Or(l.Began().Compare(m.Began()), l.Full.Compare(m.Full))
}

// ListChain lists the segments of one chain, in order.
func ListChain(ctx context.Context, st store.Store, prefix, owner, name string, full time.Time) ([]store.Object, error) {
	var objects []store.Object
	err := eachChain(ctx, st, prefix, owner+"/"+name+"/"+full.UTC().Format(stampLayout)+"/", nil, func(f Folder, _ string) {
		objects = f.Objects
	})
	return objects, err
}
