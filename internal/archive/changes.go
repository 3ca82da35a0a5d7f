package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// Changes are what an increment says of one part: what became of its refs
// since the segment before, and where HEAD is now.
type Changes struct {
	Head    *plumbing.Reference      // as in a Snapshot
	Set     []*plumbing.Reference    // new ones, and ones that name another object; sorted
	Deleted []plumbing.ReferenceName // sorted
}

// changesOf compares two states of a part; old is nil when it was absent.
func changesOf(old *Snapshot, now Snapshot) Changes {
	c := Changes{Head: now.Head}
	var was []*plumbing.Reference
	if old != nil {
		was = old.Refs
	}
	for _, r := range now.Refs {
		for len(was) > 0 && was[0].Name() < r.Name() {
			c.Deleted = append(c.Deleted, was[0].Name())
			was = was[1:]
		}
		if len(was) > 0 && was[0].Name() == r.Name() {
			if was[0].Hash() != r.Hash() {
				c.Set = append(c.Set, r)
			}
			was = was[1:]
			continue
		}
		c.Set = append(c.Set, r)
	}
	for _, r := range was {
		c.Deleted = append(c.Deleted, r.Name())
	}
	return c
}

// apply is the inverse of changesOf: what the part was, changed. It refuses
// what changesOf would not have said.
func (c Changes) apply(old *Snapshot) (Snapshot, error) {
	now := Snapshot{Head: c.Head}
	var was []*plumbing.Reference
	if old != nil {
		was = old.Refs
	}
	now.Refs = make([]*plumbing.Reference, 0, len(was)+len(c.Set))
	set, deleted := c.Set, c.Deleted
	for len(was) > 0 || len(set) > 0 {
		switch {
		case len(deleted) > 0 && (len(was) == 0 || deleted[0] < was[0].Name()):
			return now, fmt.Errorf("ref %q is deleted and was not there", deleted[0])
		case len(set) == 0 || len(was) > 0 && was[0].Name() < set[0].Name():
			if len(deleted) > 0 && deleted[0] == was[0].Name() {
				deleted = deleted[1:]
			} else {
				now.Refs = append(now.Refs, was[0])
			}
			was = was[1:]
		default:
			if len(was) > 0 && was[0].Name() == set[0].Name() {
				was = was[1:]
			}
			now.Refs = append(now.Refs, set[0])
			set = set[1:]
		}
	}
	if len(deleted) > 0 {
		return now, fmt.Errorf("ref %q is deleted and was not there", deleted[0])
	}
	if err := now.check(); err != nil {
		return now, err
	}
	return now, nil
}

// check refuses changes that are not in order.
func (c Changes) check() error {
	if err := inOrder(c.Deleted); err != nil {
		return err
	}
	names := make([]plumbing.ReferenceName, len(c.Set))
	for i, r := range c.Set {
		names[i] = r.Name()
	}
	return inOrder(names)
}

func inOrder(names []plumbing.ReferenceName) error {
	for i, n := range names {
		if i > 0 && n <= names[i-1] {
			return errors.New("refs are not sorted by name, each once")
		}
	}
	return nil
}

// commands are the changes as lines for git-update-ref(1)'s --stdin: what goes,
// in a transaction of its own, before what comes, so that a directory can take
// a file's place and the other way round.
func (c Changes) commands(to io.Writer) error {
	w := bufio.NewWriter(to) // keeps its first error until Flush
	w.WriteString("start\n")
	for _, n := range c.Deleted {
		w.WriteString("delete " + n.String() + "\n")
	}
	w.WriteString("commit\nstart\n")
	for _, r := range c.Set {
		w.WriteString("update " + r.Name().String() + " " + r.Hash().String() + "\n")
	}
	w.WriteString("commit\n")
	return w.Flush()
}
