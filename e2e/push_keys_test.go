//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The private key is never sent, wherever it lies, by the printed script either;
// and what only has its name is.
func TestPushKeepsKey(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	keys := filepath.Join(h.source, "deep", "keys")
	if err := os.MkdirAll(filepath.Join(h.source, "x", "keys"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(h.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{filepath.Join(keys, "push*key"): string(b), filepath.Join(h.source, "x", "keys", "push*key"): "another"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(keys, filepath.Join(h.home, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	kept := func(how, under string) {
		t.Helper()
		if err := exec.Command("grep", "-rqF", strings.Split(string(b), "\n")[2], h.dir).Run(); err == nil {
			t.Errorf("%s: the private key was sent", how)
		}
		if _, err := os.Lstat(filepath.Join(h.dir, under, "x", "keys", "push*key")); err != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
	for _, key := range []string{filepath.Join(keys, "push*key"), filepath.Join(h.home, "elsewhere", "push*key")} {
		for under, sources := range map[string]string{h.source: h.source, "data": "{path: " + h.source + ", to: data}", h.home: h.home} {
			if under == h.home {
				under = h.source
			}
			h.config(fmt.Sprintf("key: %q\nsources: [%s]", key, sources))
			h.push().ok(t)
			kept("push of "+sources, under)
			h.script(t, "files transferred:")
			kept("script of "+sources, under)
		}
	}
	h.clean()
}

// A key that ssh would not use is told before anything is sent, and not as one
// that the receiver does not know.
func TestPushBadKey(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	open, locked := newKey(t), filepath.Join(t.TempDir(), "key")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", locked).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for key, want := range map[string]string{
		open:             "chmod 600 " + open,
		locked:           "has a passphrase",
		h.key + ".pub/x": "not a directory",
		h.home:           "is no file",
	} {
		h.config("key: " + key)
		if s := h.push(); s.code != 2 || !strings.Contains(s.out, want) {
			t.Errorf("%s: %s", want, s)
		}
	}
	broken := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(broken, []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nxxxx\n-----END OPENSSH PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.config("key: " + broken)
	if s := h.push(); s.code != 1 || !strings.Contains(s.out, "ssh cannot use the key in "+broken) {
		t.Errorf("a broken key: %s", s)
	}
	h.clean()
}

// An ordinary user's push, plain and encrypted: what it cannot read is named,
// and the receiver told that not all is there, although another source came
// whole after it.
func TestPushAsUser(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	dir, err := os.MkdirTemp("", "mayfly-user-") // t.TempDir's is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	const nobody = 65534
	for name, text := range map[string]string{"one/a": "a", "one/secret": "s", "two/b": "b", ".config/x": "x"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sh := func(line string, args ...string) {
		t.Helper()
		if out, err := exec.Command("sh", append([]string{"-ec", line, "-"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	sh(`chmod 755 "$1"; mkdir -m 700 "$1/tmp"; cp "$2" "$1/mayfly"; cp "$3" "$1/key"; chown -R 65534:65534 "$1"; chown 0 "$1/one/secret"; chmod 600 "$1/one/secret"`, dir, mayflyBinary(t), h.key)
	h.home, h.key = filepath.Join(dir, ".config", "mayfly"), filepath.Join(dir, "key")
	if err := os.Mkdir(h.home, 0o755); err != nil {
		t.Fatal(err)
	}
	user := func(args ...string) said {
		t.Helper()
		c := exec.Command(filepath.Join(dir, "mayfly"), args...)
		c.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + filepath.Join(dir, "tmp")}
		c.Dir = dir
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, _ := c.CombinedOutput()
		return said{c.Args, string(out), c.ProcessState.ExitCode()}
	}
	sources := fmt.Sprintf("sources: [%s, %s]\n", filepath.Join(dir, "one"), filepath.Join(dir, "two"))
	h.config(sources)
	s := user("push") // finds ~/.config/mayfly/push.yaml
	if s.code != 3 || !strings.Contains(s.out, "some files could not be sent") || !strings.Contains(s.out, "one/secret") || !strings.Contains(s.out, "in part: see above") {
		t.Errorf("with a file that it cannot read: %s", s)
	}
	if log := r.log.String(); !strings.HasSuffix(log, "a is done in part") {
		t.Errorf("the receiver was told otherwise: %s", log)
	}
	for name, want := range map[string]bool{"one/a": true, "one/secret": false, "two/b": true} {
		if _, err := os.Lstat(filepath.Join(h.dir, dir, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	sh(`rm "$1/one/secret"`, dir)
	if s := user("push", "-q"); s.code != 0 || s.out != "" {
		t.Errorf("the next push: %s", s)
	}
	if log := r.log.String(); !strings.HasSuffix(log, "a is done") {
		t.Errorf("the receiver was not told: %s", log)
	}

	key := newCryptKey(t)
	sh(`cp "$2" "$1/conf"; cp "$3" "$1/password"; chown 65534 "$1/conf" "$1/password"`, dir, key.Config, key.PasswordFile)
	h.config(sources + fmt.Sprintf("encrypt: {gocryptfs: {config: %s, password_file: %s}}", filepath.Join(dir, "conf"), filepath.Join(dir, "password")))
	user("push").ok(t)
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), "mayfly-push-65534") || strings.Contains(string(mounts), dir) {
		t.Errorf("something is mounted, %v: %s", err, mounts)
	}
	if st, err := os.Stat(filepath.Join(dir, "tmp", "mayfly-push-65534")); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("its folder: %v, %v", st, err)
	}
}
