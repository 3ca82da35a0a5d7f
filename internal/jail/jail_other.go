//go:build !linux

package jail

import (
	"errors"
	"runtime"
)

var errNoJail = errors.New("there is no jail on " + runtime.GOOS + ": receive on Linux")

// A Process is what runs in a jail.
type Process struct{}

// Start refuses: only Linux has what a jail is made of.
func Start(Spec) (*Process, error) { return nil, errNoJail }

// Check says why there is no jail here.
func Check() error { return errNoJail }

// CanAppendOnly says why nothing holds files that are there.
func CanAppendOnly() error { return errNoJail }

// IsHelper reports that this is no helper.
func IsHelper() bool { return false }

// Helper does nothing.
func Helper(func([]byte) error) int { return 1 }

// Terminate does nothing.
func (*Process) Terminate() {}

// Kill does nothing.
func (*Process) Kill() {}

// Done returns nil.
func (*Process) Done() <-chan struct{} { return nil }

// Wait returns at once.
func (*Process) Wait() (int, error) { return -1, errNoJail }
