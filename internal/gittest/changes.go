package gittest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A change is one kind of thing that people do to a repository. do makes it
// and says what it did; "" is that it is not possible now, with nothing done.
type change struct {
	name  string
	cards int // in the deck: how often it comes
	do    func(*Evolution) string
	place where
	fills bool // for a repository without references; the others are for those with some
}

// where in a step a change may stand.
type where string

const (
	anywhere where = ""
	last     where = "last"
	alone    where = "alone"
)

const (
	unchanged = "unchanged"
	pruned    = "pruned"
)

var changes = []change{
	{name: "commits", cards: 8, do: (*Evolution).commitSome},
	{name: "merge", cards: 2, do: func(e *Evolution) string { return e.merge(1) }},
	{name: "octopus merge", cards: 1, do: func(e *Evolution) string { return e.merge(2 + e.dice.IntN(4)) }},
	{name: "new branch", cards: 3, do: (*Evolution).newBranch},
	{name: "branch deleted", cards: 2, do: func(e *Evolution) string { return e.remove("refs/heads/") }},
	{name: "default branch deleted", cards: 1, do: (*Evolution).removeDefault},
	{name: "branch renamed", cards: 1, do: (*Evolution).renameBranch},
	{name: "tip rewritten", cards: 2, do: (*Evolution).rewriteTip},
	{name: "branch reset to an older commit", cards: 1, do: (*Evolution).reset},
	{name: "branch replaced by an unrelated root", cards: 1, do: (*Evolution).replaceHistory},
	{name: "rolled back or forward to a known commit", cards: 2, do: (*Evolution).revisit},
	{name: "lightweight tag", cards: 1, do: func(e *Evolution) string { return e.tag(e.base()) }},
	{name: "annotated tag", cards: 2, do: func(e *Evolution) string { return e.tag(e.annotate("commit", e.base())) }},
	{name: "nested tag", cards: 1, do: (*Evolution).nestTag},
	{name: "tag moved", cards: 1, do: (*Evolution).moveTag},
	{name: "tag deleted", cards: 2, do: func(e *Evolution) string { return e.remove("refs/tags/") }},
	{name: "tag on a tree", cards: 1, do: func(e *Evolution) string { return e.tag(e.anyTree()) }},
	{name: "tag on a blob", cards: 1, do: func(e *Evolution) string { return e.tag(e.anyBlob()) }},
	{name: "annotated tag on a tree", cards: 1, do: func(e *Evolution) string { return e.tag(e.annotate("tree", e.anyTree())) }},
	{name: "annotated tag on a blob", cards: 1, do: func(e *Evolution) string { return e.tag(e.annotate("blob", e.anyBlob())) }},
	{name: "notes", cards: 3, do: (*Evolution).note},
	{name: "replace reference", cards: 1, do: (*Evolution).replaceCommit},
	{name: "pull request", cards: 2, do: (*Evolution).pull},
	{name: "other namespace", cards: 1, do: (*Evolution).foreign},
	{name: "other reference deleted", cards: 1, do: (*Evolution).removeOther},
	{name: "HEAD to another branch", cards: 2, do: (*Evolution).moveHead},
	{name: "HEAD detached", cards: 1, do: func(e *Evolution) string { return e.setHead(e.base()) }},
	{name: "HEAD detached off every branch", cards: 1, do: (*Evolution).headOff},
	{name: "HEAD unborn", cards: 1, do: func(e *Evolution) string { return e.setHead("ref: " + e.free("refs/heads/unborn-%d")) }},
	{name: "folder in place of a reference", cards: 2, do: (*Evolution).deepen},
	{name: "reference in place of a folder", cards: 2, do: (*Evolution).flatten},
	{name: "odd name", cards: 3, do: (*Evolution).oddName},
	{name: "names that differ by case", cards: 1, do: (*Evolution).twins},
	{name: "emptied", cards: 1, do: (*Evolution).empty, place: last},
	{name: "filled with old objects", cards: 3, do: (*Evolution).refill, fills: true},
	{name: "filled with new objects", cards: 3, do: (*Evolution).refillNew, fills: true},
	{name: "repacked", cards: 1, do: (*Evolution).repack},
	{name: pruned, cards: 1, do: (*Evolution).prune},
	{name: unchanged, cards: 1, do: func(*Evolution) string { return "nothing happened" }, place: alone},
}

// Changes returns the names of all changes that a step may make.
func Changes() []string {
	var names []string
	for _, c := range changes {
		names = append(names, c.name)
	}
	return names
}

// names returns the references below a prefix, in order.
func (e *Evolution) names(prefix string) []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(e.refs)) {
		if strings.HasPrefix(name, prefix) {
			found = append(found, name)
		}
	}
	return found
}

// commitRefs returns those of names that hold commits.
func (e *Evolution) commitRefs(prefix string) []string {
	return slices.DeleteFunc(e.names(prefix), func(name string) bool { _, ok := e.commits[e.refs[name]]; return !ok })
}

// pick returns one of the names, "" of none.
func (e *Evolution) pick(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[e.dice.IntN(len(names))]
}

// base returns a commit to build on: one that a reference holds, if any does.
func (e *Evolution) base() string {
	if name := e.pick(e.commitRefs("refs/")); name != "" {
		return e.refs[name]
	}
	if id := e.pick(e.known); id != "" {
		return id
	}
	return e.root()
}

// taken says whether no reference of this name can be made: it exists, or
// needs a folder where one is, or the other way round.
func (e *Evolution) taken(name string) bool {
	for other := range e.refs {
		if other == name || strings.HasPrefix(other, name+"/") || strings.HasPrefix(name, other+"/") {
			return true
		}
	}
	return false
}

// free returns a name that is not taken, made from one of the formats, which
// have a number. The first format must not need a folder of its own: it may
// be a reference by now.
func (e *Evolution) free(formats ...string) string {
	for {
		e.tick++
		if name := fmt.Sprintf(e.pick(formats), e.tick); !e.taken(name) {
			return name
		}
	}
}

func (e *Evolution) empty() string {
	n := len(e.refs)
	clear(e.refs)
	if e.dice.IntN(2) == 0 {
		e.head = "ref: refs/heads/main"
	}
	return fmt.Sprintf("%d references deleted, HEAD is %q", n, e.head)
}

// refill makes some branches of what was there before.
func (e *Evolution) refill() string {
	if len(e.known) == 0 {
		return ""
	}
	for range 1 + e.dice.IntN(4) {
		e.refs[e.free("refs/heads/again-%d")] = e.pick(e.known)
	}
	return e.setHead("ref: " + e.pick(e.names("refs/heads/")))
}

func (e *Evolution) refillNew() string {
	e.refs["refs/heads/main"] = e.root()
	return e.commitOn("refs/heads/main", 1+e.dice.IntN(4))
}

// repack packs what is loose, objects and references, as servers do at times.
func (e *Evolution) repack() string {
	e.err = e.write()
	for _, args := range [][]string{{"repack", "-adkq"}, {"pack-refs", "--all"}} {
		if e.err == nil {
			_, e.err = Git(e.dir, args...)
		}
	}
	return "every object kept"
}

// prune removes unreachable objects. A commit graph would outlive them in a
// repository without references, and git fsck minds.
func (e *Evolution) prune() string {
	if e.err = e.write(); e.err == nil {
		_, e.err = Git(e.dir, "-c", "gc.writeCommitGraph=false", "gc", "--quiet", "--prune=now")
	}
	before := len(e.known)
	if e.err == nil {
		e.err = e.forget()
	}
	return fmt.Sprintf("%d of %d commits", before-len(e.known), before)
}
