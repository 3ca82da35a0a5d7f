package archive

import (
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// havesMax bounds what a server is told of that is here: 50 bytes each, and
	// git http-backend refuses requests over 10 MiB. What is left out comes
	// again, which costs and does no harm.
	havesMax = 20_000
	// needsMax is how many commits a bundle names as its prerequisites: enough
	// that git refuses it where it does not belong.
	needsMax = 8
)

// Wants are the objects that s names and the chain does not hold, each once;
// all of them when there is no chain.
func (w *Writer) Wants(part Part, s Snapshot) []plumbing.Hash {
	known := w.known(part)
	seen := make(map[plumbing.Hash]bool, len(s.Refs)/8)
	var wants []plumbing.Hash
	add := func(id plumbing.Hash) {
		if _, here := known[id]; !here && !seen[id] {
			seen[id] = true
			wants = append(wants, id)
		}
	}
	for _, r := range s.Refs {
		add(r.Hash())
	}
	if s.Head != nil && s.Head.Type() == plumbing.HashReference {
		add(s.Head.Hash())
	}
	return wants
}

// Haves are what a server that is asked for s need not send again: objects
// whose whole history is in the chain. None: a bundle must stand for itself.
//
// Branches, tags and what changed refs named before are enough: with all of
// refs/pull, a server has ten times the work for the same pack.
func (w *Writer) Haves(part Part, s Snapshot) []plumbing.Hash {
	if w.chain == nil {
		return nil
	}
	h := w.chain.parts[part]
	if len(w.needs(part)) == 0 {
		return nil // nothing here is known to be a commit
	}
	haves := make([]plumbing.Hash, 0, min(len(h.known), havesMax))
	seen := make(map[plumbing.Hash]bool, cap(haves))
	add := func(id plumbing.Hash) {
		if !seen[id] && len(haves) < havesMax {
			seen[id] = true
			haves = append(haves, id)
		}
	}
	for _, id := range w.needs(part) {
		add(id)
	}
	if h.now != nil {
		for _, r := range pullsOf(h.now, s) {
			add(r)
		}
		for _, r := range h.now.Refs {
			if !isPull(r.Name()) {
				add(r.Hash())
			}
		}
	}
	for id, commit := range h.known { // branches that are gone by now
		if commit {
			add(id)
		}
	}
	return haves
}

// needs are a few commits of the chain for a bundle's header: of the newest
// state if it has any, else of those before.
func (w *Writer) needs(part Part) []plumbing.Hash {
	if w.chain == nil {
		return nil
	}
	h := w.chain.parts[part]
	var needs []plumbing.Hash
	seen := map[plumbing.Hash]bool{}
	add := func(id plumbing.Hash) {
		if h.known[id] && !seen[id] && len(needs) < needsMax {
			seen[id] = true
			needs = append(needs, id)
		}
	}
	if h.now != nil {
		if id, ok := h.now.resolve(); ok {
			add(id)
		}
		for _, r := range h.now.Refs {
			add(r.Hash())
		}
	}
	if len(needs) == 0 {
		if id, ok := firstCommit(h.known); ok {
			add(id)
		}
	}
	return needs
}

// firstCommit is the smallest id of a commit: the same one every time.
func firstCommit(known map[plumbing.Hash]bool) (first plumbing.Hash, found bool) {
	for id, commit := range known {
		if commit && (!found || id.String() < first.String()) {
			first, found = id, true
		}
	}
	return first, found
}

func isPull(n plumbing.ReferenceName) bool { return strings.HasPrefix(n.String(), "refs/pull/") }

// pullsOf are what all refs of those pull requests named before of which one
// has changed: a new merge/ of a head/ that has not, for example.
func pullsOf(old *Snapshot, now Snapshot) []plumbing.Hash {
	changed := map[string]bool{}
	for _, r := range changesOf(old, now).Set {
		if isPull(r.Name()) {
			changed[pullOf(r.Name())] = true
		}
	}
	var ids []plumbing.Hash
	for _, r := range old.Refs {
		if isPull(r.Name()) && changed[pullOf(r.Name())] {
			ids = append(ids, r.Hash())
		}
	}
	return ids
}

func pullOf(n plumbing.ReferenceName) string {
	number, _, _ := strings.Cut(strings.TrimPrefix(n.String(), "refs/pull/"), "/")
	return number
}

// known are the objects that the chain holds with their whole history.
func (w *Writer) known(part Part) map[plumbing.Hash]bool {
	if w.chain == nil {
		return nil
	}
	return w.chain.parts[part].known
}
