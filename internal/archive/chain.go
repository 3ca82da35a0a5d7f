package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/store"
)

// A Chain is a full segment and the increments on it, read from the store. It
// is believed: each segment is there, of the size and with the manifest that
// the next one names, and of the same repository.
type Chain struct {
	// Repository is its "OWNER/NAME", Prefix where it is kept.
	Repository, Prefix string
	Segments           []Segment

	st      store.Store
	readers []*segmentReader
	parts   map[Part]*history // nil before Replay
}

// A history is what a chain holds of one part.
type history struct {
	now *Snapshot // after the last segment; nil: absent
	// known are all objects that refs or HEAD named after any of the segments.
	// Their whole history is in the chain. True are those that must be
	// commits: branches and a detached HEAD name nothing else.
	known map[plumbing.Hash]bool
}

// OpenChain reads the manifests of one chain's segments, which a listing names
// in the order of their keys, and checks that each follows from the one before.
// Errors that are the chain's own wrap ErrDamaged or ErrNewer.
func OpenChain(ctx context.Context, st store.Store, prefix string, listed []store.Object) (*Chain, error) {
	if len(listed) == 0 {
		return nil, damage("the chain has no segment")
	}
	c, err := openStart(ctx, st, prefix, listed)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// openStart is OpenChain that returns, beside an error, the chain up to the
// first segment that cannot be used. It may have none then.
func openStart(ctx context.Context, st store.Store, prefix string, listed []store.Object) (*Chain, error) {
	c := &Chain{Prefix: prefix, st: st}
	for i, o := range listed {
		s, err := openSegment(ctx, st, prefix, o)
		if err != nil {
			return c, err
		}
		if err := c.follows(i, s); err != nil {
			return c, fmt.Errorf("segment %s: %w", st.URL(o.Key), err)
		}
		c.Repository = s.at.Owner + "/" + s.at.Name
		if i >= tailsKept {
			s.src.tail = nil // what is needed again is read again
		}
		c.readers = append(c.readers, s)
		c.Segments = append(c.Segments, s.Segment)
	}
	return c, nil
}

// tailsKept is how many segments of an open chain keep the end that was read of
// them, refs.json for the most part: as many as a chain has by default.
const tailsKept = 32

// follows checks that s is the segment number n of the chain.
func (c *Chain) follows(n int, s *segmentReader) error {
	if s.at.Number != n {
		return damage("segment %d of its chain is missing", n)
	}
	if n == 0 {
		return nil
	}
	before, m := c.readers[n-1], &s.Manifest
	was := &before.Manifest
	switch {
	case !s.at.Full.Equal(before.at.Full) || m.Owner != was.Owner || m.Name != was.Name:
		return damage("it is of another chain")
	case m.Host != was.Host || m.RepositoryID != was.RepositoryID:
		return damage("it is of another repository: %s %d, and its parent of %s %d", m.Host, m.RepositoryID, was.Host, was.RepositoryID)
	case tail(m.Parent.Key) != tail(before.Key):
		return damage("its parent is %s: the chain forks", m.Parent.Key)
	case m.Parent.Size != before.Object.Size || m.Parent.ManifestSHA256 != before.Sum:
		return damage("its parent, %s, is not the one that it was made from", m.Parent.Key)
	}
	return nil
}

// tail is the part of a key that stays when a store is copied below another
// prefix.
func tail(key string) string {
	parts := strings.Split(key, "/")
	return strings.Join(parts[max(0, len(parts)-4):], "/")
}

// Last is the newest segment.
func (c *Chain) Last() Segment { return c.Segments[len(c.Segments)-1] }

// Is reports whether the chain is of this repository, whatever its name was.
func (c *Chain) Is(id Identity) bool {
	m := &c.Segments[0].Manifest
	return m.Host == id.Host && m.RepositoryID == id.ID
}

// Replay reads what the refs were after each segment, and checks every one of
// these states against its digest.
func (c *Chain) Replay(ctx context.Context) error {
	return c.replay(ctx, len(c.readers), nil)
}

// replay is Replay of the first n segments; visit, if not nil, is called after
// each with the state of its parts.
func (c *Chain) replay(ctx context.Context, n int, visit func(i int) error) error {
	c.parts = map[Part]*history{Repo: {known: map[plumbing.Hash]bool{}}, Wiki: {known: map[plumbing.Hash]bool{}}}
	for i, s := range c.readers[:n] {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		err := c.step(s)
		if err == nil && visit != nil {
			err = visit(i)
		}
		if err != nil {
			c.parts = nil
			return fmt.Errorf("segment %s: %w", c.st.URL(s.Key), err)
		}
	}
	return nil
}

// step goes on from the state before s to the one after it.
func (c *Chain) step(s *segmentReader) error {
	f, err := s.refs()
	if err != nil {
		return err
	}
	for part, p := range map[Part]*refsPart{Repo: f.Repo, Wiki: f.Wiki} {
		info := s.Manifest.Parts.of(part)
		if (p == nil) != (info.State == Absent) {
			return damage("refs.json and manifest.json differ about the %s", part)
		}
		h := c.parts[part]
		if p == nil {
			h.now = nil
			continue
		}
		now, err := p.apply(h.now)
		if err != nil {
			return damage("refs.json: %s: %v", part, err)
		}
		if d := now.Digest(); d != p.Digest || d != info.Digest || len(now.Refs) != info.Refs {
			return damage("the refs of the %s have the digest %s, and %s is recorded", part, d, info.Digest)
		}
		h.become(now)
	}
	return nil
}

// become makes s the state, and what it names known.
func (h *history) become(s Snapshot) {
	h.now = &s
	for _, r := range s.Refs {
		h.known[r.Hash()] = h.known[r.Hash()] || r.Name().IsBranch()
	}
	if s.Head != nil && s.Head.Type() == plumbing.HashReference {
		h.known[s.Head.Hash()] = true
	}
}

// refs reads refs.json and holds it against the manifest.
func (s *segmentReader) refs() (*refsFile, error) {
	r, err := s.open("refs.json")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f, err := readRefs(r)
	switch {
	case r.failed != nil:
		return nil, r.failed
	case errors.Is(err, ErrNewer):
		return nil, err
	case err != nil:
		return nil, damage("refs.json: %v", err)
	case f.Kind != s.Manifest.Kind || f.Digest != s.Manifest.Digest || f.Selection != s.Manifest.Selection:
		return nil, damage("refs.json and manifest.json differ")
	}
	return f, s.Close()
}
