package command

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// clear removes a tree, directories that their owner may not write to
// included, and nothing of what is mounted there. A command may have nested it
// deeper than there are descriptors, and made its paths longer than there is
// memory: so no path is ever longer than two names.
func clear(dir string) error {
	if dir == "" {
		return nil
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if err := unmountBelow(real); err != nil {
		return err
	}
	_ = os.Chmod(real, 0o700) // opening it says whether that was needed
	top, err := os.OpenRoot(real)
	if err != nil {
		return err
	}
	e := emptying{top: top}
	e.all()
	err = top.Close()
	if e.err == nil { // else it says what is in the way
		e.err = errors.Join(err, os.Remove(real))
	}
	return e.err
}

// An emptying removes what is in a directory.
type emptying struct {
	top  *os.Root
	less bool  // something was removed or brought up
	err  error // why something was not
}

// all goes through the directory until it is empty, or nothing more of it can
// be removed.
func (e *emptying) all() {
	for e.less = true; e.less; {
		e.less, e.err = false, nil
		e.each(e.top, func(d fs.DirEntry) {
			if d.IsDir() {
				e.dir(d.Name())
			} else {
				e.did(e.top.Remove(d.Name()))
			}
		})
	}
}

// dir removes one that lies in top. The directories in it are brought up to top
// first, where the next round finds them.
func (e *emptying) dir(name string) {
	_ = e.top.Chmod(name, 0o700)
	sub, err := e.top.OpenRoot(name)
	if err != nil {
		e.did(err)
		return
	}
	defer sub.Close()
	e.each(sub, func(d fs.DirEntry) {
		if !d.IsDir() {
			e.did(sub.Remove(d.Name()))
			return
		}
		_ = sub.Chmod(d.Name(), 0o700) // its .. is written to
		e.did(e.top.Rename(path.Join(name, d.Name()), ".mayfly-"+rand.Text()))
	})
	e.did(e.top.Remove(name))
}

// each calls f for what is in a directory.
func (e *emptying) each(dir *os.Root, f func(fs.DirEntry)) {
	open, err := dir.Open(".")
	if err != nil {
		e.did(err)
		return
	}
	defer open.Close()
	for {
		list, err := open.ReadDir(1024)
		for _, d := range list {
			f(d)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				e.err = err
			}
			return
		}
	}
}

// did takes down how one thing went.
func (e *emptying) did(err error) {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		e.less = e.less || err == nil
		return
	}
	e.err = err
}
