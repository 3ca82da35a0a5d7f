//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// init runs mayfly init push for this host, as the user with a number.
func (h *pushHost) init(uid string, args ...string) said {
	h.t.Helper()
	c := exec.Command("setpriv", append([]string{"--reuid=" + uid, "--clear-groups", mayflyBinary(h.t), "init", "push"}, args...)...)
	c.Env = append(os.Environ(), "HOME="+h.home)
	out, err := c.CombinedOutput()
	if c.ProcessState == nil {
		h.t.Fatal(err)
	}
	return said{c.Args, string(out), c.ProcessState.ExitCode()}
}

// What init push writes is a config that pushes, a key that only its owner
// reads, units that systemd takes, and a line for cron that runs.
func TestInitPush(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	dir := filepath.Join(h.home, "new's 100%")
	units := filepath.Join(h.home, "units")
	if err := os.Mkdir(units, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "push.yaml")
	all := []string{"--deployment", "hosts", "--host", "a", "--host-key", h.hostKey(), "--address", "127.0.0.1", "--port", h.port, "--source", h.source}
	got := h.init("0", append(all, "-o", file, "--systemd", units, "--at", "03:07", "--encrypt", "gocryptfs")...).ok(t)
	public, err := os.ReadFile(filepath.Join(dir, "push_ed25519.pub"))
	if err != nil {
		t.Fatal(err)
	}
	has(t, "init", got.out, "Wrote "+file, `keys: ["`+strings.TrimSpace(string(public))+`"]`, "KEEP A COPY", "gocryptfs.conf", "gocryptfs.password", "enable --now mayfly-push.timer", "Next: mayfly push --print -c ")
	for name, mode := range map[string]os.FileMode{"push_ed25519": 0o600, "gocryptfs.password": 0o400} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	service := filepath.Join(units, "mayfly-push.service")
	timer := filepath.Join(units, "mayfly-push.timer")
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", service, timer).CombinedOutput(); err != nil || strings.Contains(string(out), units) {
		t.Errorf("systemd: %v: %s", err, out)
	}
	text, err := os.ReadFile(service)
	if err != nil {
		t.Fatal(err)
	}
	if _, line, _ := strings.Cut(string(text), "ExecStart="); strings.Contains(string(text), "User=") || !strings.Contains(line, `100%%`) {
		t.Errorf("the service:\n%s", text)
	}
	if text, err := os.ReadFile(timer); err != nil || !strings.Contains(string(text), "OnCalendar=*-*-* 03:07:00\n") {
		t.Errorf("the timer: %v\n%s", err, text)
	}

	// All of it again, where something is there already: nothing is changed.
	for _, c := range []struct {
		args []string
		says string
	}{
		{append(all, "-o", file), "exists and is kept: name another file with --output"},
		{append(all, "-o", filepath.Join(dir, "b.yaml"), "--systemd", units), "mayfly-push."},
		{append(all, "-o", filepath.Join(dir, "b.yaml"), "--systemd", filepath.Join(units, "none")), "is no directory"},
		{append(all, "-o", filepath.Join(dir, "b.yaml"), "--at", "24:00"), "write a time of day like 01:05"},
		{append(all, "-o", filepath.Join(dir, "b.yaml"), "--encrypt", "gpg"), "only gocryptfs is known"},
		{append(all, "-o", filepath.Join(dir, "b.yaml"), "--key", file), "read the key in " + file},
		{append(all, "-o", filepath.Join(dir, "b.yaml"), "--host-key", "ssh-ed25519 AAAA"), "host_key"},
		{append(all, "-o", filepath.Join(dir, "b.yaml"), "--source", "relative"), "sources"},
		{all[2:], "what is the receiver's deployment called: add --deployment"},
		{all[:len(all)-2], "what is pushed: add --source"},
	} {
		if got := h.init("0", c.args...); got.code != 2 || !strings.Contains(got.out, c.says) {
			t.Errorf("%s: %s", c.says, got)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "b.yaml")); err == nil {
		t.Error("a config was written in spite of an error")
	}

	// For a user, with the key that the receiver knows: the line for cron pushes.
	if err := os.Chmod(filepath.Dir(h.home), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{h.home, h.key} {
		if err := os.Chown(f, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	own := filepath.Join(h.home, "own.yaml")
	got = h.init("65534", append(all, "-o", own, "--key", h.key, "--at", "00:00")...).ok(t)
	has(t, "init", got.out, "User=nobody\n")
	if err := os.Chown(h.key, 0, 0); err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ +0 0 \* \* \* (.*)$`).FindStringSubmatch(got.out)
	if line == nil {
		t.Fatalf("no line for cron: %s", got)
	}
	c := exec.Command("sh", "-c", line[1])
	c.Env = append(os.Environ(), "HOME="+h.home, "MAYFLY_PUSH_DIR="+filepath.Join(h.home, "work"))
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
	same(t, h.source, filepath.Join(h.dir, h.source))
	h.clean()
}
