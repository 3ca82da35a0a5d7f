package command

import (
	"errors"
	"fmt"
	"mayfly/internal/volume"
	"slices"

	"golang.org/x/sys/unix"
)

// unmountBelow takes away every mount below a directory, the last one first. A
// command that was ended before its umount has left it, and removing the
// directory would remove what is mounted there. After an error something may
// still be mounted.
func unmountBelow(dir string) error {
	const rounds = 8 // mounts upon mounts
	var last error
	for range rounds {
		points, err := volume.MountsBelow(dir)
		if err != nil || len(points) == 0 {
			return err
		}
		for _, p := range slices.Backward(points) {
			if err := unix.Unmount(p, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
				last = fmt.Errorf("something is mounted at %s, and cannot be unmounted: %w", p, err)
			}
		}
	}
	points, err := volume.MountsBelow(dir)
	if err == nil && len(points) > 0 {
		err = errors.Join(fmt.Errorf("something is mounted at %s", points[0]), last)
	}
	return err
}
