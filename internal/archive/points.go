package archive

import (
	"context"
	"errors"
	"fmt"
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
	At    time.Time
	chain *Chain
	n     int // segments that it takes
}

// Points reads the manifests of all archives of one repository and returns its
// points in time, the oldest first. What cannot be read is in the error, beside
// the points that can.
func Points(ctx context.Context, st store.Store, prefix, owner, name string) ([]Point, error) {
	lists, err := Chains(ctx, st, prefix, owner, name)
	if err != nil {
		return nil, err
	}
	if len(lists) == 0 {
		return nil, fmt.Errorf("%s/%s in %s: %w", owner, name, st.URL(prefix), ErrNoPoint)
	}
	var all []Point
	var errs []error
	for _, objects := range lists {
		c, err := openStart(ctx, st, prefix, objects)
		if err != nil {
			errs = append(errs, err)
		}
		all = append(all, c.points()...)
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
	}
	return all, errors.Join(errs...)
}

func (c *Chain) points() []Point {
	var ps []Point
	for i, s := range c.Segments {
		ps = append(ps, Point{Segment: s, At: s.Manifest.Created, chain: c, n: i + 1})
	}
	return ps
}

// PointAt is the newest point of a repository that is not after at; the newest
// of all when at is zero. A damaged segment after it is no hindrance; one that
// would be the newest is.
func PointAt(ctx context.Context, st store.Store, prefix, owner, name string, at time.Time) (Point, error) {
	lists, err := Chains(ctx, st, prefix, owner, name)
	if err != nil {
		return Point{}, err
	}
	for i := len(lists) - 1; i >= 0; i-- {
		first, _ := ParseKey(prefix, lists[i][0].Key)
		if !at.IsZero() && first.Full.After(at) {
			continue
		}
		c, err := openStart(ctx, st, prefix, lists[i])
		if at.IsZero() && err != nil {
			return Point{}, fmt.Errorf("the newest state is not whole: %w", err)
		}
		ps := c.points()
		for k := len(ps) - 1; k >= 0; k-- {
			if at.IsZero() || !ps[k].At.After(at) {
				return ps[k], nil
			}
		}
		if err != nil {
			return Point{}, err
		}
	}
	if len(lists) == 0 {
		return Point{}, fmt.Errorf("%s/%s in %s: %w", owner, name, st.URL(prefix), ErrNoPoint)
	}
	first, _ := ParseKey(prefix, lists[0][0].Key)
	return Point{}, fmt.Errorf("%s/%s: %w: the oldest is of %s", owner, name, ErrNoPoint, first.Full.Format("2006-01-02 15:04:05 UTC"))
}
