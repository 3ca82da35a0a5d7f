package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A hold is a device held by this process alone.
type hold struct {
	device Device
	rdev   uint64
	// lock has the lock that udev and systemd respect, too.
	// https://systemd.io/BLOCK_DEVICE_LOCKING
	lock *os.File
	// excl keeps others from mounting it, and from claiming it in the kernel.
	// It has to go for a moment so that mkfs can do the same.
	excl *os.File
}

// lockWait is how long udev may take to look at a new device.
const lockWait = 5 * time.Second

// take holds a device. ErrBusy: it is mounted, or part of something else.
func take(ctx context.Context, d Device) (*hold, error) {
	f, err := os.Open(d.Path)
	if err != nil {
		return nil, err
	}
	h := &hold{device: d, lock: f}
	if err := h.flock(ctx); err != nil {
		h.release()
		return nil, err
	}
	if err := h.identify(); err != nil {
		h.release()
		return nil, err
	}
	if err := h.exclude(); err != nil {
		h.release()
		return nil, err
	}
	return h, nil
}

func (h *hold) flock(ctx context.Context) error {
	for end := time.Now().Add(lockWait); ; {
		err := unix.Flock(int(h.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("lock %s: %w", h.device.Path, err)
		case time.Now().After(end):
			return fmt.Errorf("%w: another process has locked %s", ErrBusy, h.device.Path)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// identify remembers which device this is.
func (h *hold) identify() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(h.lock.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return fmt.Errorf("%s is no block device", h.device.Path)
	}
	h.rdev = st.Rdev
	return nil
}

func (h *hold) exclude() error {
	fd, err := unix.Open(h.device.Path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%w: %s", ErrBusy, or(inUse(h.rdev), "the kernel uses "+h.device.Path))
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", h.device.Path, err)
	}
	h.excl = os.NewFile(uintptr(fd), h.device.Path)
	return nil
}

// same fails when the name means another device by now, or the volume has
// another one: a volume can be detached, and the next one get its name.
func (h *hold) same(f Finder, name string) error {
	var st unix.Stat_t
	if err := unix.Stat(h.device.Path, &st); err != nil {
		return err
	}
	d, err := f.Find(h.device.Volume, name)
	if err != nil {
		return err
	}
	if d.Path != h.device.Path || st.Rdev != h.rdev {
		return fmt.Errorf("%s was %s and is %s now", h.device.Volume, h.device.Path, d.Path)
	}
	return nil
}

// include lets others in; the lock stays.
func (h *hold) include() {
	if h.excl != nil {
		letGo(h.excl)
		h.excl = nil
	}
}

func (h *hold) release() {
	h.include()
	letGo(h.lock)
}

// letGo closes a file of which no child has a copy: one that is being started
// has them all until it executes its program, and a device that is still held
// by such a copy is refused by mkfs and e2fsck. The Close of a device that was
// only read has nothing to say.
func letGo(f *os.File) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f.Close()
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
