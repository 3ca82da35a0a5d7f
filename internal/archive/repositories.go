package archive

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"mayfly/internal/store"
)

// A Repository is what a listing says of all archives of one repository.
type Repository struct {
	Prefix      string
	Owner, Name string
	Points      int       // in time: segments
	Oldest      time.Time // as of the oldest of them
	Newest      time.Time
	Size        int64 // of all segments, in bytes
	Gap         bool  // a segment is missing somewhere
}

// Path is how a person names it: "PREFIX/OWNER/NAME".
func (r Repository) Path() string { return below(r.Prefix) + r.Owner + "/" + r.Name }

// Repositories lists what there are archives of below a path ("", a prefix, an
// owner or a repository), by name. Nothing but the listing is read.
func Repositories(ctx context.Context, st store.Store, path string) ([]Repository, error) {
	found := map[Repository]*Repository{}
	var at, last *Repository
	var l Listed
	var full time.Time
	end := func() {
		if at != nil {
			at.Gap = at.Gap || l.Gap
			if l.Newest.After(at.Newest) {
				at.Newest = l.Newest
			}
		}
		l = Listed{}
	}
	for o, err := range st.List(ctx, below(path)) {
		if err != nil {
			return nil, fmt.Errorf("list the archives in %s: %w", st.URL(path), err)
		}
		prefix, p, ok := SplitKey(o.Key)
		if !ok {
			continue
		}
		key := Repository{Prefix: prefix, Owner: p.Owner, Name: p.Name}
		if last == nil || *last != key || !full.Equal(p.Full) {
			end()
			last, full = &key, p.Full
			if at = found[key]; at == nil {
				r := key
				at = &r
				found[key] = at
			}
		}
		l.add(p, o)
		at.Points++
		at.Size += o.Size
		if made := l.Newest; at.Oldest.IsZero() || !made.IsZero() && made.Before(at.Oldest) {
			at.Oldest = made
		}
	}
	end()
	all := make([]Repository, 0, len(found))
	for _, r := range found {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Repository) int { return cmp.Compare(a.Path(), b.Path()) })
	return all, nil
}
