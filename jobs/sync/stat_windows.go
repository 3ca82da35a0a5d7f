package dirsync

import "io/fs"

// modeOf is a file's mode as Unix has it, as far as there is one.
func modeOf(fi fs.FileInfo) uint32 { return 0o100000 | uint32(fi.Mode().Perm()) }

const openFlags = 0
