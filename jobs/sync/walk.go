package dirsync

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"

	"mayfly/internal/store"
)

// An entry is a file of the directory, or what was found in the place of one.
type entry struct {
	path string // relative, with slashes
	info fs.FileInfo
	// problem says why this is no file that can be kept; then info is nil.
	problem error
	// fix is what to do about the problem.
	fix string
	// kind is set for what is no file and no directory: "symbolic link".
	kind string
}

// walk yields what the filter takes of a directory, in the order in which a
// store lists the keys: by bytes, a directory counting with its slash. It never
// follows a symbolic link. A directory that cannot be read is an entry with a
// problem. It holds the names of one directory at a time for each level.
func walk(ctx context.Context, root *os.Root, f filter) iter.Seq[entry] {
	return func(yield func(entry) bool) { walkDir(ctx, root, "", f, yield) }
}

// name is an entry of a directory and the key that it sorts by.
type name struct {
	name string
	key  string
}

func walkDir(ctx context.Context, dir *os.Root, at string, f filter, yield func(entry) bool) bool {
	names, err := namesIn(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && at != "" {
			return true // it is gone, and all that was in it
		}
		return yield(entry{path: at + "/", problem: err, fix: "let this user read it, or leave it out with exclude"})
	}
	for _, n := range names {
		if ctx.Err() != nil {
			return false
		}
		rel := path.Join(at, n.name)
		if strings.HasSuffix(n.key, "/") {
			if f.skips(rel) {
				continue
			}
			if rel+"/" == indexDir {
				if !yield(entry{path: indexDir, problem: errOurs, fix: "rename it, or leave it out with exclude: [/.mayfly/**]"}) {
					return false
				}
				continue
			}
			if !walkBelow(ctx, dir, n.name, rel, f, yield) {
				return false
			}
			continue
		}
		if !f.takes(rel) {
			continue
		}
		if e, there := look(dir, n.name, rel); there && !yield(e) {
			return false
		}
	}
	return true
}

var errOurs = errors.New("mayfly keeps files of its own under this name in the store")

func walkBelow(ctx context.Context, dir *os.Root, base, rel string, f filter, yield func(entry) bool) bool {
	// What has become something else meanwhile is looked at as that.
	fi, err := dir.Lstat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err == nil && !fi.IsDir() {
		if e, there := look(dir, base, rel); there && f.takes(rel) {
			return yield(e)
		}
		return true
	}
	sub, err := dir.OpenRoot(base)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return yield(entry{path: rel + "/", problem: plain(err), fix: "let this user read it, or leave it out with exclude"})
	}
	defer sub.Close()
	return walkDir(ctx, sub, rel, f, yield)
}

// look makes an entry of what has a name.
func look(dir *os.Root, base, rel string) (e entry, there bool) {
	fi, err := dir.Lstat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return e, false
	}
	e.path = rel
	switch {
	case err != nil:
		e.problem, e.fix = plain(err), "let this user read it, or leave it out with exclude"
	case !fi.Mode().IsRegular():
		e.kind = kindOf(fi.Mode())
	case store.CheckKey(rel) != nil:
		e.problem, e.fix = errors.New("the store cannot keep this name: "+badName(rel)), "rename it, or leave it out with exclude"
	default:
		e.info = fi
	}
	return e, true
}

// badName says what of a path no key can have.
func badName(rel string) string {
	err := store.CheckKey(rel).Error()
	if i := strings.LastIndex(err, ": "); i >= 0 {
		return err[i+2:]
	}
	return err
}

// namesIn is what a directory holds, sorted as keys are.
func namesIn(dir *os.Root) ([]name, error) {
	d, err := dir.Open(".")
	if err != nil {
		return nil, plain(err)
	}
	defer d.Close()
	var names []name
	for {
		list, err := d.ReadDir(4096)
		for _, de := range list {
			n := name{de.Name(), de.Name()}
			if de.IsDir() {
				n.key += "/"
			}
			names = append(names, n)
		}
		if len(list) == 0 || err != nil {
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, plain(err)
			}
			break
		}
	}
	slices.SortFunc(names, func(a, b name) int { return strings.Compare(a.key, b.key) })
	return names, nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "symbolic links"
	case m&fs.ModeNamedPipe != 0:
		return "pipes"
	case m&fs.ModeSocket != 0:
		return "sockets"
	case m&fs.ModeDevice != 0:
		return "devices"
	}
	return "files of a special kind"
}

// plain is an error of the file system without the path, which is said beside
// it.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
