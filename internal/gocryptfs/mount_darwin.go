package gocryptfs

import "syscall"

var unmounts = [][]string{{"umount"}, {"umount", "-f"}, {"diskutil", "unmount", "force"}}

// withParent keeps signals of the terminal from gocryptfs, which would end
// before what reads it.
func withParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func stayOnThread() (leave func()) { return func() {} }
