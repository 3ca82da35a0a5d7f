//go:build !linux

package dirsync

import (
	"errors"
	"os"
)

// openBeneath is the way of a system that opens a path without following any
// link by itself.
func openBeneath(*os.File, string) (*os.File, error) { return nil, errors.ErrUnsupported }
