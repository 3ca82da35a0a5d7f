package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// temporary begins the names of the folders in which repositories are made.
const temporary = ".mayfly-restore-"

// A target is the folder that a restored repository is to become, and the
// temporary one, on the same file system, in which it is made.
type target struct {
	dir  string // "": none, the repository is not to stay
	fill bool   // dir is there and empty: it is filled and never replaced
	tmp  string
	work string // the repository to be, in tmp
}

// aim makes a target of dir, which must be new or an empty folder, perhaps one
// that a symbolic link leads to. It finds now what would fail at the end.
func aim(dir string) (*target, error) {
	t := &target{}
	parent := os.TempDir()
	if dir != "" {
		t.dir = filepath.Clean(dir)
		parent = filepath.Dir(t.dir)
		if _, err := os.Lstat(t.dir); err == nil {
			t.fill, parent = true, t.dir
		}
		if err := free(t.dir); err != nil {
			return nil, err
		}
	}
	if !t.fill {
		if err := os.MkdirAll(parent, 0o777); err != nil {
			return nil, err
		}
	}
	var err error
	if t.tmp, err = os.MkdirTemp(parent, temporary); err != nil {
		return nil, err
	}
	t.work = filepath.Join(t.tmp, "repository")
	return t, nil
}

// drop removes what was not kept.
func (t *target) drop() { os.RemoveAll(t.tmp) }

// keep gives the finished repository its name. Whatever has come into its place
// meanwhile stays as it is, and is an error.
func (t *target) keep() error {
	switch {
	case t.dir == "":
		return nil
	case t.fill:
		return t.into()
	}
	// A folder never takes the place of a file, of a link or, as Go has it, of
	// another folder.
	if err := os.Rename(t.work, t.dir); err != nil {
		if _, there := os.Lstat(t.dir); there == nil {
			return t.taken(t.dir)
		}
		return err
	}
	return nil
}

func (t *target) taken(name string) error {
	return fmt.Errorf("%s has come to be there meanwhile: nothing is overwritten: restore into another folder", name)
}

// into moves all that the repository holds into the folder, so that the
// folder's own mode, and what is mounted there, stay. What makes it a
// repository comes last, and if not all can be moved, all of it goes back.
func (t *target) into() (err error) {
	there, err := os.ReadDir(t.dir)
	if err != nil {
		return err
	}
	for _, e := range there {
		if e.Name() != filepath.Base(t.tmp) {
			return t.taken(filepath.Join(t.dir, e.Name()))
		}
	}
	entries, err := os.ReadDir(t.work)
	if err != nil {
		return err
	}
	var names, last []string
	for _, e := range entries {
		if n := e.Name(); n == "HEAD" || n == ".git" {
			last = append(last, n)
		} else {
			names = append(names, n)
		}
	}
	var moved []string
	defer func() {
		for _, n := range moved {
			if err != nil {
				err = errors.Join(err, os.Rename(filepath.Join(t.dir, n), filepath.Join(t.work, n)))
			}
		}
	}()
	for _, n := range append(names, last...) {
		to := filepath.Join(t.dir, n)
		if _, err := os.Lstat(to); err == nil {
			return t.taken(to)
		}
		if err := os.Rename(filepath.Join(t.work, n), to); err != nil {
			return err
		}
		moved = append(moved, n)
	}
	return nil
}

// free reports whether dir can become a restored repository.
func free(dir string) error {
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		return fmt.Errorf("%s is there already and is a file: name another folder", dir)
	}
	if _, lerr := os.Lstat(dir); errors.Is(err, os.ErrNotExist) && lerr == nil {
		return fmt.Errorf("%s is there already and is a link to nothing: name another folder", dir)
	}
	names, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(names) > 0:
		return fmt.Errorf("%s is there already and not empty: nothing is overwritten: name another folder", dir)
	}
	return nil
}
