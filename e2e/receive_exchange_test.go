//go:build e2e

package e2e

import "golang.org/x/sys/unix"

// exchange swaps two names at once.
func exchange(a, b string) {
	_ = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}
