package gocryptfs

import (
	"runtime"
	"syscall"
)

// unmounts are tried in order.
var unmounts = [][]string{{"fusermount3", "-uz"}, {"fusermount", "-uz"}, {"umount", "-l"}}

// withParent has gocryptfs end, and unmount, when this process is gone.
func withParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}

func stayOnThread() { runtime.LockOSThread() }
