package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// errLink says that something is not what its directory said it was.
var errLink = errors.New("it is a link, or was exchanged just now, and is not followed")

// within opens a directory that lies directly in another, and follows no link:
// what is open has to be what the name stood for, and that no link.
func within(dir *os.Root, name string) (*os.Root, error) {
	was, err := dir.Lstat(name)
	switch {
	case err != nil:
		return nil, err
	case was.Mode()&os.ModeSymlink != 0:
		return nil, fmt.Errorf("%s: %w", name, errLink)
	case !was.IsDir():
		return nil, fmt.Errorf("%s is no directory any more", name)
	}
	sub, err := dir.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	is, err := sub.Stat(".")
	if err == nil && !os.SameFile(was, is) {
		err = fmt.Errorf("%s: %w", name, errLink)
	}
	if err != nil {
		sub.Close()
		return nil, err
	}
	return sub, nil
}

// descend opens a directory below another, with no link anywhere on the way.
func descend(dir *os.Root, rel string) (*os.Root, error) {
	at, err := dir.OpenRoot(".")
	if err != nil {
		return nil, err
	}
	for _, name := range components(rel) {
		next, err := within(at, name)
		at.Close()
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

// regular opens a regular file that lies directly in a directory.
func regular(dir *os.Root, name string) (*os.File, error) {
	was, err := dir.Lstat(name)
	switch {
	case err != nil:
		return nil, err
	case !was.Mode().IsRegular():
		return nil, errors.New("it is no regular file any more")
	}
	f, err := dir.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	is, err := f.Stat()
	if err == nil && !os.SameFile(was, is) {
		err = errLink
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// components are the names of a relative path.
func components(rel string) []string {
	if rel = filepath.Clean(rel); rel == "." {
		return nil
	}
	return strings.Split(rel, string(filepath.Separator))
}
