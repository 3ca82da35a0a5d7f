package sftpd

import (
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"
)

// tick is how far file systems' clock may be behind: they take the time of the
// kernel's last timer interrupt.
const tick = 10 * time.Millisecond

// mayChange says whether an open file is the session's to change.
func (s *server) mayChange(f *os.File) error {
	return s.changeable(int(f.Fd()), "", unix.AT_EMPTY_PATH)
}

// changeable looks at name in an open directory, and follows no link there.
func (s *server) changeable(dir int, name string, flags int) error {
	if !s.AppendOnly {
		return nil
	}
	var st unix.Statx_t
	if err := unix.Statx(dir, name, flags|unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &st); err != nil {
		return err
	}
	if st.Mask&unix.STATX_BTIME == 0 || time.Unix(st.Btime.Sec, int64(st.Btime.Nsec)).Before(s.Began.Add(-tick)) {
		return errKept
	}
	return nil
}

// parent opens the directory that a name is in.
func (s *server) parent(name string) (dir *os.File, base string, err error) {
	if name == "." {
		return nil, "", fmt.Errorf("%w: it is the host's directory itself", sftp.ErrSSHFxPermissionDenied)
	}
	dir, err = s.root.OpenFile(path.Dir(name), os.O_RDONLY|unix.O_DIRECTORY, 0)
	return dir, path.Base(name), err
}

// Filecmd does what has no answer but how it went.
func (s *server) Filecmd(r *sftp.Request) (err error) {
	s.changed.Store(true)
	defer func() { err = s.noted(err) }()
	name := local(r.Filepath)
	switch r.Method {
	case "Setstat":
		return s.setstat(name, r.AttrFlags(), r.Attributes())
	case "Rename":
		return s.rename(name, local(r.Target), false)
	case "Rmdir":
		return s.remove(name, unix.AT_REMOVEDIR)
	case "Remove":
		return s.remove(name, 0)
	case "Mkdir":
		return s.root.Mkdir(name, 0o755)
	case "Link":
		return s.root.Link(name, local(r.Target))
	case "Symlink":
		return s.root.Symlink(r.Filepath, local(r.Target)) // what it points to may be anything
	}
	return sftp.ErrSSHFxOpUnsupported
}

// PosixRename renames over what is there.
func (s *server) PosixRename(r *sftp.Request) error {
	s.changed.Store(true)
	return s.noted(s.rename(local(r.Filepath), local(r.Target), true))
}

func (s *server) rename(from, to string, replace bool) error {
	fromDir, fromBase, err := s.parent(from)
	if err != nil {
		return err
	}
	defer fromDir.Close()
	toDir, toBase, err := s.parent(to)
	if err != nil {
		return err
	}
	defer toDir.Close()
	if err := s.changeable(int(fromDir.Fd()), fromBase, 0); err != nil {
		return err
	}
	err = unix.Renameat2(int(fromDir.Fd()), fromBase, int(toDir.Fd()), toBase, unix.RENAME_NOREPLACE)
	if replace && errors.Is(err, unix.EEXIST) {
		if err := s.changeable(int(toDir.Fd()), toBase, 0); err != nil {
			s.lose(err) // what was to take its place
			return err
		}
		err = unix.Renameat(int(fromDir.Fd()), fromBase, int(toDir.Fd()), toBase)
	}
	return err
}

func (s *server) remove(name string, flags int) error {
	dir, base, err := s.parent(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := s.changeable(int(dir.Fd()), base, 0); err != nil {
		return err
	}
	return unix.Unlinkat(int(dir.Fd()), base, flags)
}

func (s *server) setstat(name string, has sftp.FileAttrFlags, want *sftp.FileStat) error {
	if want == nil {
		return sftp.ErrSSHFxBadMessage
	}
	if has.Size {
		f, err := s.open(name, os.O_WRONLY)
		if err != nil {
			return err
		}
		err = s.mayChange(f)
		if err == nil {
			err = f.Truncate(int64(want.Size))
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	// Only files and directories, and not through a link that changes
	// meanwhile: by descriptor.
	f, err := s.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := s.mayChange(f); err != nil {
		return err
	}
	if has.UidGid {
		if err := f.Chown(int(want.UID), int(want.GID)); err != nil {
			return err
		}
	}
	if has.Permissions { // after the owner, whose change takes set-uid bits away
		if err := f.Chmod(want.FileMode()); err != nil {
			return err
		}
	}
	if has.Acmodtime {
		times := []unix.Timeval{{Sec: int64(want.Atime)}, {Sec: int64(want.Mtime)}}
		return unix.Futimes(int(f.Fd()), times)
	}
	return nil
}

// StatVFS says how much room there is.
func (s *server) StatVFS(r *sftp.Request) (*sftp.StatVFS, error) {
	f, err := s.root.OpenFile(local(r.Filepath), os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	return &sftp.StatVFS{
		Bsize: uint64(st.Bsize), Frsize: uint64(st.Frsize), Blocks: st.Blocks, Bfree: st.Bfree, Bavail: st.Bavail,
		Files: st.Files, Ffree: st.Ffree, Favail: st.Ffree, Namemax: uint64(st.Namelen),
	}, nil
}
