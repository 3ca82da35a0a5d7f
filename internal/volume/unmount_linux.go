package volume

import (
	"context"
	"errors"
	"fmt"
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

// Unmount writes everything to the volume, unmounts it, and makes sure that it
// is not mounted any more, in no other namespace either: what still uses it is
// named (ErrBusy). It is never taken out of sight while somebody uses it.
// What is not mounted is no error.
func (s System) Unmount(ctx context.Context, volume, point string) error {
	m, err := mountAt(point)
	if err != nil || m == nil {
		return failedOrNil("unmount", volume, err)
	}
	if r, err := run(ctx, syncMax, nil, "sync", "-f", point); err != nil {
		return failed("unmount", volume, err)
	} else if r.code != 0 {
		return &Error{Doing: "unmount", Volume: volume, Reason: "not everything could be written to it: " + r.error("sync").Error(), Fix: "it stays mounted; dmesg on the instance says more", Err: ErrDamaged}
	}
	end := time.Now().Add(busyWait)
	for {
		err := umount(ctx, *m, point)
		if err == nil {
			err = gone(*m, point)
		}
		if err == nil {
			s.log().Info("unmounted", "volume", volume, "at", point)
			return m.soundness(volume)
		}
		if !errors.Is(err, ErrBusy) {
			return failed("unmount", volume, err)
		}
		if time.Now().After(end) || pause(ctx, busyEvery) != nil {
			return stillHeld(context.WithoutCancel(ctx), volume, *m, point, err)
		}
	}
}

func failedOrNil(doing, volume string, err error) error {
	if err == nil {
		return nil
	}
	return failed(doing, volume, err)
}

// stillHeld names those who use it.
func stillHeld(ctx context.Context, volume string, m mountPoint, point string, err error) error {
	e := &Error{Doing: "unmount", Volume: volume, Reason: "it is still in use", Err: err,
		Fix: "it was not forced: end what uses it; the volume is let go when the instance ends"}
	if list := holdersOf(ctx, m, point); len(list) > 0 {
		e.Reason += ": " + strings.Join(list, ", ")
	}
	return e
}

// mountAt is what is mounted at a place, nil when nothing is; the last one
// when several are.
func mountAt(point string) (*mountPoint, error) {
	mounts, err := mountsOf("self")
	if err != nil {
		return nil, err
	}
	var found *mountPoint
	for _, m := range mounts {
		if m.at == point {
			found = &m
		}
	}
	return found, nil
}

// soundness fails when the kernel has made a file system read-only: it found
// an error in it, or could not write.
func (m mountPoint) soundness(volume string) error {
	if !strings.HasPrefix(m.super+",", "ro,") {
		return nil
	}
	return &Error{Doing: "unmount", Volume: volume, Err: ErrDamaged,
		Reason: "its file system had become read-only in mid-run: the kernel has found an error in it, or could not write to it",
		Fix:    "what came since is not on it; dmesg on the instance says why, and the next run checks and repairs what it can"}
}

// umount is a process of its own, since the kernel writes before it returns.
// What was unmounted by a try before is no error.
func umount(ctx context.Context, was mountPoint, point string) error {
	m, err := mountAt(point)
	if err != nil || m == nil || m.device != was.device {
		return err
	}
	r, err := run(ctx, umountMax, nil, "umount", point)
	switch {
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
func gone(m mountPoint, point string) error {
	mounts, err := mountsOf("self")
	if err != nil {
		return err
	}
	for _, other := range mounts {
		if other.at == point {
			return fmt.Errorf("%w: %s is mounted at %s, too", ErrBusy, other.source, point)
		}
		if other.device == m.device {
			return fmt.Errorf("%w: %s is mounted at %s, too", ErrBusy, m.source, other.at)
		}
	}
	fd, err := unix.Open(m.source, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%w: the kernel still uses %s", ErrBusy, m.source)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", m.source, err)
	}
	return unix.Close(fd)
}
