package sshd

import (
	"os"

	"golang.org/x/sys/unix"
)

// enlarge gives a pipe room for a megabyte, so that rsync and this program wait
// for each other less often.
func enlarge(f *os.File) {
	c, err := f.SyscallConn()
	if err == nil {
		_ = c.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) })
	}
}
