package sftpd

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"
)

// What the disk did not take is not there, whatever the client makes of that: a
// session in which something could not be written has not gone well.
func TestSaysThatTheDiskIsFull(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		if os.Getenv("MAYFLY_NO_SKIP") != "" {
			t.Fatal("a small file system needs root")
		}
		t.Skip("a small file system needs root")
	}
	for name, x := range map[string]struct {
		options string
		do      func(*sftp.Client) error
	}{
		"a file":           {"size=64k", func(c *sftp.Client) error { return write(c, "a", strings.Repeat("x", 1<<20), create) }},
		"at a file's end":  {"size=64k", func(c *sftp.Client) error { return write(c, "a", strings.Repeat("x", 1<<20), create|os.O_APPEND) }},
		"a directory":      {"nr_inodes=1", func(c *sftp.Client) error { return c.Mkdir("d") }},
		"a file's name":    {"nr_inodes=1", func(c *sftp.Client) error { return write(c, "a", "", create) }},
		"a link":           {"nr_inodes=1", func(c *sftp.Client) error { return c.Symlink("x", "l") }},
		"on a broken disk": {"ro", func(c *sftp.Client) error { return write(c, "a", "x", create) }},
		"too long a name":  {"size=1m", func(c *sftp.Client) error { return write(c, strings.Repeat("n", 300), "x", create) }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			flags, options := uintptr(0), x.options
			if options == "ro" {
				flags, options = unix.MS_RDONLY, ""
			}
			if err := unix.Mount("mayfly", dir, "tmpfs", flags, options); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
			a, b := net.Pipe()
			served := make(chan error, 1)
			go func() {
				_, err := Serve(a, dir, Options{Pull: true})
				served <- err
			}()
			c, err := sftp.NewClientPipe(b, b)
			if err != nil {
				t.Fatal(err)
			}
			if err := x.do(c); err == nil {
				t.Fatal("the client was told that it is there")
			}
			b.Close()
			if err := <-served; !errors.Is(err, ErrNotWritten) {
				t.Errorf("the session has ended with %v", err)
			}
		})
	}
}

// Looking for what is not there, or asking for what one may not, loses nothing.
func TestRefusalsLoseNothing(t *testing.T) {
	t.Parallel()
	c := client(t, t.TempDir(), Options{}) // which sees that the session ends well
	for what, err := range map[string]error{
		"remove": c.Remove("nothing"), "rename": c.Rename("nothing", "x"), "chmod": c.Chmod("nothing", 0o600),
		"open": write(c, "no/where", "x", create), "read": func() error { _, err := c.Open("a"); return err }(),
	} {
		if err == nil {
			t.Errorf("%s: nothing was said against it", what)
		}
	}
}

// Where older states are kept, new contents that were to take the place of old
// ones are missing; what was to be removed is not.
func TestSaysThatTheOldWasKept(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		do   func(*sftp.Client) error
		lost bool
	}{
		"overwritten": {func(c *sftp.Client) error { return write(c, "old", "new", create) }, true},
		"renamed over": {func(c *sftp.Client) error {
			return errors.Join(write(c, "part", "new", create), c.PosixRename("part", "old"))
		}, true},
		"removed":   {func(c *sftp.Client) error { return c.Remove("old") }, false},
		"renamed":   {func(c *sftp.Client) error { return c.Rename("old", "older") }, false},
		"its times": {func(c *sftp.Client) error { return c.Chtimes("old", time.Now(), time.Now()) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "old"), []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * tick)
			a, b := net.Pipe()
			served := make(chan error, 1)
			go func() {
				_, err := Serve(a, dir, Options{AppendOnly: true, Began: time.Now()})
				served <- err
			}()
			c, err := sftp.NewClientPipe(b, b)
			if err != nil {
				t.Fatal(err)
			}
			if err := x.do(c); err == nil {
				t.Fatal("nothing was said against it")
			}
			b.Close()
			if err := <-served; errors.Is(err, ErrNotWritten) != x.lost {
				t.Errorf("the session has ended with %v", err)
			}
		})
	}
}
