package archive

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// A Missing is a chain of which the index has a record, and of which fewer
// segments are listed than it records.
type Missing struct {
	Repository       string // "OWNER/NAME"
	Chain            time.Time
	Recorded, Listed int // segments
}

func (m Missing) String() string {
	if m.Listed == 0 {
		return fmt.Sprintf("%s: its newest archives, %d in %s", m.Repository, m.Recorded, m.Chain.Format(stampLayout))
	}
	return fmt.Sprintf("%s: %d of the %d newest archives, in %s", m.Repository, m.Recorded-m.Listed, m.Recorded, m.Chain.Format(stampLayout))
}

// missing holds the entries against how many segments of the chains that they
// are about are listed, by repository.
func (x *Index) missing(there map[string]int) []Missing {
	var all []Missing
	for _, name := range x.Names() {
		if m, ok := x.lacks(name, there[name]); ok {
			all = append(all, m)
		}
	}
	return all
}

// MissingOf is what the index records of one repository and its listed chains
// lack.
func (x *Index) MissingOf(name string, chains []Folder) (Missing, bool) {
	e, _ := x.Get(name)
	listed := 0
	for _, f := range chains {
		if f.Full.Equal(e.Chain) {
			listed = f.Segments
		}
	}
	return x.lacks(name, listed)
}

func (x *Index) lacks(name string, listed int) (Missing, bool) {
	e, ok := x.Get(name)
	return Missing{name, e.Chain, e.Segments, listed}, ok && listed < e.Segments
}

// doubts reports whether the segments that the index records of this chain are
// others than those listed so far.
func (x *Index) doubts(name string, l Listed) bool {
	e, ok := x.Get(name)
	switch {
	case !ok || !e.Chain.Equal(l.Full):
		return false
	case l.Segments == e.Segments:
		return l.Print != e.Print
	}
	return l.Segments < e.Segments || l.Doubt
}

// Names are the repositories that the index has a record of, sorted.
func (x *Index) Names() []string {
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Sorted(maps.Keys(x.entries))
}
