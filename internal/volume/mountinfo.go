package volume

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
)

// A mountPoint is one line of a mountinfo file.
// https://docs.kernel.org/filesystems/proc.html
type mountPoint struct {
	device        string // "259:1"
	root, at      string
	options, kind string
	source        string
	super         string // the options of the file system itself: "rw,errors=remount-ro"
}

// MountsBelow are the mount points in a directory, in the order in which they
// were mounted, as this process sees them. Linux only.
func MountsBelow(dir string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := parseMounts(f)
	var points []string
	for _, m := range all {
		if strings.HasPrefix(m.at, dir+"/") {
			points = append(points, m.at)
		}
	}
	return points, err
}

// parseMounts reads /proc/PID/mountinfo.
func parseMounts(r io.Reader) ([]mountPoint, error) {
	var list []mountPoint
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		head, tail, ok := strings.Cut(in.Text(), " - ")
		f, rest := strings.Fields(head), strings.Fields(tail)
		if !ok || len(f) < 6 || len(rest) < 2 {
			continue
		}
		m := mountPoint{device: f[2], root: unescape(f[3]), at: unescape(f[4]), options: f[5], kind: rest[0], source: unescape(rest[1])}
		if len(rest) > 2 {
			m.super = rest[2]
		}
		list = append(list, m)
	}
	return list, in.Err()
}

// unescape undoes the octal escapes of spaces and their kin.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
