//go:build unix

package main

import "golang.org/x/sys/unix"

// freeSpace is what a user may still write into a folder's file system.
func freeSpace(dir string) (bytes int64, known bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
