//go:build !linux

package sftpd

import (
	"errors"
	"io"
)

// Serve refuses: there are no jails but on Linux.
func Serve(io.ReadWriteCloser, string, Options) (bool, error) {
	return false, errors.New("there is no SFTP server but on Linux")
}
