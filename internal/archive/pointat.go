package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mayfly/internal/store"
)

// PointAt is the newest point of a repository that is not after at; the newest
// of all when at is zero. What cannot be used is no hindrance if it is known to
// be older than that point, or newer than at; else nobody knows whether it is
// what was asked for, and the error names it. A point of the very second that
// at is in is what was asked for, unless the store cannot be read now.
func PointAt(ctx context.Context, st store.Store, prefix, owner, name string, at time.Time, x *Index) (Point, error) {
	lists, err := Chains(ctx, st, prefix, owner, name, x)
	if err != nil {
		return Point{}, err
	}
	q := &quest{at: at}
	next := time.Time{} // when the chain after this one was begun
	for _, f := range slices.Backward(lists) {
		if q.mayHold(f) {
			c, err := openStart(ctx, st, prefix, f.Objects)
			if cause := context.Cause(ctx); cause != nil {
				return Point{}, cause
			}
			q.take(c.points(f.Marked), err, next, f)
		}
		next = f.Began()
	}
	switch p, err := q.result(); {
	case err != nil:
		return Point{}, err
	case p != nil:
		p.Later = x.laterThan(p, at, lists)
		return *p, nil
	case len(lists) == 0:
		return Point{}, fmt.Errorf("%s/%s in %s: %w", owner, name, st.URL(prefix), ErrNoPoint)
	}
	return Point{}, &TooOldError{next}
}

// laterThan is what the index records that is gone, if it may have held a state
// nearer to at than p.
func (x *Index) laterThan(p *Point, at time.Time, lists []Folder) error {
	first := p.chain.readers[0].at
	missing, lacks := x.MissingOf(first.Owner+"/"+first.Name, lists)
	switch {
	case !lacks, !at.IsZero() && missing.Chain.After(at), sameSecond(p.At, at):
		return nil
	case first.Full.After(missing.Chain), first.Full.Equal(missing.Chain) && p.n < len(p.chain.Segments):
		return nil
	}
	return fmt.Errorf("%w: %s", errGone, missing)
}

func sameSecond(a, b time.Time) bool { return a.Truncate(time.Second).Equal(b.Truncate(time.Second)) }

// A quest is a search for the newest point not after at, through the chains
// from the newest to the oldest.
type quest struct {
	at   time.Time // zero: no bound
	best *Point
	bad  []hidden
}

// hidden is what of a chain cannot be used: all behind the last point that can.
// It was made in [from, until].
type hidden struct {
	err         error
	chain       *Chain // nil if no point of it can be used
	from, until time.Time
}

// mayHold reports whether a chain can have a better point than the best yet. By
// when a chain was begun alone that is not known: an older chain was perhaps
// gone on from.
func (q *quest) mayHold(f Folder) bool {
	if !q.at.IsZero() && f.Began().After(q.at) {
		return false
	}
	return q.best == nil || latest(f.Objects).After(q.best.At)
}

// latest is when the store got the last of the objects.
func latest(objects []store.Object) time.Time {
	var t time.Time
	for _, o := range objects {
		if o.Modified.Unix() <= 0 {
			return time.Unix(1<<40, 0) // some file systems have no times
		}
		if o.Modified.After(t) {
			t = o.Modified
		}
	}
	return t
}

// take looks at the points of a chain, and at why there are no more of them.
func (q *quest) take(ps []Point, err error, next time.Time, f Folder) {
	h := hidden{err: err, from: f.Began(), until: latest(f.Objects)}
	for i, p := range ps {
		if !q.at.IsZero() && p.At.After(q.at) {
			break
		}
		if q.best == nil || p.At.After(q.best.At) || p.chain == q.best.chain {
			q.best = &ps[i]
		}
	}
	if err == nil {
		return
	}
	if n := len(ps); n > 0 {
		h.chain, h.from = ps[n-1].chain, ps[n-1].At
	}
	// No run goes on from a chain when there is a newer one. That is why a
	// damaged chain does not stand in the way of all points after it when a copy
	// of the store has made its objects new.
	if ofSegment(err) && !next.IsZero() && next.Before(h.until) {
		h.until = next
	}
	q.bad = append(q.bad, h)
}

// ofSegment tells what is wrong with a segment from what is wrong with reading
// the store.
func ofSegment(err error) bool { return errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewer) }

// result is the best point, nil if there is none, unless something that cannot
// be used may be a better one.
func (q *quest) result() (*Point, error) {
	for _, h := range q.bad {
		if q.best != nil {
			same := h.chain == q.best.chain
			second := sameSecond(q.best.At, q.at)
			switch {
			case same && !ofSegment(h.err): // as good as in the way
			case !q.at.IsZero() && h.from.After(q.at), ofSegment(h.err) && second, !same && !h.until.After(q.best.At):
				continue
			}
		} else if !q.at.IsZero() && h.from.After(q.at) {
			continue
		}
		switch {
		case q.at.IsZero():
			return nil, fmt.Errorf("the newest state is not whole: %w", h.err)
		case q.best == nil:
			return nil, fmt.Errorf("the state of that time cannot be read: %w", h.err)
		}
		return nil, fmt.Errorf("the state of that time may be in what cannot be read: %w: for the last one known to be before it, say --at %s", h.err, q.best.At.UTC().Format(time.RFC3339))
	}
	return q.best, nil
}
