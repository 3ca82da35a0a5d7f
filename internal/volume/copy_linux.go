package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// readOnly are the mount options with which a file system is only read, its
// journal and, of XFS, a UUID that another one has included.
// https://docs.kernel.org/admin-guide/ext4.html
func readOnly(kind string) string {
	options := "ro,noatime,nosuid,nodev,noexec,"
	if kind == "xfs" {
		return options + "norecovery,nouuid"
	}
	return options + "noload"
}

// OpenCopy mounts what a copy holds, and writes nothing to it. After an error
// nothing is mounted.
func (s System) OpenCopy(ctx context.Context, c Copy) (*Mounted, error) {
	d, err := s.Find(ctx, c.Volume, c.Name)
	if err != nil {
		return nil, err
	}
	f, err := s.lookAt(ctx, d)
	if err != nil {
		return nil, failed("inspect", d.Volume, err)
	}
	found, ok := choose(f, c.UUID)
	if !ok {
		return nil, &Error{Doing: "mount", Volume: d.Volume, Reason: "it holds " + or(f.holds(), "nothing"), Err: ErrForeign, Fix: "name another snapshot"}
	}
	m := &Mounted{Device: d, Point: c.Point, Finding: Finding{Size: f.size}.is(Ours, found)}
	if err := emptyDirectory(c.Point); err != nil {
		return nil, failed("mount", d.Volume, err)
	}
	r, err := run(ctx, mountMax, nil, "mount", "-t", found.kind, "-o", readOnly(found.kind), found.path, c.Point)
	if err == nil && r.code != 0 {
		err = r.error("mount")
	}
	if err != nil {
		return nil, &Error{Doing: "mount", Volume: d.Volume, Reason: err.Error(), Err: errors.Join(ErrDamaged, err), Fix: "dmesg on the instance says more; name another snapshot"}
	}
	s.log().Info("mounted to be read", "volume", d.Volume, "device", found.path, "at", c.Point)
	return m, nil
}

// lookAt waits until udev has looked at a device before it does the same.
func (s System) lookAt(ctx context.Context, d Device) (facts, error) {
	h, err := take(ctx, d)
	if err != nil {
		return facts{}, err
	}
	defer h.release()
	return look(ctx, d)
}

// OpenReadOnly mounts a host's volume again, after Close, to be read.
func (s System) OpenReadOnly(ctx context.Context, m *Mounted) (*Mounted, error) {
	kind, d := m.Finding.Type, m.Device
	if err := emptyDirectory(m.Point); err != nil {
		return nil, failed("mount", d.Volume, err)
	}
	r, err := run(ctx, mountMax, nil, "mount", "-t", kind, "-o", readOnly(kind), m.Finding.Path, m.Point)
	if err == nil && r.code != 0 {
		err = r.error("mount")
	}
	if err != nil {
		return nil, failed("mount", d.Volume, err)
	}
	again := *m
	return &again, nil
}

// CloseCopy unmounts what is only read, wherever it is mounted here, and the
// directory goes, too. What is not mounted is no error; what still uses it is
// waited for as Close does.
func (s System) CloseCopy(ctx context.Context, m *Mounted) error {
	if err := s.letGoOf(ctx, m.Device, m.Point); err != nil {
		return err
	}
	_ = os.Remove(m.Point) // it is empty, and nobody looks for it
	return nil
}

// CloseReadOnly undoes OpenReadOnly.
func (s System) CloseReadOnly(ctx context.Context, m *Mounted) error {
	return s.letGoOf(ctx, m.Device, m.Point)
}

func (s System) letGoOf(ctx context.Context, d Device, point string) error {
	err := s.unmountAll(ctx, d)
	if err != nil {
		return &Error{Doing: "unmount", Volume: d.Volume, Reason: err.Error(), Err: err, Fix: "the volume is let go when the instance ends"}
	}
	s.log().Info("unmounted", "volume", d.Volume, "at", point)
	return nil
}

// DropCopy unmounts what a run that was cut off has left of a copy on this
// machine. A device that is not here is none.
func (s System) DropCopy(ctx context.Context, volume, name string) error {
	d, err := s.Finder.Find(volume, name)
	if err != nil {
		return nil
	}
	return s.unmountAll(ctx, d)
}

// unmountAll takes away every mount of a device here. Nothing can be lost:
// nobody writes to it.
func (s System) unmountAll(ctx context.Context, d Device) error {
	ours, err := numbersOf(d.Path)
	if err != nil {
		return err
	}
	mounts, err := mountsOf("self")
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if !ours[m.device] {
			continue
		}
		if !strings.HasPrefix(m.options+",", "ro,") {
			return fmt.Errorf("%w: %s is mounted at %s to be written", ErrBusy, m.source, m.at)
		}
		for tries := 0; ; tries++ {
			err := unix.Unmount(m.at, 0)
			if err == nil || errors.Is(err, unix.EINVAL) {
				break
			}
			if !errors.Is(err, unix.EBUSY) || tries > 40 || pause(ctx, busyEvery) != nil {
				return fmt.Errorf("unmount %s: %w", m.at, err)
			}
		}
	}
	return nil
}
