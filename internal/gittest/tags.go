package gittest

import (
	"fmt"
	"maps"
	"slices"
)

func (e *Evolution) tag(id string) string {
	name := e.free("refs/tags/v%d", "refs/tags/release/r%d")
	e.refs[name] = id
	return fmt.Sprintf("%q on %s", name, id)
}

// nestTag tags an annotated tag.
func (e *Evolution) nestTag() string {
	inner := e.pick(slices.DeleteFunc(e.names("refs/tags/"), func(name string) bool { return !e.tags[e.refs[name]] }))
	if inner == "" {
		return ""
	}
	return e.tag(e.annotate("tag", e.refs[inner]))
}

func (e *Evolution) moveTag() string {
	name := e.pick(e.names("refs/tags/"))
	if name == "" {
		return ""
	}
	id := e.base()
	if e.dice.IntN(2) == 0 {
		id = e.annotate("commit", id)
	}
	e.refs[name] = id
	return fmt.Sprintf("%q to %s", name, id)
}

func (e *Evolution) anyTree() string { return e.commits[e.base()].tree }

// anyBlob returns a file of some commit, or one that no commit has.
func (e *Evolution) anyBlob() string {
	files := e.commits[e.base()].files
	path := e.pick(slices.Sorted(maps.Keys(files)))
	if f, ok := files[path]; ok && f.mode != gitlink && e.dice.IntN(3) > 0 {
		return f.id
	}
	return e.put("blob", e.line())
}

// note adds a note on a commit, in one of several namespaces.
func (e *Evolution) note() string {
	name := e.pick([]string{"refs/notes/commits", "refs/notes/review", "refs/notes/team/ci"})
	files, parents := map[string]file{}, []string(nil)
	if old, ok := e.refs[name]; ok {
		files, parents = maps.Clone(e.commits[old].files), []string{old}
	}
	on := e.base()
	files[on] = e.file(regular, e.line())
	e.refs[name] = e.commit(files, parents...)
	return fmt.Sprintf("%s on %s", name, on)
}

// replaceCommit lets a corrected copy stand for a commit. Copies are not
// replaced in turn: git follows only five replacements.
func (e *Evolution) replaceCommit() string {
	old := e.base()
	for _, name := range e.names("refs/replace/") {
		if e.refs[name] == old {
			return ""
		}
	}
	e.refs["refs/replace/"+old] = e.commit(e.edited(old), e.commits[old].parents...)
	return old
}

// pull opens a pull request or pushes to one. As hosting services do it, one
// with a conflict has no merge.
func (e *Evolution) pull() string {
	dir := fmt.Sprintf("refs/pull/%d/", 1+e.dice.IntN(9))
	base, said := e.refs[dir+"head"], "pushed to"
	if base == "" {
		base, said = e.base(), "opened"
	}
	head := e.commit(e.edited(base), base)
	e.refs[dir+"head"] = head
	delete(e.refs, dir+"merge")
	if onto := e.base(); onto != head && e.dice.IntN(4) > 0 {
		e.refs[dir+"merge"] = e.join(onto, head)
		said += " and merged"
	}
	return said + " " + dir
}

// foreign sets a reference that is neither a branch nor a tag; the first is
// one that a restore might want for itself.
func (e *Evolution) foreign() string {
	name := "refs/bk/1/heads/main"
	if _, ok := e.refs[name]; ok {
		name = e.pick([]string{name, "refs/changes/01/1/1", "refs/remotes/origin/main", "refs/stash"})
	}
	e.refs[name] = e.base()
	return name
}
