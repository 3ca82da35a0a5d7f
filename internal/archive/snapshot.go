package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gitref"
)

// A Snapshot is the state of one git repository: what its refs named.
type Snapshot struct {
	// Head is symbolic (its target may be unborn), or a hash when detached.
	// nil: the server did not say.
	Head *plumbing.Reference
	// Refs are hash references with full names, sorted by name. No HEAD, no
	// peeled entries.
	Refs []*plumbing.Reference
}

// Digest returns "sha256:" and the digest described at the top of the package.
func (s Snapshot) Digest() string {
	h := sha256.New()
	if line := s.headLine(); line != "" {
		io.WriteString(h, line)
	}
	for _, r := range s.Refs {
		io.WriteString(h, refLine(r))
	}
	return digest(h.Sum(nil))
}

// headLine is HEAD as the digest sees it, "" when it is unknown.
func (s Snapshot) headLine() string {
	switch {
	case s.Head == nil:
		return ""
	case s.Head.Type() == plumbing.SymbolicReference:
		return "ref: " + s.Head.Target().String() + " HEAD\n"
	}
	return s.Head.Hash().String() + " HEAD\n"
}

// refLine is a ref as a bundle and `git show-ref` spell it.
func refLine(r *plumbing.Reference) string {
	return r.Hash().String() + " " + r.Name().String() + "\n"
}

// resolve returns the object that HEAD names, if it names any.
func (s Snapshot) resolve() (plumbing.Hash, bool) {
	if s.Head == nil {
		return plumbing.ZeroHash, false
	}
	if s.Head.Type() == plumbing.HashReference {
		return s.Head.Hash(), true
	}
	for _, r := range s.Refs {
		if r.Name() == s.Head.Target() {
			return r.Hash(), true
		}
	}
	return plumbing.ZeroHash, false
}

// check refuses what would make a bundle, refs.json or RESTORE.txt say
// something else than the server did.
func (s Snapshot) check() error {
	if h := s.Head; h != nil {
		if h.Type() == plumbing.SymbolicReference {
			if err := gitref.CheckName(h.Target().String()); err != nil {
				return fmt.Errorf("target of HEAD: %w", err)
			}
		} else if h.Hash().IsZero() {
			return errors.New("HEAD names no object")
		}
	}
	last := ""
	names := make(map[string]bool, len(s.Refs))
	for _, r := range s.Refs {
		name := r.Name().String()
		if err := gitref.CheckName(name); err != nil {
			return err
		}
		if name <= last {
			return fmt.Errorf("ref %q comes after %q: refs must be sorted by name, each once", name, last)
		}
		if r.Type() != plumbing.HashReference || r.Hash().IsZero() {
			return fmt.Errorf("ref %q names no object", name)
		}
		last = name
		names[name] = true
		// The longer name sorts after its own beginning, if not right after.
		for i, c := range name {
			if c == '/' && names[name[:i]] {
				return fmt.Errorf("refs %q and %q cannot both be: git refuses to restore them", name[:i], name)
			}
		}
	}
	return nil
}

// StateDigest is the digest of a whole state, as a segment of it would have it;
// nil is a part that is absent.
func StateDigest(sel Selection, repo, wiki *Snapshot) string {
	var r, w string
	if repo != nil {
		r = repo.Digest()
	}
	if wiki != nil {
		w = wiki.Digest()
	}
	return stateDigest(sel, r, w)
}

// stateDigest is the digest of a whole segment. A part that is absent has the
// digest "".
func stateDigest(sel Selection, repo, wiki string) string {
	b, _ := json.Marshal(sel) // two booleans: cannot fail
	h := sha256.New()
	fmt.Fprintf(h, "selection %s\n", b)
	for _, p := range []struct {
		part   Part
		digest string
	}{{Repo, repo}, {Wiki, wiki}} {
		if p.digest == "" {
			p.digest = "absent"
		}
		fmt.Fprintf(h, "%s %s\n", p.part, p.digest)
	}
	return digest(h.Sum(nil))
}

func digest(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }
