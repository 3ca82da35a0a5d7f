//go:build unix

package command

import (
	"io/fs"
	"os/exec"
	"syscall"
)

// takeOn makes cmd run as the account.
func (a account) takeOn(cmd *exec.Cmd) {
	if a.own {
		return
	}
	c := &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	for _, g := range a.groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c}
}

// signalOf is the signal that ended a process, "" when none did.
func signalOf(status any) string {
	ws, ok := status.(syscall.WaitStatus)
	if !ok || !ws.Signaled() {
		return ""
	}
	return signalName(ws.Signal())
}

// foreign reports whether a file is another user's, which the account may only
// have renamed, or given a second name, and could not read itself.
func (a account) foreign(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return !a.own && (!ok || st.Uid != uint32(a.uid))
}

const openFlags = syscall.O_NONBLOCK // a FIFO must not hold us up
