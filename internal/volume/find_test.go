package volume

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// machine makes a tree of /sys and /dev: names of devices with their serial
// numbers, "" for those of Xen.
func machine(t *testing.T, devices map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, serial := range devices {
		dir := filepath.Join(root, "sys/block", name, "device")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(root, "dev"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "dev", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if serial == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "serial"), []byte(serial), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestSysfs(t *testing.T) {
	t.Parallel()
	nitro := machine(t, map[string]string{"nvme0n1": "vol0fffffffffffffff0  \n", "nvme1n1": "vol0123456789abcdef0\n", "nvme2n1": "AWS1A2B3C\n"})
	xenOne := machine(t, map[string]string{"xvda": "", "xvdf": ""})
	twice := machine(t, map[string]string{"nvme1n1": "vol0123456789abcdef0\n", "nvme2n1": "vol0123456789abcdef0\n"})
	for name, x := range map[string]struct {
		root, name, want string
		guessed          bool
		says             string
	}{
		"Nitro":              {nitro, "/dev/sdf", "nvme1n1", false, ""},
		"Xen":                {xenOne, "/dev/sdf", "xvdf", true, ""},
		"Xen, its own name":  {xenOne, "/dev/xvdf", "xvdf", true, ""},
		"not there yet":      {xenOne, "/dev/sdg", "", false, "no device has its serial number"},
		"no name":            {xenOne, "", "", false, "no device has"},
		"an odd name":        {xenOne, "/dev/../xvdf", "", false, "no device has"},
		"two of one number":  {twice, "", "", false, "nvme1n1 and"},
		"Nitro has no names": {machine(t, map[string]string{"nvme0n1": "vol0fffffffffffffff0", "xvdf": ""}), "/dev/sdf", "", false, "no device has"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := Sysfs{Root: x.root}.Find(id, x.name)
			if x.says != "" {
				if err == nil || !strings.Contains(err.Error(), x.says) || errors.Is(err, fs.ErrNotExist) != strings.HasPrefix(x.says, "no device") {
					t.Errorf("%+v, %v", d, err)
				}
				return
			}
			if err != nil || d != (Device{id, filepath.Join(x.root, "dev", x.want), x.guessed}) {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Symlink("/dev/null", filepath.Join(dir, id)); err != nil {
		t.Fatal(err)
	}
	if d, err := (Links{dir}).Find(id, ""); err != nil || d.Path != "/dev/null" || d.Volume != id {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := (Links{dir}).Find("vol-2", ""); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	mounts, err := parseMounts(strings.NewReader(`36 35 98:0 /mnt1 /mnt/a\040b rw,noatime master:1 - ext4 /dev/nvme1n1 rw,errors=remount-ro
odd line
37 35 0:21 / /proc ro - proc proc
`))
	want := mountPoint{"98:0", "/mnt1", "/mnt/a b", "rw,noatime", "ext4", "/dev/nvme1n1", "rw,errors=remount-ro"}
	if err != nil || len(mounts) != 2 || mounts[0] != want || mounts[1].options != "ro" {
		t.Errorf("%+v, %v", mounts, err)
	}
	for in, want := range map[string]string{`a\134b`: `a\b`, `a\`: `a\`, `\0`: `\0`, `\999x`: `\999x`} {
		if got := unescape(in); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
	var s signature
	parseBlkid("DEVNAME=/dev/loop0\nLABEL=a\\ b\\=c\nUUID="+uuid+"\nTYPE=ext4\nPTTYPE=gpt\nUSAGE=filesystem\n", &s)
	if s.label != "a b=c" || s.uuid != uuid || s.kind != "ext4" || s.table != "gpt" {
		t.Errorf("%+v", s)
	}
}
