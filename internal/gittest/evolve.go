package gittest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// An Evolution changes a bare repository step by step, as its people would;
// the same seed makes the same steps, with the same object ids. The
// repository is sound after every step. Others may read it meanwhile, but
// not change it. The names of its references need Linux's file systems;
// elsewhere the oddest are left out.
type Evolution struct {
	// Prune adds a change that removes unreachable objects, as servers do at
	// times. Without it no object ever goes away. Set it before the first step.
	Prune bool

	dir  string
	dice *rand.Rand
	deck []change
	tick int   // counts commits, tags and names: what makes them differ
	err  error // the first one; whatever comes after it does nothing

	commits map[string]revision
	known   []string // ids of commits, oldest first
	tags    map[string]bool

	refs    map[string]string // what is to be: name to object id
	head    string            // as in the file: "ref: NAME" or an object id
	written map[string]string // what the repository has
	there   string            // its HEAD
}

// NewEvolution makes a bare repository at dir, which must not exist, with a
// few commits on main.
func NewEvolution(dir string, seed uint64) (*Evolution, error) {
	if err := initBare(dir, "main", "sha1"); err != nil {
		return nil, err
	}
	const head = "ref: refs/heads/main"
	e := &Evolution{
		dir: dir, dice: rand.New(rand.NewPCG(seed, 0)),
		commits: map[string]revision{}, tags: map[string]bool{},
		refs: map[string]string{}, head: head, written: map[string]string{}, there: head,
	}
	e.refs["refs/heads/main"] = e.root()
	e.commitOn("refs/heads/main", 3)
	return e, e.write()
}

// Step makes one to five random changes, or none, and says which: "NAME:
// DETAILS", the names as in Changes. Changes can cancel each other out; only
// State tells whether anything differs.
func (e *Evolution) Step() (what []string, err error) {
	for range 1 + e.dice.IntN(5) {
		c, details := e.draw(len(what) == 0)
		what = append(what, c.name+": "+details)
		if c.place != anywhere || e.err != nil {
			break
		}
	}
	if err := e.write(); err != nil {
		return what, fmt.Errorf("change repository %s (%s): %w", e.dir, strings.Join(what, "; "), err)
	}
	return what, nil
}

// draw takes the first change off the deck that is possible now, and makes
// it. A deck instead of dice: none stays away for long.
func (e *Evolution) draw(first bool) (change, string) {
	for {
		for i, c := range e.deck {
			if c.place == alone && !first || c.place != alone && c.fills != (len(e.refs) == 0) {
				continue
			}
			if details := c.do(e); details != "" {
				e.deck = slices.Delete(e.deck, i, i+1)
				return c, details
			}
		}
		for _, c := range changes {
			if c.name != pruned || e.Prune {
				e.deck = append(e.deck, slices.Repeat([]change{c}, c.cards)...)
			}
		}
		e.dice.Shuffle(len(e.deck), func(i, j int) { e.deck[i], e.deck[j] = e.deck[j], e.deck[i] })
	}
}

// write makes the repository's references what they are to be.
func (e *Evolution) write() error {
	if e.err != nil {
		return e.err
	}
	var in bytes.Buffer
	in.WriteString("start\x00") // deletions first: a name may be in the way of another
	for _, name := range slices.Sorted(maps.Keys(e.written)) {
		if _, ok := e.refs[name]; !ok {
			fmt.Fprintf(&in, "delete %s\x00%s\x00", name, e.written[name])
		}
	}
	in.WriteString("commit\x00start\x00")
	for _, name := range slices.Sorted(maps.Keys(e.refs)) {
		if e.refs[name] != e.written[name] {
			fmt.Fprintf(&in, "update %s\x00%s\x00%s\x00", name, e.refs[name], e.written[name])
		}
	}
	in.WriteString("commit\x00")
	branch, symbolic := strings.CutPrefix(e.head, "ref: ")
	if e.head != e.there && !symbolic {
		fmt.Fprintf(&in, "start\x00option no-deref\x00update HEAD\x00%s\x00\x00commit\x00", e.head)
	}
	if _, err := GitInput(e.dir, &in, "update-ref", "--stdin", "-z"); err != nil {
		return err
	}
	if e.head != e.there && symbolic {
		if _, err := Git(e.dir, "symbolic-ref", "HEAD", branch); err != nil {
			return err
		}
	}
	e.written, e.there = maps.Clone(e.refs), e.head
	return nil
}

// State returns what makes two repositories the same to their users, as
// text: HEAD as in its file ("ref: NAME" or an object id), then a line "NAME
// ID" for each reference, sorted by the bytes of the name. Names are raw.
func State(dir string) (string, error) {
	head, err := Git(dir, "symbolic-ref", "--quiet", "HEAD")
	if err == nil {
		head = "ref: " + head
	} else if head, err = Git(dir, "rev-parse", "--verify", "HEAD^0"); err != nil {
		return "", err
	}
	refs, err := Git(dir, "for-each-ref", "--format=%(refname) %(objectname)")
	if err != nil {
		return "", err
	}
	lines := strings.FieldsFunc(refs, func(r rune) bool { return r == '\n' })
	slices.Sort(lines) // a space sorts before whatever a name may hold
	return strings.Join(append([]string{head}, lines...), "\n") + "\n", nil
}
