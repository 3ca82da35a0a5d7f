package jail

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What Landlock is asked about, by its version. Version 1 forbids every rename
// and link between directories, which rsync cannot do without: it is not used.
// https://docs.kernel.org/userspace-api/landlock.html
const (
	llRead = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	llAdd  = unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SYM |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_REFER
	llChange = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE
	llNever = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// landlockVersion is 0 where there is no Landlock.
func landlockVersion() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// CanAppendOnly says why nothing can hold files that are there; nil: Landlock
// can. It needs Linux 5.19, with Landlock switched on.
func CanAppendOnly() error {
	if v := landlockVersion(); v < 2 {
		return fmt.Errorf("append_only needs Landlock 2 (Linux 5.19 or later, with landlock in /sys/kernel/security/lsm), and this kernel has %d: take a newer image", v)
	}
	return nil
}

// landlock forbids everything below the root but this. It holds what a mount's
// flags and four capabilities allow already, apart from AppendOnly: then it
// alone keeps what is there. A file can be added there by growing in Scratch
// and being renamed; the kernel refuses a rename over another file, since that
// removes it, and opening any file there for writing, by whatever name.
func landlock(p plan) error {
	version := landlockVersion()
	if version < 2 {
		return nil
	}
	handled := uint64(llRead | llAdd | llChange | llNever | unix.LANDLOCK_ACCESS_FS_EXECUTE)
	if version < 3 {
		handled &^= unix.LANDLOCK_ACCESS_FS_TRUNCATE // the filter stands in
	}
	if version < 5 {
		handled &^= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: handled}
	size := unsafe.Sizeof(attr.Handled_access_fs) // version 2 knows no more
	r, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return fmt.Errorf("make a Landlock ruleset: %w", errno)
	}
	defer unix.Close(int(r))
	data := uint64(llRead)
	if !p.ReadOnly {
		data |= llAdd
		if !p.AppendOnly {
			data |= llChange
		}
	}
	rules := map[string]uint64{"/proc": llRead, Dir: data}
	if p.AppendOnly && !p.ReadOnly {
		rules[Scratch] = llRead | llAdd | llChange
	}
	for _, d := range system {
		rules[d] = llRead | unix.LANDLOCK_ACCESS_FS_EXECUTE
	}
	for path, access := range rules {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			continue // not every system has all of them
		}
		if err != nil {
			return fmt.Errorf("allow %s by Landlock: %w", path, err)
		}
		err = allow(int(r), fd, access&handled)
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("allow %s by Landlock: %w", path, err)
		}
	}
	if err := allow(int(r), fdSelf, unix.LANDLOCK_ACCESS_FS_EXECUTE|unix.LANDLOCK_ACCESS_FS_READ_FILE); err != nil {
		return fmt.Errorf("allow the helper by Landlock: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, r, 0, 0); errno != 0 {
		return fmt.Errorf("enter the Landlock ruleset: %w", errno)
	}
	return nil
}

func allow(ruleset, fd int, access uint64) error {
	attr := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
