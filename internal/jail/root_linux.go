package jail

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// system is what of the machine is seen inside, read-only: rsync and the
// libraries it is linked with. With merged /usr all but the first are links.
var system = []string{"/usr", "/bin", "/sbin", "/lib", "/lib64"}

// buildRoot makes this process's root a small file system of its own.
// https://man7.org/linux/man-pages/man2/pivot_root.2.html
func buildRoot(p plan) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	// Trees are taken hold of before anything is mounted over them.
	data, err := take(p.Dir)
	if err != nil {
		return fmt.Errorf("take hold of %s: %w", p.Dir, err)
	}
	trees := map[string]int{}
	links := map[string]string{}
	for _, d := range system {
		switch to, err := os.Readlink(d); {
		case err == nil:
			links[d] = to
		case isDir(d):
			if trees[d], err = take(d); err != nil {
				return fmt.Errorf("take hold of %s: %w", d, err)
			}
		}
	}
	const root = "/proc" // any directory that is everywhere; this mount namespace has no other use for it
	if err := unix.Mount("mayfly", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=1m,nr_inodes=64,mode=755"); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	for d, to := range links {
		if err := os.Symlink(to, root+d); err != nil {
			return fmt.Errorf("fill the root: %w", err)
		}
	}
	const plain = unix.MS_NOSUID | unix.MS_NODEV
	for d, tree := range trees {
		if err := put(tree, root+d, plain|unix.MS_RDONLY); err != nil {
			return fmt.Errorf("mount %s: %w", d, err)
		}
	}
	flags := uintptr(plain | unix.MS_NOEXEC)
	if p.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	if err := put(data, root+Dir, flags); err != nil {
		return fmt.Errorf("mount %s: %w", p.Dir, err)
	}
	if err := mountProc(root + "/proc"); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := enter(root); err != nil {
		return err
	}
	if p.AppendOnly && !p.ReadOnly {
		return freshScratch()
	}
	return nil
}

func isDir(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.IsDir()
}

// take is a copy of the mount that dir is in, from dir on, without what is
// mounted below.
func take(dir string) (int, error) {
	return unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
}

// put mounts a tree.
func put(tree int, at string, flags uintptr) error {
	defer unix.Close(tree)
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return err
	}
	if err := unix.Mount("", at, "", unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|flags, "")
}

// mountProc shows the jail's processes and nothing else: no sysrq-trigger, no
// core_pattern, with which root can do to the machine what it likes. Before
// Linux 5.8, which cannot leave these out, they are at least read-only.
func mountProc(at string) error {
	if err := os.Mkdir(at, 0o555); err != nil {
		return err
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY
	err := unix.Mount("proc", at, "proc", flags, "subset=pid,hidepid=2")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("proc", at, "proc", flags, "hidepid=2")
	}
	return err
}

// enter makes root the root, read-only, and lets go of the old one.
func enter(root string) error {
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the machine's root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("make the root read-only: %w", err)
	}
	return nil
}

// freshScratch makes Scratch an empty directory. What lies there is the rest
// of a run that was cut off.
func freshScratch() error {
	fi, err := os.Lstat(Scratch)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.Mkdir(Scratch, 0o700)
	case err != nil:
		return err
	case !fi.IsDir():
		if err := os.Remove(Scratch); err != nil {
			return err
		}
		return os.Mkdir(Scratch, 0o700)
	}
	return emptied(Scratch)
}

func emptied(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
