//go:build unix && !linux

package command

import (
	"os/exec"
	"syscall"
)

func ownSession(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	return nil
}

func groupAlive(pid int) bool { return pid > 0 && syscall.Kill(-pid, 0) == nil }

func terminateGroup(pid int) {
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	_ = syscall.Kill(-pid, syscall.SIGCONT)
}

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
