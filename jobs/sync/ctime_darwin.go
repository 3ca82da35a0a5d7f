package dirsync

import (
	"io/fs"
	"syscall"
)

// ctimeOf is when a file or its inode was last changed, which nobody can set.
func ctimeOf(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Ctimespec.Nano()
	}
	return 0
}
