//go:build !linux && !darwin

package gocryptfs

import (
	"errors"
	"os"
	"syscall"
)

func mounted(dir string) (bool, error) {
	_, err := os.Lstat(dir)
	return false, err
}

func unmount(string) error { return errors.New("there is no gocryptfs on this system") }

func withParent() *syscall.SysProcAttr { return nil }

func stayOnThread() (leave func()) { return func() {} }
