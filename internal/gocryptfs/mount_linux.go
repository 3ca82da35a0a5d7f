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

// stayOnThread keeps the thread until leave is called. A thread that ended with
// its goroutine would take the children of all who had it before with it.
func stayOnThread() (leave func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
