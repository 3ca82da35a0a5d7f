package push

import (
	"os/exec"
	"runtime"
	"syscall"
)

// ownGroup keeps the terminal's signals from rsync, which this process ends in
// its own way, and has it end when this process is killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// startHere runs c from a thread that stays: Linux tells a child of its
// parent's death when the thread that made it is gone.
func startHere(c *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return c.Run()
}
