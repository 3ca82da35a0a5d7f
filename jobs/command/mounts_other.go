//go:build !linux

package command

// unmountBelow does nothing: commands are root nowhere but on Linux, and only
// root mounts.
func unmountBelow(string) error { return nil }
