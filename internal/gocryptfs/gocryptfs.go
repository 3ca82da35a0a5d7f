// Package gocryptfs runs gocryptfs(1) to show a directory encrypted, and an
// encrypted one as it was. The program is the user's own; version 2 or later.
//
// In reverse mode the same file is encrypted to the same bytes under the same
// name each time, so that rsync sends only differences. Hard links, extended
// attributes and ACLs are not seen through it; owners, modes and times are.
// https://github.com/rfjakob/gocryptfs/blob/master/Documentation/MANPAGE.md
package gocryptfs

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Key is where the key is kept: the config file, which holds the master key
// under a password, and the file with the password. Neither alone decrypts, and
// without both nothing does.
type Key struct{ Config, PasswordFile string }

// Files of gocryptfs's own in each directory and beside each long name.
// https://nuetzlich.net/gocryptfs/forward_mode_crypto/
const (
	dirIV    = "gocryptfs.diriv"
	longName = "gocryptfs.longname."
	nameFile = ".name"
)

// ErrMissing is that there is no gocryptfs here.
var ErrMissing = errors.New("there is no gocryptfs here: install it (Debian and Ubuntu: apt-get install gocryptfs; macOS: macFUSE and gocryptfs from MacPorts)")

// Check says what is wrong with the key's files, and whether gocryptfs is here.
func (k Key) Check() error {
	for _, f := range [][2]string{{"gocryptfs's config", k.Config}, {"its password", k.PasswordFile}} {
		what, name := f[0], f[1]
		st, err := os.Stat(name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return fmt.Errorf("%s is not in %s: put the copy back that you keep elsewhere; only if there has never been one, make it with mayfly init push --encrypt gocryptfs", what, name)
		case err != nil:
			return fmt.Errorf("%s: %w", what, err)
		case !st.Mode().IsRegular():
			return fmt.Errorf("%s: %s is no file", what, name)
		case st.Size() == 0:
			return fmt.Errorf("%s: %s is empty: put the copy back that you keep elsewhere", what, name)
		}
	}
	if _, err := exec.LookPath("gocryptfs"); err != nil {
		return ErrMissing
	}
	return nil
}

// Make makes a key: a random password and a config for reverse mode, in files
// that only their owner may read. What is there already is never replaced.
func Make(ctx context.Context, k Key) (err error) {
	for _, name := range []string{k.Config, k.PasswordFile} {
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("make a key: %s is there already, and what it has encrypted would be lost without it: name another file", name)
		}
	}
	if _, err := exec.LookPath("gocryptfs"); err != nil {
		return ErrMissing
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	if err := writeNew(k.PasswordFile, base64.RawURLEncoding.EncodeToString(secret)+"\n"); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(k.PasswordFile))
		}
	}()
	empty, err := os.MkdirTemp("", "mayfly-gocryptfs-")
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	defer os.RemoveAll(empty)
	out, err := exec.CommandContext(ctx, "gocryptfs", "-init", "-reverse", "-q", "-nosyslog",
		"-config", k.Config, "-passfile", k.PasswordFile, "--", empty).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make a key: gocryptfs: %w: %s", err, oneLine(out))
	}
	return os.Chmod(k.Config, 0o400)
}

func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// oneLine is what a program said, for an error.
func oneLine(b []byte) string {
	return strings.Join(strings.Fields(string(bytes.ToValidUTF8(b, []byte("?")))), " ")
}

// Companions are the files that decrypting path needs besides what is at path:
// those of the directories above it, and of long names. path is encrypted, as
// View.Encrypt returns it; so are they.
func Companions(path string) []string {
	list := []string{dirIV}
	dir := ""
	parts := strings.Split(path, "/")
	for i, part := range parts {
		name := filepath.ToSlash(filepath.Join(dir, part))
		if strings.HasPrefix(part, longName) {
			list = append(list, name+nameFile)
		}
		if i < len(parts)-1 {
			list = append(list, name+"/"+dirIV)
		}
		dir = name
	}
	return list
}
