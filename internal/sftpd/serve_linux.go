package sftpd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"
)

// Serve serves dir until the client ends the session, and says whether it has
// changed anything. The error is ErrUnfinished when the client left while files
// were open for writing, and ErrNotWritten, with the first reason, when the disk
// did not take what came.
func Serve(rwc io.ReadWriteCloser, dir string, o Options) (changed bool, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, err
	}
	defer root.Close()
	s := &server{root: root, Options: o}
	rs := sftp.NewRequestServer(rwc, sftp.Handlers{FileGet: s, FilePut: s, FileCmd: s, FileList: s}, sftp.WithRSAllocator())
	if err := rs.Serve(); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return s.changed.Load(), err
	}
	if n := s.unfinished.Load(); n > 0 {
		err = fmt.Errorf("%w: %d", ErrUnfinished, n)
	}
	if lost := s.lost.Load(); lost != nil {
		err = errors.Join(err, fmt.Errorf("%w: %w", ErrNotWritten, *lost))
	}
	return s.changed.Load(), err
}

// A server holds one session. Everything but reads and writes is handled one
// by one.
type server struct {
	root *os.Root
	Options
	changed    atomic.Bool
	unfinished atomic.Int64 // files that were open for writing when the client left
	lost       atomic.Pointer[error]
}

// disk are the errors that are nobody's wish: what was to be there is not.
var disk = []error{
	unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS, unix.EUCLEAN, unix.EFBIG, unix.ENAMETOOLONG, unix.EMLINK,
	unix.ENOMEM, unix.EMFILE, unix.ENFILE,
}

// noted remembers the first failure of a change that the client may go on after.
func (s *server) noted(err error) error {
	if err != nil && slices.ContainsFunc(disk, func(d error) bool { return errors.Is(err, d) }) {
		s.lose(err)
	}
	return err
}

// lose remembers why something that was to come is not there.
func (s *server) lose(err error) { s.lost.CompareAndSwap(nil, &err) }

// A written file is open for writing.
type written struct {
	*os.File
	server *server
}

// TransferError says that the session has ended, and the file was not closed.
func (w *written) TransferError(error) { w.server.unfinished.Add(1) }

// WriteAt writes, and remembers what the disk did not take.
func (w *written) WriteAt(b []byte, at int64) (int, error) {
	n, err := w.File.WriteAt(b, at)
	return n, w.server.noted(err)
}

// Close closes, likewise.
func (w *written) Close() error { return w.server.noted(w.File.Close()) }

var (
	_ sftp.FileReader           = (*server)(nil)
	_ sftp.OpenFileWriter       = (*server)(nil)
	_ sftp.PosixRenameFileCmder = (*server)(nil)
	_ sftp.StatVFSFileCmder     = (*server)(nil)
	_ sftp.LstatFileLister      = (*server)(nil)
	_ sftp.ReadlinkFileLister   = (*server)(nil)
)

// OpenSSH's sftp shows the code alone, other clients the text too.
var (
	errNoPull  = fmt.Errorf("%w: this host may only push: set pull: true for it in mayfly's config to restore", sftp.ErrSSHFxPermissionDenied)
	errKept    = fmt.Errorf("%w: this host is append_only: what was there before this session stays as it is", sftp.ErrSSHFxPermissionDenied)
	errSpecial = fmt.Errorf("%w: it is no regular file", sftp.ErrSSHFxFailure)
)

// local is a path of the client's relative to the directory.
func local(p string) string {
	p = strings.TrimLeft(path.Clean("/"+p), "/")
	if p == "" {
		return "."
	}
	return p
}

// Fileread opens a file for reading.
func (s *server) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	if !s.Pull {
		return nil, errNoPull
	}
	return s.open(local(r.Filepath), os.O_RDONLY)
}

// Filewrite opens a file for writing, as OpenFile does.
func (s *server) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	f, err := s.openWriter(r, os.O_WRONLY)
	if err != nil {
		return nil, err
	}
	return s.writer(r, f), nil
}

// OpenFile opens a file for reading and writing.
func (s *server) OpenFile(r *sftp.Request) (sftp.WriterAtReaderAt, error) {
	if !s.Pull {
		return nil, errNoPull
	}
	f, err := s.openWriter(r, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	return s.writer(r, f), nil
}

func (s *server) writer(r *sftp.Request, f *os.File) sftp.WriterAtReaderAt {
	w := &written{f, s}
	if r.Pflags().Append {
		return &appender{written: w}
	}
	return w
}

func (s *server) openWriter(r *sftp.Request, flags int) (f *os.File, err error) {
	s.changed.Store(true)
	defer func() { err = s.noted(err) }()
	name, want := local(r.Filepath), r.Pflags()
	if want.Creat {
		f, err := s.open(name, flags|os.O_CREATE|os.O_EXCL)
		if err == nil || want.Excl || !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	if f, err = s.open(name, flags); err != nil {
		return nil, err
	}
	if err := s.mayChange(f); err != nil {
		s.lose(err) // its new contents
		return nil, errors.Join(err, f.Close())
	}
	if want.Trunc {
		if err := f.Truncate(0); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// open opens a regular file. It does not wait for the other end of a fifo.
func (s *server) open(name string, flags int) (*os.File, error) {
	f, err := s.root.OpenFile(name, flags|unix.O_NONBLOCK|unix.O_NOCTTY, 0o644)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errSpecial
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// An appender writes at the end, whatever the offset.
type appender struct {
	mu sync.Mutex
	*written
}

// WriteAt writes at the file's end.
func (a *appender) WriteAt(b []byte, _ int64) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	end, err := a.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	return a.written.WriteAt(b, end)
}
