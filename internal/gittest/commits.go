package gittest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// root writes a commit without a parent, with fresh files.
func (e *Evolution) root() string {
	files := map[string]file{}
	for range 3 {
		e.add(files)
	}
	return e.commit(files)
}

// commitOn puts n commits on a branch and says what they changed.
func (e *Evolution) commitOn(branch string, n int) string {
	var said []string
	for range n {
		tip := e.refs[branch]
		files := maps.Clone(e.commits[tip].files)
		for range 1 + e.dice.IntN(3) {
			said = append(said, e.edit(files))
		}
		e.refs[branch] = e.commit(files, tip)
	}
	return fmt.Sprintf("%d on %q: %s", n, branch, strings.Join(said, ", "))
}

func (e *Evolution) commitSome() string {
	branch := e.pick(e.commitRefs("refs/heads/"))
	if branch == "" {
		return ""
	}
	return e.commitOn(branch, 1+e.dice.IntN(5))
}

// edited returns a commit's files with one more edit.
func (e *Evolution) edited(id string) map[string]file {
	files := maps.Clone(e.commits[id].files)
	e.edit(files)
	return files
}

// edit changes the files of a commit to be, and says how.
func (e *Evolution) edit(files map[string]file) string {
	paths := slices.Sorted(maps.Keys(files))
	if len(paths) == 0 {
		return e.add(files)
	}
	path := paths[e.dice.IntN(len(paths))]
	f := files[path]
	switch e.dice.IntN(12) {
	case 0, 1:
		return e.add(files)
	case 2:
		delete(files, path)
		return fmt.Sprintf("removed %q", path)
	case 3:
		name := e.path("moved-%d.txt")
		files[name] = f
		delete(files, path)
		return fmt.Sprintf("renamed %q to %q", path, name)
	case 4:
		name := e.path("picture-%d.bin")
		noise := make([]byte, 1<<e.dice.IntN(15))
		for i := range noise {
			noise[i] = byte(e.dice.Uint32())
		}
		files[name] = e.file(regular, string(noise))
		return fmt.Sprintf("binary %q", name)
	case 5:
		name := e.path("link-%d")
		files[name] = e.file(symlink, path)
		return fmt.Sprintf("symlink %q", name)
	case 6:
		name := e.path("library-%d")
		files[name] = file{mode: gitlink, id: strings.Repeat("5a", 20)} // a commit of another repository
		return fmt.Sprintf("submodule %q", name)
	case 7:
		if f.mode == regular {
			f.mode = executable
			files[path] = f
			return fmt.Sprintf("executable %q", path)
		}
	}
	if f.mode != regular && f.mode != executable {
		return e.add(files)
	}
	files[path] = e.file(f.mode, f.data+e.line())
	return fmt.Sprintf("changed %q", path)
}

func (e *Evolution) add(files map[string]file) string {
	name := e.path(e.pick([]string{"file-%d.txt", "läßt-%d.md", "latin-\xe9-%d"}))
	files[name] = e.file(regular, strings.Repeat(e.line(), 1+e.dice.IntN(30)))
	return fmt.Sprintf("added %q", name)
}

func (e *Evolution) line() string {
	return fmt.Sprintf("%d: the quick brown fox jumps over the lazy dog\n", e.dice.IntN(1000))
}

// path returns a new one, from a format with a number. Folders and files
// never have the same name.
func (e *Evolution) path(format string) string {
	e.tick++
	return e.pick([]string{"", "", "src/", "src/deep/er/", "dir/"}) + fmt.Sprintf(format, e.tick)
}

// merge merges n others into a branch.
func (e *Evolution) merge(n int) string {
	into := e.pick(e.commitRefs("refs/heads/"))
	if into == "" {
		return ""
	}
	parents := []string{e.refs[into]}
	others := e.commitRefs("refs/")
	e.dice.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	for _, name := range others {
		if id := e.refs[name]; len(parents) <= n && !slices.Contains(parents, id) {
			parents = append(parents, id)
		}
	}
	if len(parents) <= n {
		return ""
	}
	e.refs[into] = e.join(parents...)
	return fmt.Sprintf("%d into %q", n, into)
}

// join writes a merge that has the files of all its parents.
func (e *Evolution) join(parents ...string) string {
	files := map[string]file{}
	for _, p := range slices.Backward(parents) {
		maps.Copy(files, e.commits[p].files)
	}
	return e.commit(files, parents...)
}

func (e *Evolution) rewriteTip() string {
	branch := e.pick(e.commitRefs("refs/heads/"))
	if branch == "" {
		return ""
	}
	tip := e.refs[branch]
	e.refs[branch] = e.commit(e.edited(tip), e.commits[tip].parents...)
	return fmt.Sprintf("%q", branch)
}

// reset moves a branch back over a few of its commits.
func (e *Evolution) reset() string {
	branch := e.pick(slices.DeleteFunc(e.commitRefs("refs/heads/"), func(name string) bool { return len(e.commits[e.refs[name]].parents) == 0 }))
	if branch == "" {
		return ""
	}
	id := e.refs[branch]
	for range 1 + e.dice.IntN(4) {
		if p := e.commits[id].parents; len(p) > 0 {
			id = p[0]
		}
	}
	e.refs[branch] = id
	return fmt.Sprintf("%q", branch)
}

func (e *Evolution) replaceHistory() string {
	branch := e.pick(e.names("refs/heads/"))
	if branch == "" {
		return ""
	}
	e.refs[branch] = e.root()
	return fmt.Sprintf("%q", branch)
}

// revisit moves a branch to any commit of the past, reachable or not.
func (e *Evolution) revisit() string {
	branch := e.pick(e.names("refs/heads/"))
	if branch == "" || len(e.known) == 0 {
		return ""
	}
	e.refs[branch] = e.pick(e.known)
	return fmt.Sprintf("%q to %s", branch, e.refs[branch])
}
