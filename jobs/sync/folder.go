package dirsync

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
)

// errLink says that a symbolic link has come into a path: what it leads to is
// another file, which perhaps nobody wanted to be read, or removed.
var errLink = errors.New("a symbolic link stands where there was a directory: links are not followed")

// errNoDir says that a file cannot be brought below what has the directory's name.
var errNoDir = errors.New("is no directory: a link is not followed, and nothing but a file is replaced: move it away")

// A folder is a directory whose files are reached through directories alone: no
// symbolic link on the way is followed, not even one inside of it, and whatever
// others put into the place of a directory meanwhile. os.Root alone follows
// links that stay inside. It is safe for concurrent use.
type folder struct {
	root *os.Root
	at   *os.File    // the same, for the system's own way
	slow atomic.Bool // the system has no way of its own
}

// newFolder makes one of root, which is closed with it, or now if that fails.
func newFolder(root *os.Root) (*folder, error) {
	f := &folder{root: root}
	var err error
	if f.at, err = root.Open("."); err != nil {
		root.Close()
		return nil, plain(err)
	}
	return f, nil
}

func (f *folder) Close() error { return errors.Join(f.at.Close(), f.root.Close()) }

// file opens a file for reading. Nothing is waited for, whatever it is.
func (f *folder) file(rel string) (*os.File, error) {
	if !f.slow.Load() {
		file, err := openBeneath(f.at, rel)
		if !errors.Is(err, errors.ErrUnsupported) {
			return file, err
		}
		f.slow.Store(true)
	}
	dir, err := f.dir(path.Dir(rel))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	file, err := dir.OpenFile(path.Base(rel), os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, plain(err)
	}
	// Not every system can be told to follow no link.
	is, err := dir.Lstat(path.Base(rel))
	opened, serr := file.Stat()
	if err = errors.Join(err, serr); err == nil && !os.SameFile(is, opened) {
		err = errLink
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// lstat looks at what has a path.
func (f *folder) lstat(rel string) (fs.FileInfo, error) {
	dir, err := f.dir(path.Dir(rel))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	fi, err := dir.Lstat(path.Base(rel))
	return fi, plain(err)
}

// dir opens a directory of it; "." is the folder itself.
func (f *folder) dir(rel string) (*os.Root, error) { return f.descend(rel, false) }

// mkdirs opens a directory of it, which is made first if need be, with those
// above it.
func (f *folder) mkdirs(rel string) (*os.Root, error) { return f.descend(rel, true) }

func (f *folder) descend(rel string, create bool) (*os.Root, error) {
	dir, err := f.root.OpenRoot(".")
	if err != nil || rel == "." {
		return dir, plain(err)
	}
	at := ""
	for name := range strings.SplitSeq(rel, "/") {
		at = path.Join(at, name)
		sub, err := enter(dir, name)
		if create && errors.Is(err, fs.ErrNotExist) {
			if err = dir.Mkdir(name, 0o777); err == nil || errors.Is(err, fs.ErrExist) {
				sub, err = enter(dir, name)
			}
		}
		dir.Close()
		switch {
		case err == nil:
		case create && (errors.Is(err, errLink) || errors.Is(err, syscall.ENOTDIR)):
			return nil, fmt.Errorf("%s %w", at, errNoDir)
		case create:
			return nil, fmt.Errorf("make the directory %s: %w", at, plain(err))
		default:
			return nil, plain(err)
		}
		dir = sub
	}
	return dir, nil
}

// enter opens a directory of another one, which must have that name itself: what
// was opened through a link is not what a look at the name finds.
func enter(dir *os.Root, name string) (*os.Root, error) {
	sub, err := dir.OpenRoot(name)
	is, lerr := dir.Lstat(name)
	if lerr == nil && is.Mode()&fs.ModeSymlink != 0 {
		lerr = errLink
	}
	switch {
	case err != nil && errors.Is(lerr, errLink):
		return nil, errLink
	case err != nil && lerr == nil && !is.IsDir():
		return nil, syscall.ENOTDIR
	case err != nil:
		return nil, err
	}
	opened, err := sub.Stat(".")
	if err = errors.Join(lerr, err); err == nil && !os.SameFile(is, opened) {
		err = errLink
	}
	if err != nil {
		sub.Close()
		return nil, err
	}
	return sub, nil
}

// missing reports whether an error says that there is nothing of that name.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
