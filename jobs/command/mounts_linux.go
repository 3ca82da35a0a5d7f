package command

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// unmountBelow takes away every mount below a directory, the last one first. A
// command that was ended before its umount has left it, and removing the
// directory would remove what is mounted there. After an error something may
// still be mounted.
func unmountBelow(dir string) error {
	const rounds = 8 // mounts upon mounts
	var last error
	for range rounds {
		points, err := mountsBelow(dir)
		if err != nil || len(points) == 0 {
			return err
		}
		for _, p := range slices.Backward(points) {
			if err := unix.Unmount(p, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
				last = fmt.Errorf("something is mounted at %s, and cannot be unmounted: %w", p, err)
			}
		}
	}
	points, err := mountsBelow(dir)
	if err == nil && len(points) > 0 {
		err = errors.Join(fmt.Errorf("something is mounted at %s", points[0]), last)
	}
	return err
}

// mountsBelow are the mount points in a directory, in the order in which they
// were mounted. The fifth field of a line is the mount point:
// https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
func mountsBelow(dir string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var points []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 {
			if p := unescape(fields[4]); strings.HasPrefix(p, dir+"/") {
				points = append(points, p)
			}
		}
	}
	return points, lines.Err()
}

// unescape reads the kernel's \040 for a space.
func unescape(s string) string {
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
