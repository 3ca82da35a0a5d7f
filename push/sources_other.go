//go:build !unix

package push

import "errors"

// errSystem is what a system without rsync of its own is told.
var errSystem = errors.New("mayfly push runs on Linux and macOS; mayfly push --print shows the commands, and WinSCP or rclone push from here")

func (Source) check() error { return errSystem }
