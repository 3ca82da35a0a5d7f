package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/store"
)

// ErrNoPoint says that there is no archive of a repository, or none as old as
// was asked for.
var ErrNoPoint = errors.New("there is no such archive")

// A Point is a moment that a repository can be restored to: the state after one
// segment. Until the next point the repository stayed as it was.
type Point struct {
	Segment
	At time.Time
	// Marked says that its chain was found to be damaged: it may not come back.
	Marked bool
	// Later is what the index has a record of and is missing behind it, and
	// could be nearer to the time that was asked for; nil if nothing is.
	Later error
	chain *Chain
	n     int // segments that it takes
}

// MarkKey is where the mark of its chain is kept.
func (p Point) MarkKey() string { return p.Key[:strings.LastIndex(p.Key, "/")+1] + MarkName }

// Points reads the manifests of all archives of one repository and returns its
// points in time, the oldest first. What cannot be read is in the error, beside
// the points that can.
func Points(ctx context.Context, st store.Store, prefix, owner, name string) ([]Point, error) {
	lists, err := Chains(ctx, st, prefix, owner, name, nil)
	if err != nil {
		return nil, err
	}
	if len(lists) == 0 {
		return nil, fmt.Errorf("%s/%s in %s: %w", owner, name, st.URL(prefix), ErrNoPoint)
	}
	var all []Point
	var errs []error
	for _, f := range lists {
		c, err := openStart(ctx, st, prefix, f.Objects)
		if err != nil {
			errs = append(errs, err)
		}
		all = append(all, c.points(f.Marked)...)
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
	}
	slices.SortStableFunc(all, func(a, b Point) int { return a.At.Compare(b.At) })
	return all, errors.Join(errs...)
}

// points are those of the chain's readable segments. No clock is trusted: a
// point is no later than its object, and no earlier than the one before it.
func (c *Chain) points(marked bool) []Point {
	var ps []Point
	var last time.Time
	for i, s := range c.Segments {
		if at := capped(s.Manifest.Created, s.Object); at.After(last) {
			last = at
		}
		ps = append(ps, Point{Segment: s, At: last, Marked: marked, chain: c, n: i + 1})
	}
	return ps
}

// Made is when the chain's last segment was made.
func (c *Chain) Made() time.Time {
	ps := c.points(false)
	return ps[len(ps)-1].At
}

// A Made is what the manifest of a chain's last segment says.
type Made struct {
	At   time.Time // never later than the store got it
	Host string    // of which repository
	ID   int64
}

// LastMade reads the manifest of the last segment of a chain, and nothing else
// of it.
func LastMade(ctx context.Context, st store.Store, prefix, owner, name string, full time.Time) (Made, error) {
	objects, err := ListChain(ctx, st, prefix, owner, name, full)
	if err != nil {
		return Made{}, err
	}
	if len(objects) == 0 {
		return Made{}, fmt.Errorf("the chain of %s: %w", full.UTC().Format(stampLayout), ErrNoPoint)
	}
	s, err := openSegment(ctx, st, prefix, objects[len(objects)-1])
	if err != nil {
		return Made{}, err
	}
	m := &s.Manifest
	return Made{capped(m.Created, s.Object), m.Host, m.RepositoryID}, nil
}

var errGone = errors.New("archives that were recorded are gone")

// A TooOldError says that nothing is as old as was asked for. It is an
// ErrNoPoint.
type TooOldError struct{ Oldest time.Time }

func (e *TooOldError) Error() string {
	return "nothing is that old: the oldest point is of " + e.Oldest.Format("Mon 2 Jan 2006 15:04:05 MST")
}

func (e *TooOldError) Is(target error) bool { return target == ErrNoPoint }
