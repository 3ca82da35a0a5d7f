package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/packfile"
	"mayfly/internal/store"
)

// A Checked is how one chain came out.
type Checked struct {
	Folder
	Key string // what the keys of its segments begin with
	// Problems are all that is wrong; none when it is whole. Damaged says that
	// there is damage among them, not only what could not be checked.
	Problems []error
	Damaged  bool
	// Good is how many of its points in time are known to be whole, from the
	// oldest on, and Affected when the first of the others was made.
	Good     int
	Affected time.Time
}

// A Deep returns where to rebuild a part whose packs have the given size.
type Deep func(part Part, packs int64) (Builder, func(), error)

// Verify reads every byte of every segment of one repository and returns how
// each chain came out, the oldest first, and what the index, which was read
// before and may be nil, records and is not there. It finds what is wrong with
// the structure of a segment, with its checksums, with the objects in its packs
// (each is inflated and counted), with the refs, whose digests are computed,
// with the commands that make them by hand, and with the chain, in which each
// segment must be the one that the next was made from.
//
// deep, if not nil, is called once for each part of a chain that is well: all
// objects are named by their content there, and everything is walked that any
// state's refs reach.
func Verify(ctx context.Context, st store.Store, r Repository, x *Index, deep Deep, read func(int64)) ([]Checked, *Missing, error) {
	lists, err := Chains(ctx, st, r.Prefix, r.Owner, r.Name, nil)
	if err != nil {
		return nil, nil, err
	}
	var missing *Missing
	if m, lacks := x.MissingOf(r.Owner+"/"+r.Name, lists); lacks {
		missing = &m
	}
	var all []Checked
	for _, f := range lists {
		c := verifyChain(ctx, st, r.Prefix, f, deep, read)
		c.Key = FolderKey(r.Prefix, r.Owner, r.Name, f.Full)
		all = append(all, c)
		if cause := context.Cause(ctx); cause != nil {
			return nil, nil, cause
		}
	}
	return all, missing, nil
}

// OpenStrictly is OpenChain that reads every byte of every segment, as Verify
// does, before it believes the chain.
func OpenStrictly(ctx context.Context, st store.Store, prefix string, listed []store.Object) (*Chain, error) {
	c, bad, _ := openVerified(ctx, st, prefix, listed, nil)
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	if err := errors.Join(bad...); err != nil {
		return nil, err
	}
	if len(c.Segments) == 0 {
		return nil, damage("the chain has no segment")
	}
	return c, nil
}

func verifyChain(ctx context.Context, st store.Store, prefix string, f Folder, deep Deep, read func(int64)) Checked {
	c, bad, good := openVerified(ctx, st, prefix, f.Objects, read)
	if len(bad) == 0 && deep != nil {
		for _, part := range []Part{Repo, Wiki} {
			err := c.verifyDeep(ctx, part, deep, read)
			if err == nil {
				continue
			}
			bad = append(bad, err)
			if errors.Is(err, ErrDamaged) {
				good = 0 // which of them need what is missing, nobody knows
			}
		}
	}
	k := Checked{Folder: f, Problems: bad, Good: good}
	for _, err := range bad {
		k.Damaged = k.Damaged || errors.Is(err, ErrDamaged)
	}
	switch {
	case good == len(f.Objects):
	case good < len(c.Segments):
		k.Affected = c.Segments[good].Manifest.Created
	default:
		k.Affected = f.Objects[good].Modified
	}
	return k
}

// openVerified reads every byte of a chain. good is how many segments are well,
// from the first on.
func openVerified(ctx context.Context, st store.Store, prefix string, objects []store.Object, read func(int64)) (c *Chain, bad []error, good int) {
	good = len(objects)
	wrong := func(i int, err error) {
		bad = append(bad, err)
		good = min(good, i)
	}
	c, err := openStart(ctx, st, prefix, objects)
	readers := make([]*segmentReader, len(objects)) // nil: cannot be read
	copy(readers, c.readers)
	if err != nil {
		wrong(len(c.readers), err)
	}
	// What comes behind the one that is damaged is looked at all the same.
	for i := len(c.readers) + 1; i < len(objects); i++ {
		if readers[i], err = openSegment(ctx, st, prefix, objects[i]); err != nil {
			wrong(i, err)
		}
	}
	for i, s := range readers {
		if s == nil {
			continue
		}
		s.src.read = read
		if err := s.verify(); err != nil {
			wrong(i, fmt.Errorf("segment %s: %w", st.URL(s.Key), err))
		}
		if context.Cause(ctx) != nil {
			return c, bad, good
		}
	}
	well := 0
	was := map[Part]*Snapshot{} // before the segment
	if err := c.replay(ctx, len(c.readers), func(i int) error {
		if err := errors.Join(c.headers(i), c.commandsFit(i, was)); err != nil {
			return err
		}
		c.readers[i].heads = nil // they hold all refs
		well = i + 1
		return nil
	}); err != nil {
		wrong(well, err)
	}
	return c, bad, good
}

// verify reads every byte.
func (s *segmentReader) verify() error {
	return s.strictly(func(e Entry, r io.Reader) error {
		if e.Name == Repo.bundle() || e.Name == Wiki.bundle() {
			return s.verifyBundle(r, e)
		}
		return nil
	})
}

func (s *segmentReader) verifyBundle(r io.Reader, e Entry) error {
	in := bufio.NewReaderSize(r, 64<<10)
	h, err := readBundleHead(in)
	if err != nil {
		return damage("%s: %v", e.Name, err)
	}
	p, err := packfile.Check(in, io.Discard)
	switch {
	case err != nil:
		return damage("%s: %v", e.Name, err)
	case p.Objects != e.Objects:
		return damage("%s holds %d objects, and the manifest says %d", e.Name, p.Objects, e.Objects)
	}
	if s.heads == nil {
		s.heads = map[string]bundleHead{}
	}
	s.heads[e.Name] = h
	return nil
}

// verifyDeep rebuilds one part of the whole chain.
func (c *Chain) verifyDeep(ctx context.Context, part Part, deep Deep, read func(int64)) error {
	var packs int64
	for _, s := range c.readers {
		if e := s.entry(part.bundle()); e != nil {
			packs += e.Size
		}
	}
	known := c.parts[part].known
	switch {
	case len(known) == 0:
		return nil
	case packs == 0:
		return damage("the %s of %s has refs, and no pack that could hold what they name", part, c.Repository)
	}
	b, done, err := deep(part, packs)
	if err != nil {
		return fmt.Errorf("rebuild the %s of %s: %w", part, c.Repository, err)
	}
	defer done()
	if err := c.unpack(ctx, part, len(c.readers), b, read); err != nil {
		var rebuild *rebuildError
		if errors.As(err, &rebuild) && !ofMachine(err) {
			return damage("the %s of %s cannot be rebuilt: %v", part, c.Repository, err)
		}
		return err
	}
	tips := slices.SortedFunc(maps.Keys(known), func(x, y plumbing.Hash) int { return slices.Compare(x[:], y[:]) })
	if err := b.Connected(ctx, tips); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return damage("the %s of %s does not hold all that its refs need: %v", part, c.Repository, err)
	}
	return nil
}

// ofMachine tells what the machine that rebuilds lacks from what the archives
// lack: git says it in words only.
func ofMachine(err error) bool {
	var file *fs.PathError
	return errors.As(err, &file) || strings.Contains(err.Error(), "No space left") ||
		strings.Contains(err.Error(), "signal: ") || strings.Contains(err.Error(), "out of memory")
}
