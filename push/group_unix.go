//go:build unix

package push

import (
	"os"
	"syscall"
)

// endGroup asks a process and its children to end.
func endGroup(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGTERM) }
