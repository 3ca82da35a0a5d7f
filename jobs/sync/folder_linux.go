package dirsync

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// openBeneath opens a file below dir for reading, with no link on the way;
// errors.ErrUnsupported where the kernel is older than 5.6, or a filter of
// system calls does not know openat2.
// https://man7.org/linux/man-pages/man2/openat2.2.html
func openBeneath(dir *os.File, rel string) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | openFlags,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for range 100 {
		fd, err := unix.Openat2(int(dir.Fd()), rel, &how)
		runtime.KeepAlive(dir)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), rel), nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN): // something was renamed meanwhile
			continue
		case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
			return nil, errLink
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL), errors.Is(err, unix.E2BIG):
			return nil, errors.ErrUnsupported
		}
		return nil, err
	}
	return nil, errors.ErrUnsupported
}
