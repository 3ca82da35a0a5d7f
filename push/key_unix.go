//go:build unix

package push

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// checkPrivate says why ssh could not use a private key, since ssh itself would
// only say that the receiver does not know it.
func (p Path) checkPrivate() error {
	f, err := os.Open(string(p))
	if err != nil {
		return fmt.Errorf("the private key: %w: mayfly init push makes one", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("the private key: %w", err)
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("the private key: %s is no file", p)
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && int(sys.Uid) == os.Geteuid() && st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("the private key: others may read %s, and ssh does not take it then: chmod 600 %[1]s", p)
	}
	const most = 64 << 10
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return fmt.Errorf("the private key: %w", err)
	}
	if _, err = ssh.ParseRawPrivateKey(b); errors.As(err, new(*ssh.PassphraseMissingError)) {
		return fmt.Errorf("the private key: %s has a passphrase, and nobody is there to type it: make one without, which mayfly init push does", p)
	}
	return nil // of kinds that only ssh knows, ssh decides
}
