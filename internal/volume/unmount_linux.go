package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Unmounting is tried until busyWait is over, or ctx: processes that were just
// killed take a moment to let go.
const (
	busyWait  = 20 * time.Second
	busyEvery = 250 * time.Millisecond
)

// Close writes everything to the volume, unmounts it, and makes sure that it
// is not mounted any more, in no other namespace either: what still uses it is
// named (ErrBusy), and it may be called again then. A volume is never taken
// out of sight while somebody uses it. What is not mounted is no error.
func (s System) Close(ctx context.Context, m *Mounted) error {
	return s.unmount(ctx, m.Device.Volume, or(m.Finding.Path, m.Device.Path), m.Point)
}

// Still fails when a volume that was opened is not mounted any more where it was
// though nobody has closed it: what was written there since is not on it.
func (s System) Still(m *Mounted) error {
	rdev, err := deviceNumber(or(m.Finding.Path, m.Device.Path))
	if err != nil {
		return failed("look for", m.Device.Volume, err)
	}
	at, err := mountAt(m.Point, majorMinor(rdev))
	if err == nil && at == nil {
		err = &Error{Volume: m.Device.Volume, Doing: "look for", Err: ErrDamaged,
			Reason: "somebody has unmounted it from " + m.Point + " in mid-run", Fix: "what came since is not on it: look at the instance's journal for who did that; the next push brings it"}
	}
	return err
}

func (s System) unmount(ctx context.Context, volume, path, point string) error {
	rdev, err := deviceNumber(path)
	if err != nil {
		return failed("unmount", volume, err)
	}
	device := majorMinor(rdev)
	m, err := mountAt(point, device)
	if err != nil {
		return failed("unmount", volume, err)
	}
	if m != nil {
		if err := s.sync(ctx, volume, point); err != nil {
			return err
		}
	}
	end := time.Now().Add(busyWait)
	var busy error // of a try before
	for {
		err := umount(ctx, point, device)
		if err == nil {
			err = gone(path, device)
		}
		if err == nil {
			s.log().Info("unmounted", "volume", volume, "at", point)
			return m.soundness(volume)
		}
		if busy != nil && ctx.Err() != nil {
			err = busy // the last try says only that time ran out in it
		}
		if !errors.Is(err, ErrBusy) {
			return failed("unmount", volume, err)
		}
		busy = err
		if time.Now().After(end) || pause(ctx, busyEvery) != nil {
			return stillHeld(context.WithoutCancel(ctx), volume, device, point, err)
		}
	}
}

func (s System) sync(ctx context.Context, volume, point string) error {
	r, err := run(ctx, syncMax, nil, "sync", "-f", point)
	if err == nil && r.code != 0 {
		err = r.error("sync")
	}
	if err == nil {
		return nil
	}
	return &Error{
		Doing: "unmount", Volume: volume, Reason: "not everything could be written to it: " + err.Error(),
		Fix: "it stays mounted; dmesg on the instance says more", Err: err,
	}
}

// stillHeld names those who use it.
func stillHeld(ctx context.Context, volume, device, point string, err error) error {
	e := &Error{Doing: "unmount", Volume: volume, Reason: "it is still in use", Err: err,
		Fix: "it was not forced: end what uses it; the volume is let go when the instance ends"}
	if list := holdersOf(ctx, device, point); len(list) > 0 {
		e.Reason += ": " + strings.Join(list, ", ")
	}
	return e
}

// mountAt is the mount of a device at a place, nil when there is none.
func mountAt(point, device string) (*mountPoint, error) {
	mounts, err := mountsOf("self")
	if err != nil {
		return nil, err
	}
	var found *mountPoint
	for _, m := range mounts {
		if m.at == point && m.device == device {
			found = &m
		}
	}
	return found, nil
}

// soundness fails when the kernel has made a file system read-only: it found
// an error in it, or could not write.
func (m *mountPoint) soundness(volume string) error {
	if m == nil || !strings.HasPrefix(m.super+",", "ro,") {
		return nil
	}
	return &Error{Doing: "unmount", Volume: volume, Err: ErrDamaged,
		Reason: "its file system had become read-only in mid-run: the kernel has found an error in it, or could not write to it",
		Fix:    "what came since is not on it; dmesg on the instance says why, and the next run checks and repairs what it can"}
}

// umount is a process of its own, since the kernel writes before it returns.
// What was unmounted by a try before is no error.
func umount(ctx context.Context, point, device string) error {
	m, err := mountAt(point, device)
	if err != nil || m == nil {
		return err
	}
	r, err := run(ctx, umountMax, nil, "umount", point)
	switch {
	case err != nil && strings.Contains(err.Error(), "busy"): // time ran out just then
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case err != nil:
		return err
	case r.code == 0:
		return nil
	case strings.Contains(r.said, "busy"):
		return fmt.Errorf("%w: %w", ErrBusy, r.error("umount"))
	}
	return r.error("umount")
}

// gone makes sure that a device is mounted nowhere: not here, and, since it
// can be opened exclusively, not in another namespace.
func gone(path, device string) error {
	mounts, err := mountsOf("self")
	if err != nil {
		return err
	}
	for _, other := range mounts {
		if other.device == device {
			return fmt.Errorf("%w: %s is mounted at %s, too", ErrBusy, path, other.at)
		}
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%w: the kernel still uses %s", ErrBusy, path)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	letGo(os.NewFile(uintptr(fd), path))
	return nil
}
