package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/packfile"
	"mayfly/internal/store"
)

// Verify reads every byte of every segment of one repository and returns all
// that is wrong: with the structure of a segment, with its checksums, with the
// objects in its packs (each is inflated and counted), with the refs, whose
// digests are computed, and with the chains, in which each segment must be the
// one that the next was made from.
//
// deep, if not nil, is called once for each part of a chain that is well, with
// the size of its packs, and returns where to rebuild it: all objects are named
// by their content there, and everything is walked that any state's refs reach.
func Verify(ctx context.Context, st store.Store, r Repository, deep func(part Part, packs int64) (Builder, func(), error), read func(int64)) error {
	lists, err := Chains(ctx, st, r.Prefix, r.Owner, r.Name)
	if err != nil {
		return err
	}
	var errs []error
	for _, objects := range lists {
		if err := verifyChain(ctx, st, r.Prefix, objects, deep, read); err != nil {
			errs = append(errs, err)
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
	}
	return errors.Join(errs...)
}

func verifyChain(ctx context.Context, st store.Store, prefix string, objects []store.Object, deep func(Part, int64) (Builder, func(), error), read func(int64)) error {
	var errs []error
	c, err := openStart(ctx, st, prefix, objects)
	if err != nil {
		errs = append(errs, err)
	}
	// What comes behind the one that is damaged is looked at all the same.
	readers := c.readers
	for _, o := range objects[min(len(readers)+1, len(objects)):] {
		s, err := openSegment(ctx, st, prefix, o)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		readers = append(readers, s)
	}
	for _, s := range readers {
		s.src.read = read
		if err := s.verify(); err != nil {
			errs = append(errs, fmt.Errorf("segment %s: %w", st.URL(s.Key), err))
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
	}
	if len(c.readers) > 0 {
		if err := c.replay(ctx, len(c.readers), c.headers); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if deep == nil {
		return nil
	}
	for _, part := range []Part{Repo, Wiki} {
		if err := c.verifyDeep(ctx, part, deep, read); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
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

// headers holds the headers of segment i's bundles, after verify, against the
// state that the replay has reached.
func (c *Chain) headers(i int) error {
	for _, part := range []Part{Repo, Wiki} {
		h, ok := c.readers[i].heads[part.bundle()]
		if !ok {
			continue
		}
		now := c.parts[part].now
		if now == nil {
			return damage("%s is there, and the part is absent", part.bundle())
		}
		for _, id := range h.Needs {
			if _, known := c.parts[part].known[id]; !known || i == 0 {
				return damage("%s needs %s, which no segment before holds", part.bundle(), id)
			}
		}
		if head, ok := now.resolve(); ok && head != h.Head || !ok && !h.Head.IsZero() {
			return damage("%s has %s for HEAD, and refs.json says otherwise", part.bundle(), h.Head)
		}
		refs := now.Refs
		for _, r := range h.Refs {
			at, found := slices.BinarySearchFunc(refs, r.Name(), func(a *plumbing.Reference, n plumbing.ReferenceName) int {
				switch {
				case a.Name() < n:
					return -1
				case a.Name() > n:
					return 1
				}
				return 0
			})
			if !found || refs[at].Hash() != r.Hash() {
				return damage("%s has %s at %s, and refs.json says otherwise", part.bundle(), r.Name(), r.Hash())
			}
		}
		if i == 0 && len(h.Refs) != len(refs) {
			return damage("%s has %d refs, and refs.json has %d", part.bundle(), len(h.Refs), len(refs))
		}
	}
	return nil
}

// verifyDeep rebuilds one part of the whole chain.
func (c *Chain) verifyDeep(ctx context.Context, part Part, deep func(Part, int64) (Builder, func(), error), read func(int64)) error {
	var packs int64
	for _, s := range c.readers {
		if e := s.entry(part.bundle()); e != nil {
			packs += e.Size
		}
	}
	if packs == 0 {
		return nil
	}
	b, done, err := deep(part, packs)
	if err != nil {
		return fmt.Errorf("rebuild the %s of %s: %w", part, c.Repository, err)
	}
	defer done()
	if err := c.unpack(ctx, part, len(c.readers), b, read); err != nil {
		return err
	}
	tips := slices.SortedFunc(maps.Keys(c.parts[part].known), func(x, y plumbing.Hash) int { return slices.Compare(x[:], y[:]) })
	if err := b.Connected(ctx, tips); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return damage("the %s of %s does not hold all that its refs need: %v", part, c.Repository, err)
	}
	return nil
}
