package dirsync

import (
	"context"
	"errors"
	"fmt"
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
	// kind is set for what is no file and no directory: "symbolic links".
	kind string
	// gone says that this was a directory a moment ago.
	gone bool
	// leftover says that this is what a run that was cut off left of a file that
	// it fetched.
	leftover bool
}

// walk yields what the filter takes of a directory, in the order in which a
// store lists the keys: by bytes, a directory counting with its slash. It never
// follows a symbolic link. A directory that cannot be read is an entry with a
// problem. It holds the names of one directory at a time for each level.
func walk(ctx context.Context, root *os.Root, f filter, check func(path string) error, track *tracker) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		w := walker{ctx, f, check, yield, track}
		w.dir(root, "")
	}
}

// A walker goes through one directory. Its methods return false when whoever
// asked wants no more.
type walker struct {
	ctx    context.Context
	filter filter
	check  func(path string) error // what is wrong with a name
	yield  func(entry) bool
	// track is told of directories when they are listed; nil: nobody asks. It
	// answers whether the files in this one need no look.
	track *tracker
}

// name is an entry of a directory and the key that it sorts by.
type name struct {
	name string
	key  string
}

const fixRead = "let this user read it, or leave it out with exclude"

func (w walker) dir(dir *os.Root, at string) bool {
	quiet := false
	if w.track != nil {
		quiet = w.track.listing(dir, at)
	}
	names, err := namesIn(dir)
	if errors.Is(err, fs.ErrNotExist) && at != "" {
		return w.yield(entry{path: at + "/", gone: true})
	}
	if err != nil {
		return w.yield(entry{path: at + "/", problem: err, fix: fixRead})
	}
	for _, n := range names {
		rel := path.Join(at, n.name)
		going := true
		switch isDir := strings.HasSuffix(n.key, "/"); {
		case w.ctx.Err() != nil:
			return false
		case isDir && w.filter.skips(rel):
		case isDir && rel+"/" == indexDir:
			going = w.yield(entry{path: indexDir, problem: errOurs, fix: "rename it, or leave it out with exclude: [/.mayfly/**]"})
		case isDir:
			going = w.below(dir, n.name, rel)
		case quiet:
		case temporaryForm.MatchString(n.name):
			going = w.yield(entry{path: rel, leftover: true})
		case unfinishedForm.MatchString(n.name): // no store in a directory can hold it, and nobody misses it
		case w.filter.takes(rel):
			if e, there := w.look(dir, n.name, rel); there {
				going = w.yield(e)
			}
		}
		if !going {
			return false
		}
	}
	return true
}

var errOurs = errors.New("mayfly keeps files of its own under this name in the store")

// errDeep is of a directory below which no file can be kept: nobody looks how
// deep it is, for the paths would fill the memory.
var errDeep = fmt.Errorf("the store cannot keep what is in it: its path is longer than %d bytes", store.MaxKey)

// below goes into a directory. What has become something else since its name
// was read is looked at as that.
func (w walker) below(dir *os.Root, base, rel string) bool {
	fi, err := dir.Lstat(base)
	if err == nil && fi.IsDir() && len(rel) > store.MaxKey {
		return w.yield(entry{path: rel + "/", problem: errDeep, fix: "rename it, or leave it out with exclude"})
	}
	if err == nil && !fi.IsDir() {
		if e, there := w.look(dir, base, rel); there && w.filter.takes(rel) {
			return w.yield(e)
		}
		return true
	}
	var sub *os.Root
	if err == nil {
		sub, err = enter(dir, base)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errLink):
		return w.yield(entry{path: rel + "/", gone: true})
	case err != nil:
		return w.yield(entry{path: rel + "/", problem: plain(err), fix: fixRead})
	}
	defer sub.Close()
	return w.dir(sub, rel)
}

// look makes an entry of what has a name.
func (w walker) look(dir *os.Root, base, rel string) (e entry, there bool) {
	fi, err := dir.Lstat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return e, false
	}
	e.path = rel
	switch {
	case err != nil:
		e.problem, e.fix = plain(err), fixRead
	case !fi.Mode().IsRegular():
		e.kind = kindOf(fi.Mode())
	default:
		if err := w.check(rel); err != nil {
			e.problem, e.fix = err, "rename it, or leave it out with exclude"
		} else {
			e.info = fi
		}
	}
	return e, true
}

// badName says why the store cannot keep a file of this path; nil: it can.
func (j *job) badName(path string) error {
	err := store.CheckIn(j.env.Store, j.env.Prefix+"/"+path)
	if err == nil {
		return nil
	}
	text := err.Error()
	return errors.New("the store cannot keep this name: " + text[strings.LastIndex(text, ": ")+2:])
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
