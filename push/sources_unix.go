//go:build unix

package push

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// check says why a source must not be pushed as it is now. A directory that is
// empty, or whose disk is missing, would empty the backup.
func (s Source) check() error {
	p := string(s.Path)
	st, err := os.Lstat(p)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is not there", p)
	}
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(p)
	if err != nil {
		return err
	}
	if real != p {
		return fmt.Errorf("%s leads through a link: write where it is, %s", p, real)
	}
	if !st.IsDir() {
		switch {
		case !st.Mode().IsRegular():
			return fmt.Errorf("%s is neither a directory nor a file", p)
		case s.Mounted || s.OneFileSystem || s.To != "" || len(s.Exclude) > 0:
			return fmt.Errorf("%s is a file: mounted, one_file_system, to and exclude are for directories", p)
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		return f.Close()
	}
	if s.Mounted {
		if is, err := mountPoint(p); err != nil || !is {
			return errors.Join(fmt.Errorf("nothing is mounted at %s: its disk is missing", p), err)
		}
	}
	d, err := os.Open(p)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := d.Readdirnames(1); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s is empty: is its disk mounted? An empty source would empty the backup; take it out of sources if it is meant to be empty", p)
		}
		return err
	}
	return nil
}

// mountPoint reports whether something is mounted at a directory. A bind mount
// of the same file system is not told from a directory.
func mountPoint(p string) (bool, error) {
	var here, above syscall.Stat_t
	if err := syscall.Lstat(p, &here); err != nil {
		return false, &os.PathError{Op: "stat", Path: p, Err: err}
	}
	if err := syscall.Lstat(filepath.Dir(p), &above); err != nil {
		return false, &os.PathError{Op: "stat", Path: filepath.Dir(p), Err: err}
	}
	return here.Dev != above.Dev || here.Ino == above.Ino, nil
}
