package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// findEvery is the pause between two looks for a device.
const findEvery = 500 * time.Millisecond

// Find waits until the device of a volume is there, which takes a moment after
// EC2 has called it attached, at most until ctx ends.
func (s System) Find(ctx context.Context, volume, name string) (Device, error) {
	for {
		d, err := s.Finder.Find(volume, name)
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return Device{}, failed("find", volume, err)
		}
		if err := pause(ctx, findEvery); err != nil {
			return Device{}, &Error{
				Doing: "find", Volume: volume, Reason: "it is attached, and no device of it has come", Err: err,
				Fix: "lsblk -o NAME,SERIAL,SIZE on the instance shows what there is; start another run",
			}
		}
	}
}

// Open makes a volume that is attached to this machine ready for its host: it
// is found and looked at, made into a file system when it may be and is blank,
// checked, mounted, and the file system is enlarged to the volume's size. A
// mount that an earlier run on this machine has left at the same place is
// taken away first. After an error nothing is mounted.
func (s System) Open(ctx context.Context, p Plan) (*Mounted, error) {
	if err := p.Record.forHost("open", p.Host); err != nil {
		return nil, err
	}
	d, err := s.Find(ctx, p.Record.Volume, p.Name)
	if err != nil {
		return nil, err
	}
	m := &Mounted{Device: d, Point: p.Point}
	if err := s.heal(ctx, m); err != nil {
		return nil, err
	}
	if m.Finding, err = s.inspect(ctx, d, p.Record, false); err != nil { // Format reads all of it
		return nil, err
	}
	if m.Finding.Kind == Blank {
		if m.Finding, err = s.Format(ctx, p, d); err != nil {
			return nil, err
		}
		m.Formatted = true
	}
	if err := m.Finding.refusal("open", p.Record, Ours, Adopted); err != nil {
		return nil, err
	}
	if m.Finding.InUse != "" {
		return nil, &Error{Doing: "open", Volume: d.Volume, Reason: "it is in use: " + m.Finding.InUse, Fix: "unmount it, or restart the instance", Err: ErrBusy}
	}
	if m.Repaired, err = s.Check(ctx, d, m.Finding); err != nil {
		return nil, err
	}
	if err := s.Mount(ctx, d, m.Finding, p.Point); err != nil {
		return nil, err
	}
	s.grow(ctx, m)
	return m, nil
}

// heal unmounts what a run left behind that was cut off on this machine.
func (s System) heal(ctx context.Context, m *Mounted) error {
	mounts, err := mountsOf("self")
	if err != nil {
		return failed("open", m.Device.Volume, err)
	}
	ours, err := numbersOf(m.Device.Path)
	if err != nil {
		return failed("open", m.Device.Volume, err)
	}
	for _, old := range mounts {
		if old.at == m.Point && ours[old.device] {
			m.Notes = append(m.Notes, "it was still mounted at "+m.Point+", by a run that was cut off; it was unmounted first")
			return s.unmount(ctx, m.Device.Volume, old.source, m.Point)
		}
	}
	return nil
}

// numbersOf are the numbers of a device and its partitions.
func numbersOf(path string) (map[string]bool, error) {
	rdev, err := deviceNumber(path)
	if err != nil {
		return nil, err
	}
	list, err := partitions(rdev)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{majorMinor(rdev): true}
	for _, p := range list {
		all[majorMinor(p.rdev)] = true
	}
	return all, nil
}

// grow enlarges the file system; when that fails, there is less room, and the
// backup goes on.
func (s System) grow(ctx context.Context, m *Mounted) {
	grown, note, err := s.Grow(ctx, m.Device, m.Finding, m.Point)
	if err != nil {
		note = "the volume is larger than its file system, which could not be enlarged: " + err.Error()
	}
	if m.Grown = grown; note != "" {
		m.Notes = append(m.Notes, note)
	}
}

// mountOptions keep what a host sends from doing anything here.
const mountOptions = "noatime,nosuid,nodev,noexec"

// Mount mounts a volume's file system at an empty directory, which it makes
// when it is missing, and looks whether it is there then.
func (s System) Mount(ctx context.Context, d Device, f Finding, point string) error {
	if f.Kind != Ours && f.Kind != Adopted {
		return &Error{Doing: "mount", Volume: d.Volume, Reason: "it holds " + f.What, Fix: f.Fix, Err: ErrForeign}
	}
	if err := emptyDirectory(point); err != nil {
		return failed("mount", d.Volume, err)
	}
	if f.Type == "xfs" {
		if err := s.onlyOne(ctx, d, f); err != nil {
			return err
		}
	}
	r, err := run(ctx, mountMax, nil, "mount", "-t", f.Type, "-o", mountOptions, f.Path, point)
	if err == nil && r.code != 0 {
		err = r.error("mount")
	}
	if err != nil {
		e := &Error{Doing: "mount", Volume: d.Volume, Reason: err.Error(), Err: err, Fix: "dmesg on the instance says more"}
		if strings.Contains(err.Error(), "needs cleaning") || strings.Contains(err.Error(), "superblock") {
			e.Err = errors.Join(ErrDamaged, err)
		}
		if f.Type == "xfs" {
			e.Fix = fixDamage(d, "xfs_repair "+f.Path)
		}
		return e
	}
	if err := mountedAt(f.Path, point); err != nil {
		return failed("mount", d.Volume, errors.Join(err, s.unmount(context.WithoutCancel(ctx), d.Volume, f.Path, point)))
	}
	s.log().Info("mounted", "volume", d.Volume, "device", f.Path, "at", point)
	return nil
}

// emptyDirectory makes sure that a directory is one, is empty, and has nothing
// mounted on it: what it held would be out of sight.
func emptyDirectory(point string) error {
	if !filepath.IsAbs(point) || filepath.Clean(point) != point {
		return fmt.Errorf("the mount point %q is no plain path", point)
	}
	if err := os.MkdirAll(point, 0o755); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(point)
	if err != nil {
		return err
	}
	if real != point {
		return fmt.Errorf("the mount point %s is %s in truth: take the symbolic link away", point, real)
	}
	mounts, err := mountsOf("self")
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m.at == point {
			return fmt.Errorf("%w: %s is mounted at %s: umount %[3]s", ErrBusy, m.source, point)
		}
	}
	entries, err := os.ReadDir(point)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("the mount point %s is not empty (%s): move what is in it away", point, entries[0].Name())
	}
	return nil
}

// mountedAt fails unless the device is mounted there, with the options.
func mountedAt(path, point string) error {
	rdev, err := deviceNumber(path)
	if err != nil {
		return err
	}
	mounts, err := mountsOf("self")
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m.at != point {
			continue
		}
		options := "," + m.options + ","
		for o := range strings.SplitSeq("rw,"+mountOptions, ",") {
			if !strings.Contains(options, ","+o+",") {
				return fmt.Errorf("%s is mounted at %s without %s (%s): it may be damaged", path, point, o, m.options)
			}
		}
		if m.device == majorMinor(rdev) {
			return nil
		}
	}
	return fmt.Errorf("%s is not mounted at %s", path, point)
}

// onlyOne fails when an XFS with the same UUID is mounted: the kernel takes
// two of them for one.
func (s System) onlyOne(ctx context.Context, d Device, f Finding) error {
	mounts, err := mountsOf("self")
	if err != nil {
		return failed("mount", d.Volume, err)
	}
	for _, m := range mounts {
		if m.kind != "xfs" {
			continue
		}
		other, err := probe(ctx, m.source)
		if err == nil && other.uuid != "" && strings.EqualFold(other.uuid, f.UUID) && m.source != f.Path {
			return &Error{
				Doing: "mount", Volume: d.Volume, Err: ErrBusy,
				Reason: fmt.Sprintf("its XFS has the UUID %s, and so has %s, which is mounted at %s: one is a copy of the other", f.UUID, m.source, m.at),
				Fix:    fmt.Sprintf("unmount the other, or give this one a new UUID with xfs_admin -U generate %s and adopt it again", f.Path),
			}
		}
	}
	return nil
}
