package dirsync

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
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
	t := fi.ModTime()
	return map[string]string{
		metaTime: fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()),
		metaMode: fmt.Sprintf("0%o", modeOf(fi)),
	}
}

// timeIn is the file's time that an object carries, in nanoseconds since 1970.
func timeIn(meta map[string]string) (int64, bool) {
	whole, fraction, _ := strings.Cut(meta[metaTime], ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(fraction) > 9 {
		return 0, false
	}
	nanos, err := strconv.ParseUint(fraction+strings.Repeat("0", 9-len(fraction)), 10, 32)
	if err != nil {
		return 0, false
	}
	return time.Unix(seconds, int64(nanos)).UnixNano(), true
}

// modeIn is the file's mode that an object carries.
func modeIn(meta map[string]string) (uint32, bool) {
	m, err := strconv.ParseUint(meta[metaMode], 8, 32)
	return uint32(m), err == nil
}

// permissions of st_mode, set-uid and set-gid left out: who restores owns the
// file, and is not the one who trusted it.
func permissions(mode uint32) fs.FileMode { return fs.FileMode(mode) & 0o777 }
