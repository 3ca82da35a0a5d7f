package volume

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Sysfs finds devices in the tables of the kernel. On Nitro instances the name
// that was asked for in the attachment means nothing: the device's serial
// number is the volume's id without its dash.
// https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html
type Sysfs struct {
	Root string // "" is "/"
}

var _ Finder = Sysfs{}

// Find implements Finder. Xen instances have no serial numbers: there the
// attachment's name has to do, /dev/sdf being /dev/xvdf for most kernels.
// https://docs.aws.amazon.com/ebs/latest/userguide/device_naming.html
func (s Sysfs) Find(volume, name string) (Device, error) {
	root := s.Root
	if root == "" {
		root = "/"
	}
	serials, err := filepath.Glob(filepath.Join(root, "sys/block/nvme*/device/serial"))
	if err != nil {
		return Device{}, err
	}
	want := strings.ReplaceAll(volume, "-", "")
	var found []string
	for _, file := range serials {
		b, err := os.ReadFile(file)
		if err != nil || strings.ReplaceAll(strings.TrimSpace(string(b)), "-", "") != want {
			continue // what is being detached goes while it is looked at
		}
		device := filepath.Base(filepath.Dir(filepath.Dir(file)))
		if _, err := os.Stat(filepath.Join(root, "dev", device)); err == nil { // paths of multipath have none
			found = append(found, filepath.Join(root, "dev", device))
		}
	}
	switch len(found) {
	case 1:
		return Device{Volume: volume, Path: found[0]}, nil
	case 0:
	default:
		return Device{}, fmt.Errorf("find %s: both %s have its serial number", volume, strings.Join(found, " and "))
	}
	if path := xen(root, name); path != "" && len(serials) == 0 {
		return Device{Volume: volume, Path: path, Guessed: true}, nil
	}
	return Device{}, fmt.Errorf("find %s: %w: no device has its serial number", volume, fs.ErrNotExist)
}

// xen is the device that an attachment's name means on Xen, "" when there is
// none.
func xen(root, name string) string {
	base, ok := strings.CutPrefix(name, "/dev/")
	if !ok || strings.Contains(base, "/") {
		return ""
	}
	names := []string{base}
	if rest, ok := strings.CutPrefix(base, "sd"); ok {
		names = append(names, "xvd"+rest)
	}
	slices.Reverse(names)
	for _, n := range names {
		if _, err := os.Stat(filepath.Join(root, "sys/block", n)); err == nil {
			return filepath.Join(root, "dev", n)
		}
	}
	return ""
}

// Links finds devices as symbolic links in a directory, named after their
// volumes.
type Links struct{ Dir string }

var _ Finder = Links{}

// Find implements Finder.
func (l Links) Find(volume, _ string) (Device, error) {
	path, err := filepath.EvalSymlinks(filepath.Join(l.Dir, volume))
	if err != nil {
		return Device{}, fmt.Errorf("find %s: %w", volume, err)
	}
	return Device{Volume: volume, Path: path}, nil
}
