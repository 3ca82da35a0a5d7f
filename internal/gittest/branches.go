package gittest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

func (e *Evolution) newBranch() string {
	name := e.free("refs/heads/topic-%d", "refs/heads/feature/f%d", "refs/heads/users/ada/x/%d")
	e.refs[name] = e.base()
	return fmt.Sprintf("%q", name)
}

// remove deletes one reference below a prefix.
func (e *Evolution) remove(prefix string) string {
	name := e.pick(e.names(prefix))
	if name == "" {
		return ""
	}
	delete(e.refs, name)
	return fmt.Sprintf("%q", name)
}

func (e *Evolution) removeDefault() string {
	name := strings.TrimPrefix(e.head, "ref: ")
	if e.refs[name] == "" {
		return ""
	}
	delete(e.refs, name)
	return fmt.Sprintf("%q", name)
}

func (e *Evolution) removeOther() string {
	return e.remove(e.pick([]string{"refs/notes/", "refs/replace/", "refs/pull/", "refs/bk/", "refs/changes/"}))
}

func (e *Evolution) renameBranch() string {
	old := e.pick(e.names("refs/heads/"))
	if old == "" {
		return ""
	}
	name := e.free("refs/heads/renamed-%d")
	e.refs[name] = e.refs[old]
	delete(e.refs, old)
	if e.head == "ref: "+old && e.dice.IntN(4) > 0 { // as hosting services do, and unlike git
		e.head = "ref: " + name
	}
	return fmt.Sprintf("%q to %q", old, name)
}

// deepen deletes a reference and makes one in a folder of its name.
func (e *Evolution) deepen() string {
	name := e.pick(append(e.names("refs/heads/"), e.names("refs/tags/")...))
	if name == "" || len(name) > 400 {
		return ""
	}
	id := e.refs[name]
	delete(e.refs, name)
	if e.dice.IntN(2) == 0 {
		id = e.base()
	}
	e.refs[name+"/b"] = id
	return fmt.Sprintf("%q to %q", name, name+"/b")
}

// flatten deletes the references in a folder and makes one of its name.
func (e *Evolution) flatten() string {
	deep := slices.DeleteFunc(append(e.names("refs/heads/"), e.names("refs/tags/")...), func(name string) bool { return strings.Count(name, "/") < 3 })
	name := e.pick(deep)
	if name == "" {
		return ""
	}
	dir := path.Dir(name)
	e.refs[dir] = e.refs[name]
	for _, inside := range e.names(dir + "/") {
		delete(e.refs, inside)
	}
	return fmt.Sprintf("%q to %q", name, dir)
}

func (e *Evolution) moveHead() string {
	names := slices.DeleteFunc(e.names("refs/heads/"), func(name string) bool { return e.head == "ref: "+name })
	if len(names) == 0 {
		return ""
	}
	return e.setHead("ref: " + e.pick(names))
}

// headOff sets HEAD to a commit that nothing else holds.
func (e *Evolution) headOff() string {
	base := e.base()
	return e.setHead(e.commit(e.edited(base), base))
}

func (e *Evolution) setHead(head string) string {
	e.head = head
	return fmt.Sprintf("%q", head)
}
