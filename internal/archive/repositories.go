package archive

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	Damaged     bool  // one of its chains has a mark: verify has found damage

	newest Listed       // chain
	last   store.Object // the last segment of it that has all before it
}

// Path is how a person names it: "PREFIX/OWNER/NAME".
func (r Repository) Path() string { return below(r.Prefix) + r.Owner + "/" + r.Name }

// Date makes Newest what the newest archive's manifest says: to a listing, all
// increments of a store that was copied are as new as the copy. One that cannot
// be read is at least as old as its chain.
func (r *Repository) Date(ctx context.Context, st store.Store) {
	if p, ok := ParseKey(r.Prefix, r.last.Key); !ok || !p.Incr {
		return
	}
	r.Newest = r.newest.Began()
	if s, err := openSegment(ctx, st, r.Prefix, r.last); err == nil {
		if made := capped(s.Manifest.Created, s.Object); made.After(r.Newest) {
			r.Newest = made
		}
	}
}

// Repositories lists what there are archives of below a path ("", a prefix, an
// owner or a repository), by name. Nothing but the listing is read.
func Repositories(ctx context.Context, st store.Store, path string) ([]Repository, error) {
	all, _, err := Catalog(ctx, st, path)
	return all, err
}

// Catalog is Repositories, with the prefixes that may have an index: those of
// the archives and of indexes below the path, and the path's own beginnings.
func Catalog(ctx context.Context, st store.Store, path string) ([]Repository, []string, error) {
	prefixes := map[string]bool{}
	for at := path; at != ""; at = at[:max(strings.LastIndex(at, "/"), 0)] {
		prefixes[at] = true
	}
	found := map[Repository]*Repository{}
	var at, last *Repository
	var l Listed
	var full time.Time
	var whole store.Object // the last segment before a gap
	end := func() {
		if at != nil {
			at.Gap = at.Gap || l.Gap
			if at.newest.Segments == 0 || l.compare(at.newest) > 0 {
				at.newest, at.last = l, whole
			}
			if l.Newest.After(at.Newest) {
				at.Newest = l.Newest
			}
		}
		l, whole = Listed{}, store.Object{}
	}
	for o, err := range st.List(ctx, below(path)) {
		if err != nil {
			return nil, nil, fmt.Errorf("list the archives in %s: %w", st.URL(path), err)
		}
		prefix, p, ok := SplitKey(o.Key)
		if !ok {
			if dir, ok := strings.CutSuffix(o.Key, "/"+indexName); ok {
				prefixes[dir] = true
			}
			if at != nil && o.Key == MarkKey(at.Prefix, at.Owner, at.Name, full) {
				at.Damaged = true
			}
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
		if l.add(p, o); !l.Gap {
			whole = o
		}
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
		prefixes[r.Prefix] = true
	}
	slices.SortFunc(all, func(a, b Repository) int { return cmp.Compare(a.Path(), b.Path()) })
	return all, slices.Sorted(maps.Keys(prefixes)), nil
}
