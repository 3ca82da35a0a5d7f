package rebuild

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gitref"
)

const defaultHead = "refs/heads/main"

// refs is what SetRefs has written.
type refs struct {
	head     plumbing.Hash // what HEAD names; zero when it is unborn
	pushable int           // refs that Push pushes
}

// SetRefs writes the refs and HEAD: the final state, in place of any that was
// there before. refs are hash references with full names, in any order.
//
// head is symbolic (its target may be unborn) or a hash. When it is nil
// because nobody knows, HEAD becomes refs/heads/main if there is one, else
// refs/heads/master, else the first branch by name, else main, unborn.
//
// All refs stand in the file packed-refs. As files of their own, names that
// differ by case alone would collide on many a Mac and on Windows, and 100,000
// would take minutes.
func (r *Repository) SetRefs(head *plumbing.Reference, refs []*plumbing.Reference) error {
	if err := r.setRefs(head, refs); err != nil {
		return fmt.Errorf("write the refs of %s: %w", r.dir, err)
	}
	return nil
}

func (r *Repository) setRefs(head *plumbing.Reference, refs []*plumbing.Reference) error {
	refs = slices.Clone(refs)
	slices.SortFunc(refs, func(a, b *plumbing.Reference) int {
		return strings.Compare(string(a.Name()), string(b.Name()))
	})
	if err := checkRefs(refs); err != nil {
		return err
	}
	line, err := headLine(head, refs)
	if err != nil {
		return err
	}
	err = replaceFile(filepath.Join(r.gitDir, "packed-refs"), func(w io.Writer) error {
		return writePackedRefs(w, refs)
	})
	if err != nil {
		return err
	}
	err = replaceFile(filepath.Join(r.gitDir, "HEAD"), func(w io.Writer) error {
		_, err := io.WriteString(w, line+"\n")
		return err
	})
	if err != nil {
		return err
	}
	r.refs.head, r.refs.pushable = plumbing.NewHash(line), 0
	if target, symbolic := strings.CutPrefix(line, "ref: "); symbolic {
		r.refs.head = find(refs, target)
	}
	for _, ref := range refs {
		if !strings.HasPrefix(string(ref.Name()), notPushed) {
			r.refs.pushable++
		}
	}
	return nil
}

// headLine is the content of HEAD, without the newline.
func headLine(head *plumbing.Reference, refs []*plumbing.Reference) (string, error) {
	if head == nil {
		return "ref: " + guessHead(refs), nil
	}
	switch head.Type() {
	case plumbing.HashReference:
		if head.Hash().IsZero() {
			return "", errors.New("HEAD names no object")
		}
		return head.Hash().String(), nil
	case plumbing.SymbolicReference:
		if err := gitref.CheckName(string(head.Target())); err != nil {
			return "", fmt.Errorf("target of HEAD: %w", err)
		}
		return "ref: " + string(head.Target()), nil
	}
	return "", fmt.Errorf("HEAD is neither symbolic nor an id: %v", head)
}

func guessHead(refs []*plumbing.Reference) string {
	for _, name := range []string{defaultHead, "refs/heads/master"} {
		if !find(refs, name).IsZero() {
			return name
		}
	}
	for _, ref := range refs {
		if ref.Name().IsBranch() {
			return string(ref.Name())
		}
	}
	return defaultHead
}

// find returns what a ref names, zero if it is not among refs, which are
// sorted by name.
func find(refs []*plumbing.Reference, name string) plumbing.Hash {
	i, found := slices.BinarySearchFunc(refs, name, func(r *plumbing.Reference, name string) int {
		return strings.Compare(string(r.Name()), name)
	})
	if !found {
		return plumbing.ZeroHash
	}
	return refs[i].Hash()
}

// writePackedRefs writes sorted refs as git's refs/packed-backend.c reads
// them. The header promises the order, byte by byte, and not that annotated
// tags are peeled: git then peels them when it needs to.
func writePackedRefs(w io.Writer, refs []*plumbing.Reference) error {
	if _, err := io.WriteString(w, "# pack-refs with: sorted \n"); err != nil {
		return err
	}
	for _, r := range refs {
		if _, err := io.WriteString(w, r.Hash().String()+" "+string(r.Name())+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// checkRefs refuses what would make packed-refs say something else.
func checkRefs(sorted []*plumbing.Reference) error {
	last := ""
	for _, r := range sorted {
		name := string(r.Name())
		if err := gitref.CheckName(name); err != nil {
			return err
		}
		switch {
		case name == last:
			return fmt.Errorf("ref %q is there twice", name)
		case r.Type() != plumbing.HashReference || r.Hash().IsZero():
			return fmt.Errorf("ref %q names no object", name)
		}
		last = name
	}
	return nil
}
