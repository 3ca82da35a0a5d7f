package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// majorMinor is how the kernel writes a device number.
func majorMinor(rdev uint64) string { return fmt.Sprintf("%d:%d", unix.Major(rdev), unix.Minor(rdev)) }

func deviceNumber(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, fmt.Errorf("%s is no block device", path)
	}
	return st.Rdev, nil
}

// sysDir is a device's directory in sysfs.
func sysDir(rdev uint64) (string, error) {
	return filepath.EvalSymlinks("/sys/dev/block/" + majorMinor(rdev))
}

func isPartition(rdev uint64) bool {
	dir, err := sysDir(rdev)
	if err != nil {
		return true
	}
	_, err = os.Stat(filepath.Join(dir, "partition"))
	return err == nil
}

// A partition is one that the kernel knows.
type partition struct {
	path         string
	rdev         uint64
	number       int
	start, bytes int64
}

func partitions(rdev uint64) ([]partition, error) {
	dir, err := sysDir(rdev)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "partition"))
	if err != nil {
		return nil, err
	}
	var list []partition
	for _, f := range files {
		d := filepath.Dir(f)
		p := partition{path: "/dev/" + filepath.Base(d), number: int(sysNumber(f))}
		p.start, p.bytes = sysNumber(filepath.Join(d, "start"))*512, sysNumber(filepath.Join(d, "size"))*512
		if p.rdev, err = deviceNumber(p.path); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func sysNumber(file string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n
}

// holders are the devices made of this one: of the device mapper, or a RAID.
func holders(rdev uint64) []string {
	dir, err := sysDir(rdev)
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(dir, "holders"))
	if err != nil {
		return nil
	}
	var list []string
	for _, e := range entries {
		name := "/dev/" + e.Name()
		if b, err := os.ReadFile(filepath.Join(dir, "holders", e.Name(), "dm", "name")); err == nil {
			name += " (" + strings.TrimSpace(string(b)) + ")"
		}
		list = append(list, name)
	}
	return list
}

// inUse says in words who uses a device, "" when nobody is seen to.
func inUse(rdev uint64) string {
	var list []string
	mounts, err := mountsOf("self")
	if err == nil {
		for _, m := range mounts {
			if m.device == majorMinor(rdev) {
				list = append(list, "mounted at "+m.at)
			}
		}
	}
	for _, h := range holders(rdev) {
		list = append(list, "part of "+h)
	}
	if swapsOn(rdev) {
		list = append(list, "in use as swap space")
	}
	return strings.Join(list, ", ")
}

func swapsOn(rdev uint64) bool {
	b, err := os.ReadFile("/proc/swaps")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == "partition" {
			if n, err := deviceNumber(unescape(f[0])); err == nil && n == rdev {
				return true
			}
		}
	}
	return false
}

func mountsOf(pid string) ([]mountPoint, error) {
	f, err := os.Open("/proc/" + pid + "/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseMounts(f)
}
