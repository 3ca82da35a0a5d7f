package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// ErrNoPart says that a point in time holds no wiki.
var ErrNoPart = errors.New("there is none in this archive")

// A Builder makes a repository of packs and refs.
type Builder interface {
	// AddPack reads one pack, which stands for itself given those before it,
	// and adds its objects, naming each by its content.
	AddPack(ctx context.Context, pack io.Reader) error
	// Connected walks all that tips reach; its error names what is missing.
	Connected(ctx context.Context, tips []plumbing.Hash) error
	// SetRefs makes these the refs, and HEAD, all at once.
	SetRefs(head *plumbing.Reference, refs []*plumbing.Reference) error
}

// Bytes is about how much Restore reads of a part.
func (p Point) Bytes(part Part) int64 {
	var n int64
	for _, s := range p.chain.Segments[:p.n] {
		for _, e := range s.Manifest.Entries {
			if e.Name == part.bundle() {
				n += e.Size
			}
		}
	}
	return n
}

// Has reports whether the part is there at this point.
func (p Point) Has(part Part) bool { return p.Manifest.Parts.of(part).State != Absent }

// Restore makes the part as it was at this point of what the segments hold:
// every byte is held against its checksum, every set of refs against its
// digest, and all that the refs reach is walked. Only then the refs are set. read
// is told of the bytes that came; it may be nil.
func (p Point) Restore(ctx context.Context, part Part, b Builder, read func(int64)) (Snapshot, error) {
	if !p.Has(part) {
		return Snapshot{}, fmt.Errorf("%s of %s: %w: %s", part, p.chain.Repository, ErrNoPart, p.Manifest.Parts.of(part).Why)
	}
	if err := p.chain.replay(ctx, p.n, nil); err != nil {
		return Snapshot{}, err
	}
	if err := p.chain.unpack(ctx, part, p.n, b, read); err != nil {
		return Snapshot{}, err
	}
	s := *p.chain.parts[part].now
	if err := b.Connected(ctx, s.tips()); err != nil {
		return Snapshot{}, err
	}
	return s, b.SetRefs(s.Head, s.Refs)
}

// unpack adds the packs of the part's first n bundles.
func (c *Chain) unpack(ctx context.Context, part Part, n int, b Builder, read func(int64)) error {
	for _, s := range c.readers[:n] {
		e := s.entry(part.bundle())
		if e == nil {
			continue
		}
		if err := s.unpack(ctx, e, b, read); err != nil {
			return fmt.Errorf("segment %s: %s: %w", c.st.URL(s.Key), e.Name, err)
		}
	}
	return nil
}

func (s *segmentReader) unpack(ctx context.Context, e *Entry, b Builder, read func(int64)) error {
	s.src.ctx, s.src.read = ctx, read
	defer s.Close()
	r, err := s.open(e.Name)
	if err != nil {
		return err
	}
	defer r.Close()
	in := bufio.NewReaderSize(r, 64<<10)
	_, err = readBundleHead(in)
	if err == nil && e.Objects > 0 {
		if err = b.AddPack(ctx, in); err != nil {
			// Bytes that are not as they were written say more than what came
			// of them: they show at the end.
			if _, rest := io.Copy(io.Discard, in); rest != nil && r.failed != nil && context.Cause(ctx) == nil {
				return fmt.Errorf("%w (%v)", r.failed, err)
			}
			err = &rebuildError{err}
		}
	}
	if err == nil { // to the end, where the checksum is
		_, err = io.Copy(io.Discard, in)
	}
	switch {
	case r.failed != nil:
		return r.failed
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	}
	return err
}

// A rebuildError is what a Builder made of a pack, whose bytes may be as they
// were written.
type rebuildError struct{ err error }

func (e *rebuildError) Error() string { return e.err.Error() }
func (e *rebuildError) Unwrap() error { return e.err }

// tips are the objects that the state names, each once.
func (s Snapshot) tips() []plumbing.Hash {
	seen := make(map[plumbing.Hash]bool, len(s.Refs)+1)
	var tips []plumbing.Hash
	add := func(id plumbing.Hash) {
		if !seen[id] {
			seen[id] = true
			tips = append(tips, id)
		}
	}
	for _, r := range s.Refs {
		add(r.Hash())
	}
	if s.Head != nil && s.Head.Type() == plumbing.HashReference {
		add(s.Head.Hash())
	}
	return tips
}
