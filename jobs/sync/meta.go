package dirsync

import (
	"fmt"
	"io/fs"
	"strconv"
)

// The metadata of objects is rclone's, which brings both back with --metadata:
// seconds since 1970 with a fraction, and st_mode in octal.
// https://rclone.org/s3/#metadata
const (
	metaTime = "mtime"
	metaMode = "mode"
)

// metaOf is what an object carries of its file.
func metaOf(fi fs.FileInfo) map[string]string {
	return map[string]string{
		metaTime: momentOf(fi.ModTime()).String(),
		metaMode: fmt.Sprintf("0%o", modeOf(fi)),
	}
}

// timeIn is the file's time that an object carries.
func timeIn(meta map[string]string) (moment, bool) { return parseMoment(meta[metaTime]) }

// modeIn is the file's mode that an object carries.
func modeIn(meta map[string]string) (uint32, bool) {
	m, err := strconv.ParseUint(meta[metaMode], 8, 32)
	return uint32(m), err == nil
}

// permissions of st_mode, set-uid and set-gid left out: who restores owns the
// file, and is not the one who trusted it.
func permissions(mode uint32) fs.FileMode { return fs.FileMode(mode) & 0o777 }
