package archive

import (
	"context"
	"errors"
	"fmt"
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
	// Later is what is known to be missing or damaged behind it, and could be
	// nearer to the time that was asked for; nil if nothing is.
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
	return all, errors.Join(errs...)
}

func (c *Chain) points(marked bool) []Point {
	var ps []Point
	for i, s := range c.Segments {
		ps = append(ps, Point{Segment: s, At: s.Manifest.Created, Marked: marked, chain: c, n: i + 1})
	}
	return ps
}

// PointAt is the newest point of a repository that is not after at; the newest
// of all when at is zero. A damaged segment after it is no hindrance; one that
// would be the newest is. The index, which may be nil and must have been read
// before, knows of segments that are gone.
func PointAt(ctx context.Context, st store.Store, prefix, owner, name string, at time.Time, x *Index) (Point, error) {
	lists, err := Chains(ctx, st, prefix, owner, name, x)
	if err != nil {
		return Point{}, err
	}
	missing, lacks := x.MissingOf(owner+"/"+name, lists)
	lacks = lacks && (at.IsZero() || !missing.Chain.After(at))
	for i := len(lists) - 1; i >= 0; i-- {
		f := lists[i]
		if !at.IsZero() && f.Full.After(at) {
			continue
		}
		c, err := openStart(ctx, st, prefix, f.Objects)
		if at.IsZero() && err != nil {
			return Point{}, fmt.Errorf("the newest state is not whole: %w", err)
		}
		ps := c.points(f.Marked)
		for k := len(ps) - 1; k >= 0; k-- {
			p := ps[k]
			if !at.IsZero() && p.At.After(at) {
				continue
			}
			// What follows the point could be nearer to the time, unless the
			// point is of that very second.
			if k == len(ps)-1 && !p.At.Truncate(time.Second).Equal(at.Truncate(time.Second)) {
				p.Later = err
				if lacks && !f.Full.After(missing.Chain) {
					p.Later = errors.Join(err, fmt.Errorf("%w: %s", errGone, missing))
				}
			}
			return p, nil
		}
		if err != nil {
			return Point{}, err
		}
	}
	if len(lists) == 0 {
		return Point{}, fmt.Errorf("%s/%s in %s: %w", owner, name, st.URL(prefix), ErrNoPoint)
	}
	return Point{}, &TooOldError{lists[0].Full}
}

var errGone = errors.New("archives that were recorded are gone")

// A TooOldError says that nothing is as old as was asked for. It is an
// ErrNoPoint.
type TooOldError struct{ Oldest time.Time }

func (e *TooOldError) Error() string {
	return "nothing is that old: the oldest point is of " + e.Oldest.Format("Mon 2 Jan 2006 15:04:05 MST")
}

func (e *TooOldError) Is(target error) bool { return target == ErrNoPoint }
