//go:build linux || darwin

package gocryptfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// mounted reports whether something is mounted at dir.
func mounted(dir string) (bool, error) {
	var here, above syscall.Stat_t
	if err := syscall.Lstat(dir, &here); err != nil {
		return false, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	if err := syscall.Lstat(filepath.Dir(dir), &above); err != nil {
		return false, err
	}
	return here.Dev != above.Dev, nil
}

// unmount takes away what is mounted at dir, held open or not.
func unmount(dir string) error {
	var errs []error
	for _, c := range unmounts {
		program, err := exec.LookPath(c[0])
		if err != nil {
			continue
		}
		out, err := exec.Command(program, append(c[1:], dir)...).CombinedOutput()
		if err == nil {
			return nil
		}
		errs = append(errs, errors.New(oneLine(out)))
	}
	if len(errs) == 0 {
		return errors.New("there is neither fusermount nor umount")
	}
	return errors.Join(errs...)
}
