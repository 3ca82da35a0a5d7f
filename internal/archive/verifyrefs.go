package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// headers holds the headers of segment i's bundles, after verify, against the
// state that the replay has reached.
func (c *Chain) headers(i int) error {
	for _, part := range []Part{Repo, Wiki} {
		h, ok := c.readers[i].heads[part.bundle()]
		if !ok {
			continue
		}
		now := c.parts[part].now
		if now == nil {
			return damage("%s is there, and the part is absent", part.bundle())
		}
		for _, id := range h.Needs {
			if _, known := c.parts[part].known[id]; !known || i == 0 {
				return damage("%s needs %s, which no segment before holds", part.bundle(), id)
			}
		}
		if head, ok := now.resolve(); ok && head != h.Head || !ok && !h.Head.IsZero() {
			return damage("%s has %s for HEAD, and refs.json says otherwise", part.bundle(), h.Head)
		}
		refs := now.Refs
		for _, r := range h.Refs {
			at, found := slices.BinarySearchFunc(refs, r.Name(), func(a *plumbing.Reference, n plumbing.ReferenceName) int {
				switch {
				case a.Name() < n:
					return -1
				case a.Name() > n:
					return 1
				}
				return 0
			})
			if !found || refs[at].Hash() != r.Hash() {
				return damage("%s has %s at %s, and refs.json says otherwise", part.bundle(), r.Name(), r.Hash())
			}
		}
		if i == 0 && len(h.Refs) != len(refs) {
			return damage("%s has %d refs, and refs.json has %d", part.bundle(), len(h.Refs), len(refs))
		}
	}
	return nil
}

// commandsFit holds the commands for git in segment i, by which a person
// restores by hand, against what has become of the refs. The segment was read
// before, and held against the checksums of its manifest. It makes the state
// that the replay has reached the one before.
func (c *Chain) commandsFit(i int, was map[Part]*Snapshot) error {
	for _, part := range []Part{Repo, Wiki} {
		before, now := was[part], c.parts[part].now
		was[part] = now
		var changes Changes // none in a full segment
		switch {
		case i == 0 || before == nil && now == nil:
		case now == nil:
			changes = changesOf(before, Snapshot{})
		default:
			changes = changesOf(before, *now)
		}
		e := c.readers[i].entry(part.commands())
		if len(changes.Set)+len(changes.Deleted) == 0 {
			if e != nil {
				return damage("%s is there, and no ref has changed", e.Name)
			}
			continue
		}
		sum := sha256.New()
		if err := changes.commands(sum); err != nil {
			return err
		}
		if e == nil || e.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
			return damage("%s is not what refs.json says", part.commands())
		}
	}
	return nil
}
