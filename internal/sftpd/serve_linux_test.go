package sftpd

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"
)

// client is connected to a server for dir.
func client(t *testing.T, dir string, o Options) *sftp.Client {
	t.Helper()
	a, b := net.Pipe()
	served := make(chan error, 1)
	go func() {
		_, err := Serve(a, dir, o)
		served <- err
		a.Close()
	}()
	c, err := sftp.NewClientPipe(b, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := <-served; err != nil && !errors.Is(err, io.ErrClosedPipe) && !(o.AppendOnly && errors.Is(err, ErrNotWritten)) {
			t.Error(err)
		}
	})
	return c
}

func write(c *sftp.Client, name, text string, flags int) error {
	f, err := c.OpenFile(name, flags)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	return errors.Join(err, f.Close())
}

const create = os.O_WRONLY | os.O_CREATE | os.O_TRUNC

func TestServes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := client(t, dir, Options{Pull: true})
	big := strings.Repeat("0123456789abcdef", 100_000)
	for name, text := range map[string]string{"a": "first", "d ü/b c": big} {
		if err := c.MkdirAll(filepath.Dir("/" + name)); err != nil {
			t.Fatal(err)
		}
		if err := write(c, name, text, create); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != text {
			t.Errorf("%s holds %d bytes, %v", name, len(b), err)
		}
	}
	f, err := c.Open("/d ü/b c")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(f); err != nil || string(b) != big {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	f.Close()
	when := time.Unix(1_700_000_000, 0)
	for _, err := range []error{
		c.Chmod("a", 0o640), c.Chtimes("a", when, when), c.Truncate("a", 3),
		write(c, "a", "X", os.O_WRONLY|os.O_APPEND), c.Chtimes("a", when, when),
		c.Symlink("../anything", "link"), c.Link("a", "hard"), c.PosixRename("hard", "d ü/hard"),
		c.Mkdir("e"), c.RemoveDirectory("e"), write(c, "f", "f", create), c.Remove("f"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if fi, err := os.Stat(filepath.Join(dir, "a")); err != nil || fi.Mode() != 0o640 || !fi.ModTime().Equal(when) || fi.Size() != 4 {
		t.Errorf("%v, %v", fi, err)
	}
	if to, err := c.ReadLink("link"); err != nil || to != "../anything" {
		t.Errorf("%q, %v", to, err)
	}
	if err := c.Rename("a", "d ü/b c"); err == nil {
		t.Error("a plain rename has replaced a file")
	}
	if err := c.PosixRename("a", "d ü/hard"); err != nil {
		t.Error(err)
	}
	if st, err := c.StatVFS("/"); err != nil || st.Blocks == 0 {
		t.Errorf("%v, %v", st, err)
	}
	if at, err := c.RealPath("."); err != nil || at != "/" {
		t.Errorf("%q, %v", at, err)
	}
	for i := range 250 {
		if err := os.WriteFile(filepath.Join(dir, "d ü", strings.Repeat("n", i+1)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := c.ReadDir("/d ü"); err != nil || len(list) != 252 {
		t.Errorf("%d entries, %v", len(list), err)
	}
}

// Nothing outside is reached, by whatever link or path.
func TestStaysInside(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "dir")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(top, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := client(t, dir, Options{Pull: true})
	for link, to := range map[string]string{"abs": secret, "up": "../secret", "top": "..", "root": "/", "proc": "/proc/self", "loop": "loop"} {
		if err := c.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"../secret", "/../secret", secret, "abs", "up", "top/secret", "root" + secret, "root/etc/passwd", "proc/environ", "loop", "fifo", "/proc/self/environ"} {
		if f, err := c.Open(name); err == nil {
			if !inside(dir, name) {
				t.Errorf("%s was opened", name)
			}
			f.Close()
		}
		if name == "fifo" || name == "loop" {
			continue
		}
		if err := write(c, name, "x", create); err == nil && !inside(dir, name) {
			t.Errorf("%s was written", name)
		}
		if err := c.Chmod(name, 0o777); err == nil && !inside(dir, name) {
			t.Errorf("chmod of %s", name)
		}
		if err := c.Truncate(name, 0); err == nil && !inside(dir, name) {
			t.Errorf("truncate of %s", name)
		}
		_ = c.Link(name, "hard") // of a link itself: it is in the directory
		if fi, err := os.Lstat(filepath.Join(dir, "hard")); err == nil && fi.Mode().IsRegular() && !inside(dir, name) {
			t.Errorf("link of %s", name)
		}
		_ = c.Remove("hard")
	}
	_ = c.Rename("../secret", "stolen")
	_ = c.PosixRename("top/secret", "stolen")
	_ = c.Remove("top/secret")
	_ = c.RemoveDirectory("/")
	if b, err := os.ReadFile(secret); err != nil || string(b) != "secret" {
		t.Errorf("%q, %v", b, err)
	}
	if fi, _ := os.Stat(secret); fi.Mode().Perm() != 0o600 {
		t.Error(fi.Mode())
	}
	if _, err := c.ReadDir("top"); err == nil {
		t.Error("the directory above was listed")
	}
}

// inside says whether a path of the client's, which begins at the top of its
// directory, names what it has just made there, as "../secret" names /secret.
func inside(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, filepath.Clean("/"+name)))
	return err == nil && !strings.Contains(name, "top") && name != "abs" && name != "up" && !strings.HasPrefix(name, "root") && !strings.HasPrefix(name, "proc")
}

func TestPushOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := client(t, dir, Options{})
	if err := write(c, "a", "x", create); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stat("a"); err != nil {
		t.Error(err)
	}
	if list, err := c.ReadDir("/"); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	for _, flags := range []int{os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE} {
		f, err := c.OpenFile("a", flags)
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("flags %x: %v", flags, err)
		}
		if err == nil {
			f.Close()
		}
	}
}

func TestAppendOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "d/empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"old", "d/old"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(3 * tick)
	c := client(t, dir, Options{Pull: true, AppendOnly: true, Began: time.Now()})
	for _, err := range []error{
		write(c, "d/new.part", "new", create), c.PosixRename("d/new.part", "d/new"), write(c, "d/new", "newer", create),
		write(c, "d/tmp", "x", create), c.PosixRename("d/tmp", "d/new"), c.Chmod("d/new", 0o600),
		write(c, "lock", "x", create), c.Remove("lock"), c.Mkdir("e"), c.RemoveDirectory("e"),
		c.Link("old", "hard"), c.Symlink("old", "soft"), write(c, "part", "x", create),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	for what, err := range map[string]error{
		"write": write(c, "old", "x", os.O_WRONLY), "truncate on open": write(c, "old", "x", create), "append": write(c, "old", "x", os.O_WRONLY|os.O_APPEND),
		"read and write": write(c, "old", "x", os.O_RDWR), "through a link": write(c, "soft", "x", create), "through another name": write(c, "hard", "x", os.O_WRONLY),
		"truncate": c.Truncate("old", 0), "truncate a hard link": c.Truncate("hard", 0), "remove": c.Remove("old"), "remove a new name": c.Remove("hard"),
		"rename": c.Rename("old", "x"), "rename over": c.PosixRename("part", "old"), "rename a directory": c.PosixRename("d", "dd"), "exchange": c.PosixRename("old", "part"),
		"remove a directory": c.RemoveDirectory("d/empty"), "mode": c.Chmod("old", 0), "times": c.Chtimes("old", time.Now(), time.Now()),
		"exclusive": write(c, "old", "x", create|os.O_EXCL), "link over": c.Link("part", "old"), "symlink over": c.Symlink("part", "old"),
	} {
		if err == nil {
			t.Errorf("%s: nothing was said against it", what)
		}
	}
	for _, name := range []string{"old", "d/old"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != "old" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "d/new")); err != nil || string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
}

// A session says whether it has changed anything, and whether its client left
// in the middle of a file.
func TestSaysWhatCameOfIt(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		do         func(*sftp.Client) error
		changed    bool
		unfinished bool
	}{
		"looks":  {func(c *sftp.Client) error { _, err := c.ReadDir("/"); return err }, false, false},
		"writes": {func(c *sftp.Client) error { return write(c, "a", "text", create) }, true, false},
		"makes":  {func(c *sftp.Client) error { return c.Mkdir("d") }, true, false},
		"leaves": {func(c *sftp.Client) error {
			f, err := c.Create("a")
			if err == nil {
				_, err = f.Write([]byte("half"))
			}
			return err
		}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := net.Pipe()
			type result struct {
				changed bool
				err     error
			}
			served := make(chan result, 1)
			dir := t.TempDir()
			go func() {
				changed, err := Serve(a, dir, Options{Pull: true})
				served <- result{changed, err}
			}()
			c, err := sftp.NewClientPipe(b, b)
			if err != nil {
				t.Fatal(err)
			}
			if err := x.do(c); err != nil {
				t.Fatal(err)
			}
			b.Close()
			got := <-served
			if got.changed != x.changed || errors.Is(got.err, ErrUnfinished) != x.unfinished {
				t.Errorf("changed %v, %v", got.changed, got.err)
			}
		})
	}
}
