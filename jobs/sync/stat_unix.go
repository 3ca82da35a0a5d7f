//go:build unix

package dirsync

import (
	"io/fs"
	"syscall"
)

// modeOf is a file's mode as stat(2) has it.
func modeOf(fi fs.FileInfo) uint32 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint32(st.Mode)
	}
	return 0o100000 | uint32(fi.Mode().Perm())
}

// openFlags open a file that may have become something else meanwhile: neither
// a link is followed nor a pipe waited for.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
