//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/volume"
)

const miB = 1 << 20

// TestVolumeSafety offers volumes with everything that could be on one, whose
// tags say that they were never touched. Each is refused, with what to do, and
// unchanged.
func TestVolumeSafety(t *testing.T) {
	t.Parallel()
	const adopt, another = "mayfly volume adopt vol-0123456789abcdef0 --host c --uuid ", "mayfly volume create --host c --size"
	for name, x := range map[string]struct {
		make string // with the device as $1
		mib  int64  // 0: 64
		says []string
	}{
		"ext4":        {`mkfs.ext4 -q -L data "$1"`, 0, []string{`an ext4 file system (label "data", UUID `, adopt}},
		"ext3":        {`mkfs.ext3 -q "$1"`, 0, []string{"an ext3 file system", adopt}},
		"ext2":        {`mkfs.ext2 -q "$1"`, 0, []string{"an ext2 file system", another}},
		"xfs":         {`mkfs.xfs -q "$1"`, 320, []string{"an xfs file system", adopt}},
		"LUKS":        {`printf pw | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$1" -`, 0, []string{"an encrypted volume (LUKS)", another}},
		"LVM":         {`pvcreate -q "$1"`, 0, []string{"a physical volume of LVM", another}},
		"swap":        {`mkswap "$1"`, 0, []string{"swap space", another}},
		"GPT":         {`sgdisk -o "$1"`, 0, []string{"a partition table (GPT)", another}},
		"GPT's copy":  {`sgdisk -o "$1" && dd if=/dev/zero of="$1" bs=1M count=1 status=none`, 0, []string{"a partition table (GPT)", another}},
		"MBR":         {`printf 'label: dos\n' | sfdisk -q "$1"`, 0, []string{"a partition table (MBR)", another}},
		"random":      {`dd if=/dev/urandom of="$1" bs=1M count=64 status=none`, 0, []string{"byte 0 is not zero", another}},
		"ext4 erased": {`mkfs.ext4 -q "$1" && wipefs -qa "$1"`, 0, []string{"data that no program here recognizes", another}},
		"one byte":    {`printf x | dd of="$1" bs=1 seek=` + fmt.Sprint(mathrand.Int64N(64*miB)) + ` status=none`, 0, []string{"data that no program here recognizes", another}},
		"last byte":   {`printf x | dd of="$1" bs=1 seek=` + fmt.Sprint(64*miB-1) + ` status=none`, 0, []string{fmt.Sprintf("byte %d is not zero", 64*miB-1)}},
		"far away":    {`printf x | dd of="$1" bs=1 seek=` + fmt.Sprint(int64(16<<30)-3) + ` status=none`, 16 << 10, []string{fmt.Sprintf("byte %d is not zero", int64(16<<30)-3)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDisk(t, max(x.mib, 64)*miB)
			d.on(x.make + " >/dev/null 2>&1")
			if x.mib > 1024 { // too large to be read for nothing
				m, err := d.system().Open(t.Context(), d.plan())
				if !errors.Is(err, volume.ErrForeign) || m != nil {
					t.Fatalf("%+v, %v", m, err)
				}
				has(t, "the error", err.Error(), x.says...)
				return
			}
			d.refused(volume.ErrForeign, x.says...)
		})
	}
	t.Run("a partition", func(t *testing.T) {
		t.Parallel()
		d := newDisk(t, 64*miB)
		d.partitionTable("gpt", 32)
		d.on(`mkfs.ext4 -q "$1p1"`)
		d.refused(volume.ErrForeign, "a partition table (GPT), in the partition "+d.device+"p1 an ext4 file system", adopt+d.uuid("p1"))
	})
	t.Run("a partition and no table", func(t *testing.T) {
		t.Parallel()
		d := newDisk(t, 64*miB)
		d.on(`addpart "$1" 1 2048 2048`)
		d.refused(volume.ErrForeign, "the partition "+d.device+"p1")
	})
	t.Run("mounted", func(t *testing.T) {
		t.Parallel()
		d := newDisk(t, 64*miB)
		d.on(`mkfs.ext4 -q "$1" && mkdir "$2" && mount "$1" "$2"`, filepath.Join(d.dir, "elsewhere"))
		_, err := d.system().Open(t.Context(), d.plan())
		if !errors.Is(err, volume.ErrForeign) || !errors.Is(err, volume.ErrBusy) {
			t.Errorf("%v", err)
		}
		has(t, "the error", fmt.Sprint(err), "in use: mounted at "+d.dir+"/elsewhere")
	})
	t.Run("swapped on", func(t *testing.T) {
		t.Parallel()
		d := newDisk(t, 64*miB)
		d.on(`mkswap "$1" >/dev/null && swapon "$1"`)
		defer d.on(`swapoff "$1"`)
		d.refused(volume.ErrForeign, "swap space", "in use as swap space")
	})
	t.Run("locked", func(t *testing.T) {
		t.Parallel()
		d := newDisk(t, 64*miB)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := d.command(ctx, "flock", "--no-fork", "-x", d.device, "sleep", "60")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		d.refused(volume.ErrBusy, "another process has locked "+d.device)
		cancel()
		c.Wait()
	})
	t.Run("unreadable", func(t *testing.T) {
		t.Parallel()
		d := newDisk(t, 64*miB)
		if err := os.Truncate(d.image, 32*miB); err != nil {
			t.Fatal(err)
		}
		d.refused(volume.ErrUnreadable, "it cannot be read: read "+d.device+": ", "input/output error")
	})
}

// What EC2 says has to prove that a blank volume may be formatted.
func TestVolumeUnproven(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*disk, *volume.Plan){
		"it was made from the snapshot snap-1":   func(_ *disk, p *volume.Plan) { p.Record.Snapshot = "snap-1" },
		"it has no tag mayfly:host":              func(_ *disk, p *volume.Plan) { p.Record.Host = "" },
		"the host h's, not c's":                  func(_ *disk, p *volume.Plan) { p.Record.Host = "h" },
		"not from just now":                      func(_ *disk, p *volume.Plan) { p.Record.Asked = time.Now().Add(-time.Hour) },
		"nobody would put the tags on it":        func(_ *disk, p *volume.Plan) { p.Mark = nil },
		"nothing was written: no tags to be had": func(_ *disk, p *volume.Plan) { p.Mark = noTags },
		"nothing, but mayfly made an ext4":       func(_ *disk, p *volume.Plan) { p.Record.Formatted = "0c6e08e4-6f29-43b2-bc26-28478343fa05" },
		"nothing, but it was adopted":            func(_ *disk, p *volume.Plan) { p.Record.Adopted = "0c6e08e4-6f29-43b2-bc26-28478343fa05" },
		"cut off; it holds nothing yet":          func(_ *disk, p *volume.Plan) { p.Record.Formatting = "0c6e08e4-6f29-43b2-bc26-28478343fa05" },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			d := newDisk(t, 32*miB)
			before, p := d.sum(), d.plan()
			change(d, &p)
			_, err := d.system().Open(t.Context(), p)
			has(t, "the error", fmt.Sprint(err), want)
			if d.sum() != before {
				t.Error("the volume has changed")
			}
		})
	}
}

func noTags(context.Context, string, string) error { return errors.New("no tags to be had") }

// Between the look and mkfs the world may change.
func TestVolumeChangesInBetween(t *testing.T) {
	t.Parallel()
	t.Run("somebody writes", func(t *testing.T) {
		t.Parallel()
		d := newDisk(t, 64*miB)
		s := d.system()
		s.At = func(point string) {
			if point == "marked" {
				d.on(`printf x | dd of="$1" bs=1 seek=31000000 conv=fsync status=none`)
			}
		}
		_, err := s.Open(t.Context(), d.plan())
		if !errors.Is(err, volume.ErrUnfinished) || !errors.Is(err, volume.ErrForeign) {
			t.Error(err)
		}
		has(t, "the error", fmt.Sprint(err), "byte 31000000 is not zero", "delete-volume --volume-id "+d.id)
		d.refused(volume.ErrUnfinished, "was cut off", "delete-volume")
	})
	t.Run("another device", func(t *testing.T) {
		t.Parallel()
		d, other := newDisk(t, 64*miB), newDisk(t, 64*miB)
		before, s := d.sum(), d.system()
		s.At = func(point string) {
			if point == "marked" {
				d.sh(`ln -sfn "$1" "$2"`, other.device, filepath.Join(d.links(), d.id))
			}
		}
		_, err := s.Open(t.Context(), d.plan())
		has(t, "the error", fmt.Sprint(err), d.id+" was "+d.device+" and is "+other.device+" now")
		if d.sum() != before || other.sum() != before {
			t.Error("something was written")
		}
	})
}

// A volume is made, used, closed, opened again and enlarged.
func TestVolumeLife(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 64*miB)
	m := d.open()
	if !m.Formatted || m.Repaired || m.Grown != 0 || len(m.Notes) > 0 || m.Finding.Kind != volume.Ours || m.Finding.Label != "mayfly-c" {
		t.Errorf("%+v", m)
	}
	tags := d.tags()
	if tags[volume.TagFormatted] == "" || tags[volume.TagFormatted] != tags[volume.TagFormatting] || d.uuid("") != tags[volume.TagFormatted] {
		t.Errorf("tags %v", tags)
	}
	if o := d.sh(`findmnt -no OPTIONS "$1"`, d.point); !strings.Contains(o, "nosuid,nodev,noexec,noatime") {
		t.Errorf("mounted with %s", o)
	}
	small, err := volume.UsageOf(d.point)
	if err != nil || small.Percent > 2 || small.Bytes < 40*miB || small.Free+small.Used < small.Bytes-2*miB || small.Inodes < 1000 || small.InodesUsed < 2 {
		t.Errorf("%+v, %v", small, err)
	}
	d.put("a", "deep/er/b")
	d.close(m)
	d.close(m) // what is closed stays so

	m = d.open()
	if m.Formatted || m.Repaired || m.Grown != 0 {
		t.Errorf("%+v", m)
	}
	d.holds("a", "deep/er/b")
	d.put("c")
	d.close(m)

	d.enlarge(256 * miB)
	m = d.open()
	d.grown(m, 192*miB)
	d.holds("a", "deep/er/b", "c")
	if large, err := volume.UsageOf(d.point); err != nil || m.Grown > 0 && large.Bytes < 3*small.Bytes {
		t.Errorf("%+v, %v", large, err)
	}
	d.close(m)
	if m.Grown > 0 {
		if m = d.open(); m.Grown != 0 || m.Formatted {
			t.Errorf("%+v", m)
		}
		d.close(m)
	}
	d.on(`e2fsck -fn "$1" 2>&1`)

	d.host = "h"
	if err := d.mark(t.Context(), volume.TagHost, "h"); err != nil {
		t.Fatal(err)
	}
	d.refused(volume.ErrForeign, `label "mayfly-c"`, `label "mayfly-h"`)
}

// Volumes that somebody else made are taken over by their UUID, and by nothing
// else.
func TestVolumeAdopt(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ext3", "ext4", "xfs"} {
		for _, table := range []string{"", "gpt", "dos"} {
			t.Run(strings.TrimSpace(kind+" "+table), func(t *testing.T) {
				t.Parallel()
				size := int64(64)
				if kind == "xfs" {
					size = 320
				}
				d := newDisk(t, (size+8)*miB)
				suffix := ""
				if table != "" {
					d.partitionTable(table, size)
					suffix = "p1"
				}
				d.on(`"mkfs.$3" -q "$1$2" && mkdir -p "$4" && mount "$1$2" "$4"`, suffix, kind, d.point)
				d.put("a", "b")
				d.sh(unmountSoon, d.point)
				d.refused(volume.ErrForeign, "an "+kind+" file system", "mayfly volume adopt "+d.id+" --host c --uuid "+d.uuid(suffix))
				d.adopt("0c6e08e4-6f29-43b2-bc26-28478343fa05")
				d.refused(volume.ErrForeign, "but it was adopted with the file system of UUID 0c6e", d.uuid(suffix))

				d.adopt(d.uuid(suffix))
				m := d.open()
				if m.Formatted || m.Finding.Kind != volume.Adopted || m.Finding.Path != d.device+suffix || m.Finding.Type != kind {
					t.Errorf("%+v", m)
				}
				d.holds("a", "b")
				d.put("c")
				d.close(m)

				d.enlarge((2*size + 8) * miB)
				m = d.open()
				if table == "" {
					d.grown(m, size*miB)
				}
				if table != "" && (m.Grown != 0 || len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "growpart "+d.device+" 1")) {
					t.Errorf("%+v", m)
				}
				d.holds("a", "b", "c")
				d.close(m)
			})
		}
	}
}

// What e2fsck repairs by itself is repaired; where it wants a person, nothing
// is mounted.
func TestVolumeDamage(t *testing.T) {
	t.Parallel()
	damaged := func(t *testing.T, how ...string) *disk {
		d := newDisk(t, 64*miB)
		m := d.open()
		d.put("a", "b")
		d.close(m)
		for _, h := range how {
			d.on(`debugfs -w -R "$2" "$1" 2>/dev/null`, h)
		}
		return d
	}
	t.Run("repairable", func(t *testing.T) {
		t.Parallel()
		d := damaged(t, "set_super_value free_blocks_count 7", "set_super_value state 2")
		m := d.open()
		if !m.Repaired {
			t.Errorf("%+v", m)
		}
		d.holds("a", "b")
		d.close(m)
	})
	t.Run("not repairable", func(t *testing.T) {
		t.Parallel()
		d := damaged(t, "clri <2>", "set_super_value state 2")
		_, err := d.system().Open(t.Context(), d.plan())
		if !errors.Is(err, volume.ErrDamaged) {
			t.Error(err)
		}
		has(t, "the error", fmt.Sprint(err), "e2fsck -p does not repair it (exit code 4: ", "aws ec2 create-snapshot --volume-id "+d.id, "e2fsck -f "+d.device)
		if out := d.on(`findmnt -rno TARGET -S "$1" || :`); out != "" {
			t.Errorf("it is mounted at %s", out)
		}
	})
	t.Run("no superblock", func(t *testing.T) {
		t.Parallel()
		d := damaged(t)
		d.on(`dd if=/dev/zero of="$1" bs=4k count=1 conv=fsync status=none`)
		d.refused(volume.ErrForeign, "but mayfly made an ext4 file system", "restore a snapshot")
	})
	t.Run("xfs", func(t *testing.T) {
		t.Parallel()
		d := newDisk(t, 320*miB)
		d.on(`mkfs.xfs -q "$1"`)
		d.adopt(d.uuid(""))
		d.on(`xfs_db -x -c "sb 0" -c "write -d rootino 12345" "$1"`)
		_, err := d.system().Open(t.Context(), d.plan())
		if !errors.Is(err, volume.ErrDamaged) {
			t.Error(err)
		}
		has(t, "the error", fmt.Sprint(err), "mount: ", "aws ec2 create-snapshot --volume-id "+d.id, "xfs_repair "+d.device)
	})
}

// A full volume loses nothing that was on it.
func TestVolumeFull(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 32*miB)
	m := d.open()
	d.put("a", "b")
	full := filepath.Join(d.point, "full")
	f, err := os.Create(full)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{miB, 1 << 12, 1} { // until nothing is left
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	f.Close()
	if u, err := volume.UsageOf(d.point); err != nil || u.Percent != 100 || u.Fullest() != 100 {
		t.Errorf("%+v, %v", u, err)
	}
	d.close(m)
	m = d.open()
	d.holds("a", "b")
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		if err := os.WriteFile(filepath.Join(d.point, fmt.Sprint("many", i)), nil, 0o600); err != nil {
			break
		}
	}
	if u, err := volume.UsageOf(d.point); err != nil || u.InodePercent != 100 || u.Percent > 50 || u.Fullest() != 100 {
		t.Errorf("%+v, %v", u, err)
	}
	d.close(m)
	m = d.open()
	d.holds("a", "b")
	d.close(m)
}

// An XFS beside its copy is refused in words: the kernel would say "wrong fs
// type, bad option, bad superblock".
func TestVolumeSameXFS(t *testing.T) {
	t.Parallel()
	d, copied := newDisk(t, 320*miB), newDisk(t, 320*miB)
	d.on(`mkfs.xfs -q "$1" && dd if="$1" of="$2" bs=4M conv=sparse,fsync status=none`, copied.device)
	d.adopt(d.uuid(""))
	copied.adopt(d.uuid(""))
	m := d.open()
	copied.refused(volume.ErrBusy, "and so has "+d.device+", which is mounted at "+d.point+": one is a copy of the other", "xfs_admin -U generate "+copied.device)
	d.close(m)
	m = copied.open()
	copied.close(m)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
