//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mayfly/internal/volume"
)

// A disk stands in for an EBS volume: a file behind a loop device, found by
// the volume's id through a directory of links, with tags that outlive a
// process which is killed.
type disk struct {
	t      *testing.T
	id     string
	dir    string // has the image, the links, the tags, and the mount point
	image  string
	device string // "" while it is not attached
	point  string
	host   string
	from   string // the snapshot behind it
}

func newDisk(t *testing.T, size int64) *disk {
	t.Helper()
	needRoot(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{t: t, id: "vol-0123456789abcdef0", dir: dir, image: filepath.Join(dir, "image"), point: filepath.Join(dir, "mnt", "c"), host: "c"}
	if err := errors.Join(os.Mkdir(d.links(), 0o755), os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, size)); err != nil {
		t.Fatal(err)
	}
	d.attach()
	return d
}

func (d *disk) links() string { return filepath.Join(d.dir, "links") }

// attach makes a device of the image; the machine does so, and it is there
// when the test ends at the latest.
func (d *disk) attach() {
	d.t.Helper()
	d.device = strings.TrimSpace(d.sh(`losetup --find --show --partscan "$1"`, d.image))
	device := d.device
	d.t.Cleanup(func() {
		if device == d.device {
			d.detach()
		}
	})
	if err := os.Symlink(d.device, filepath.Join(d.links(), d.id)); err != nil {
		d.t.Fatal(err)
	}
}

// detach takes everything away that a test has made on the device.
func (d *disk) detach() {
	d.t.Helper()
	if d.device == "" {
		return
	}
	d.sh(`for at in $(findmnt -rno TARGET -S "$1"; findmnt -rno TARGET -S "$1p1"); do umount "$at"; done
		partx -d "$1" 2>/dev/null
		losetup -d "$1"`, d.device)
	if err := os.Remove(filepath.Join(d.links(), d.id)); err != nil {
		d.t.Error(err)
	}
	d.device = ""
}

// sh runs a script of the test's own, and returns what it prints.
func (d *disk) sh(script string, args ...string) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // cleanups run it, too
	defer cancel()
	c := exec.CommandContext(ctx, "sh", append([]string{"-c", script, "sh"}, args...)...)
	c.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "LVM_SUPPRESS_FD_WARNINGS=1")
	var said strings.Builder
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		d.t.Fatalf("%s: %v: %s%s: run e2e/install.sh first if a program is missing", script, err, out, said.String())
	}
	return string(out)
}

// on is sh with the device as $1.
func (d *disk) on(script string, args ...string) string {
	d.t.Helper()
	return d.sh(script, append([]string{d.device}, args...)...)
}

func (d *disk) tagFile() string { return filepath.Join(d.dir, "tags.json") }

func (d *disk) tags() map[string]string {
	d.t.Helper()
	tags := map[string]string{volume.TagHost: d.host}
	b, err := os.ReadFile(d.tagFile())
	if err == nil {
		err = json.Unmarshal(b, &tags)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.t.Fatal(err)
	}
	return tags
}

// mark is what EC2 does with a tag.
func (d *disk) mark(_ context.Context, tag, value string) error {
	tags := d.tags()
	tags[tag] = value
	b, err := json.Marshal(tags)
	if err != nil {
		return err
	}
	return os.WriteFile(d.tagFile(), b, 0o600)
}

func (d *disk) adopt(uuid string) {
	d.t.Helper()
	if err := d.mark(d.t.Context(), volume.TagAdopted, uuid); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) plan() volume.Plan {
	return volume.Plan{
		Host: d.host, Record: volume.RecordOf(d.id, d.from, d.tags(), time.Now()), Point: d.point, Mark: d.mark,
	}
}

func (d *disk) system() volume.System { return volume.System{Finder: volume.Links{Dir: d.links()}} }

// open opens the volume as a run does.
func (d *disk) open() *volume.Mounted {
	d.t.Helper()
	m, err := d.system().Open(d.t.Context(), d.plan())
	if err != nil {
		d.t.Fatal(err)
	}
	return m
}

func (d *disk) close(m *volume.Mounted) {
	d.t.Helper()
	if err := d.system().Close(d.t.Context(), m); err != nil {
		d.t.Fatal(err)
	}
}

// sum is the CRC-32C of the image, with all that the kernel still keeps of it:
// nobody is out to deceive, and SHA-256 took a tenth of all the suites' time.
func (d *disk) sum() string {
	d.t.Helper()
	if d.device != "" {
		d.on(`blockdev --flushbufs "$1"`)
	}
	f, err := os.Open(d.image)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := io.Copy(h, f); err != nil {
		d.t.Fatal(err)
	}
	return fmt.Sprintf("%08x", h.Sum32())
}

// refused finds that a run refuses the volume, says all of this, and leaves
// every byte as it was.
func (d *disk) refused(kind error, says ...string) {
	d.t.Helper()
	before := d.sum()
	m, err := d.system().Open(d.t.Context(), d.plan())
	if err == nil {
		d.close(m)
		d.t.Fatalf("it was taken: %+v", m)
	}
	if !errors.Is(err, kind) {
		d.t.Errorf("%v is not: %v", err, kind)
	}
	has(d.t, "the error", err.Error(), append(says, d.id)...)
	if after := d.sum(); after != before {
		d.t.Errorf("the volume has changed")
	}
	if out := d.on(`findmnt -rno TARGET -S "$1" || :`); out != "" {
		d.t.Errorf("it is mounted at %s", out)
	}
}

// put writes files, as a backup does.
func (d *disk) put(names ...string) {
	d.t.Helper()
	for _, n := range names {
		file := filepath.Join(d.point, n)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content(n)), 0o640), os.Chown(file, 1234, 5678)); err != nil {
			d.t.Fatal(err)
		}
	}
}

// holds finds the files of put.
func (d *disk) holds(names ...string) {
	d.t.Helper()
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(d.point, n))
		if err != nil || string(b) != content(n) {
			d.t.Errorf("%s: %d bytes, %v", n, len(b), err)
		}
	}
}

func content(name string) string { return strings.Repeat("what "+name+" holds\n", 1000) }

// enlarge is what ModifyVolume does.
func (d *disk) enlarge(size int64) {
	d.t.Helper()
	if err := os.Truncate(d.image, size); err != nil {
		d.t.Fatal(err)
	}
	d.on(`losetup -c "$1"`)
}

// grown finds that a file system has been enlarged. Where root itself may not
// enlarge an ext4, as in many a container, a note has to say so.
func (d *disk) grown(m *volume.Mounted, by int64) {
	d.t.Helper()
	if m.Finding.Type != "xfs" && !may(d.t, capSysResource) {
		if m.Grown != 0 || len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "could not be enlarged: grow "+d.id+": resize2fs: exit code 1: ") {
			d.t.Errorf("%+v", m)
		}
		return
	}
	if m.Grown < by || m.Grown > by+8*miB || len(m.Notes) > 0 {
		d.t.Errorf("%+v", m)
	}
}

// capSysResource is CAP_SYS_RESOURCE in linux/capability.h.
const capSysResource = 24

func may(t *testing.T, capability int) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "CapEff:")
	line, _, _ := strings.Cut(rest, "\n")
	set, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return set>>capability&1 == 1
}

// uuid of what is on the device, or its first partition.
func (d *disk) uuid(suffix string) string {
	d.t.Helper()
	return strings.TrimSpace(d.on(`blkid -p -s UUID -o value "$1$2"`, suffix))
}

// partitionTable makes one of a kind that sfdisk knows, with one partition,
// and has the kernel know it, which may not read such tables by itself.
func (d *disk) partitionTable(kind string, mib int64) {
	d.t.Helper()
	d.on(fmt.Sprintf(`printf 'label: %s\nstart=2048, size=%d\n' | sfdisk -q --no-reread "$1" >/dev/null
		[ -e "$1p1" ] || partx -a "$1"`, kind, mib*2048))
}
