package sftpd

import (
	"io"
	"os"
	"path"

	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"
)

// Filelist opens a directory, or looks a name up and follows links.
func (s *server) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	name := local(r.Filepath)
	if r.Method == "Stat" {
		fi, err := s.root.Stat(name)
		return one{fi}, err
	}
	f, err := s.root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &lister{f}, nil
}

// Lstat looks a name up and follows no link at its end.
func (s *server) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	fi, err := s.root.Lstat(local(r.Filepath))
	return one{fi}, err
}

// Readlink says where a link points to.
func (s *server) Readlink(p string) (string, error) { return s.root.Readlink(local(p)) }

// RealPath makes a path absolute, as the client sees it.
func (s *server) RealPath(p string) (string, error) { return path.Clean("/" + p), nil }

type one struct{ os.FileInfo }

// ListAt gives the one there is.
func (o one) ListAt(to []os.FileInfo, offset int64) (int, error) {
	if offset > 0 || len(to) == 0 {
		return 0, io.EOF
	}
	to[0] = o.FileInfo
	return 1, nil
}

// A lister reads a directory piece by piece, however large it is.
type lister struct{ *os.File }

// ListAt gives the next entries: the client asks in order.
func (l *lister) ListAt(to []os.FileInfo, _ int64) (int, error) {
	infos, err := l.Readdir(len(to))
	return copy(to, infos), err
}
