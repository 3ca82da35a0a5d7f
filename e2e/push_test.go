//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/gocryptfs"
)

// A pushHost is a host with mayfly push, and a receiver.
type pushHost struct {
	*pusher
	home   string // its folder, with push.yaml
	source string
}

// newPushHost writes a push.yaml for the host called name; more is added to it.
func newPushHost(t *testing.T, r *receiver, name, more string) *pushHost {
	t.Helper()
	h := &pushHost{pusher: r.hosts[name], home: t.TempDir()}
	h.source = plantTree(t, filepath.Join(h.home, "data", "tree"))
	h.config(more)
	return h
}

func (h *pushHost) hostKey() string {
	b, err := os.ReadFile(filepath.Join(h.receiver.dir, "known"))
	if err != nil {
		h.t.Fatal(err)
	}
	_, key, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	return key
}

// config writes push.yaml; more replaces keys that are there.
func (h *pushHost) config(more string) {
	h.t.Helper()
	lines := []string{}
	for _, l := range []string{
		"deployment: hosts", "host: " + h.name, "host_key: " + h.hostKey(), "key: " + h.key,
		"address: 127.0.0.1", "port: " + h.port, "wait: 30s", "sources: [" + h.source + "]",
	} {
		key, _, _ := strings.Cut(l, ":")
		if !strings.HasPrefix(more, key+":") && !strings.Contains(more, "\n"+key+":") {
			lines = append(lines, l)
		}
	}
	if err := os.WriteFile(filepath.Join(h.home, "push.yaml"), []byte(strings.Join(append(lines, more), "\n")+"\n"), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// command is mayfly push.
func (h *pushHost) command(args ...string) *exec.Cmd {
	c := exec.Command(mayflyBinary(h.t), append([]string{"push", "-c", filepath.Join(h.home, "push.yaml")}, args...)...)
	c.Env = append(os.Environ(), "HOME="+h.home, "MAYFLY_PUSH_DIR="+filepath.Join(h.home, "work"))
	return c
}

func (h *pushHost) push(args ...string) said {
	h.t.Helper()
	c := h.command(args...)
	out, err := c.CombinedOutput()
	if c.ProcessState == nil {
		h.t.Fatal(err)
	}
	return said{c.Args, string(out), c.ProcessState.ExitCode()}
}

// clean fails the test where a push has left something: a mount, a process's
// folder, or anything of ssh's.
func (h *pushHost) clean() {
	h.t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		h.t.Fatal(err)
	}
	if strings.Contains(string(mounts), h.home) {
		h.t.Errorf("something is mounted below %s", h.home)
	}
	if _, err := os.Lstat(filepath.Join(h.home, ".ssh")); err == nil {
		h.t.Error("there is a ~/.ssh")
	}
	left, _ := filepath.Glob(filepath.Join(h.home, "work", "*", "*"))
	for _, l := range left {
		if filepath.Base(l) != "lock" && filepath.Base(l) != "crypt" {
			h.t.Errorf("it has left %s", l)
		}
	}
}

// A tree comes as it is under its whole path, the second time only what is
// another; what is excluded, and what is gone, is not there; the printed script
// does the same.
func TestPush(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	first := h.push().ok(t)
	for _, want := range []string{"Pushed a to hosts", h.source + ": "} {
		if !strings.Contains(first.out, want) {
			t.Errorf("it does not say %q: %s", want, first)
		}
	}
	there := filepath.Join(h.dir, h.source)
	same(t, h.source, there)
	if !strings.Contains(r.log.String(), "a is done") {
		t.Error("it has not said done")
	}
	h.clean()

	// Another state: one file changes, one goes, a folder and files are excluded,
	// and one of them is the source's own name.
	for name, text := range map[string]string{"plain/1": "changed", "cache/x": "x", "plain/cache": "x", "deep/tree/y": "y", "a.tmp": "x", "deep/b.tmp": "x"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(h.source, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(h.source, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(h.source, "big")); err != nil {
		t.Fatal(err)
	}
	h.config(fmt.Sprintf("sources: [{path: %s, exclude: [/cache, tree, '*.tmp']}]", h.source))
	var result struct {
		Verdict string
		Done    bool
		Sources []struct {
			Files, Deleted, Wire int64
			Tries                int
		}
	}
	c := h.command("--json", "-q")
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := json.Unmarshal(out, &result); err != nil || len(result.Sources) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	if s := result.Sources[0]; result.Verdict != "complete" || !result.Done || s.Tries != 1 || s.Deleted != 1 || s.Files != 2 || s.Wire > 100_000 {
		t.Errorf("the second push: %s", out)
	}
	for name, want := range map[string]bool{"plain/1": true, "plain/cache": true, "cache": false, "deep/tree": false, "a.tmp": false, "deep/b.tmp": false, "big": false, "sparse": true} {
		if _, err := os.Lstat(filepath.Join(there, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.script(t, "files transferred: 0")

	h.config(fmt.Sprintf("sources: [{path: %s, to: data}]", h.source))
	if out, err := exec.Command("find", h.source, "-depth", "-exec", "touch", "-h", "-d", "2026-01-02 03:04:05", "{}", "+").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	dry := h.push("-n").ok(t)
	if _, err := os.Lstat(filepath.Join(h.dir, "data")); err == nil || !strings.Contains(dry.out, "plain/1") {
		t.Errorf("a dry run: %s", dry)
	}
	if log := strings.Split(r.log.String(), "\n"); !strings.Contains(log[len(log)-1], `a ends rsync dry run: 0, "" "" ""`) {
		t.Errorf("to the receiver it was %q", log[len(log)-1])
	}
	h.push().ok(t)
	same(t, h.source, filepath.Join(h.dir, "data"))
	h.clean()
	if strings.Contains(r.log.String(), "refused") {
		t.Error("a push looks like an intruder to the receiver")
	}
}

// What the script of docs/hosts.md has sent, mayfly push does not send again.
func TestPushAfterScript(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	top, err := os.MkdirTemp("/", "mayfly-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(top) })
	if err := os.WriteFile(filepath.Join(top, "x"), []byte("x"), 0o640); err != nil {
		t.Fatal(err)
	}
	h.rsync("rsync", "-a", "--numeric-ids", "--delete", "--max-delete=1000", "--partial", top, h.source, "HOST:").ok(t)
	h.config(fmt.Sprintf("sources: [%s, {path: %s, to: tree}]", top, h.source))
	s := h.push("--json").ok(t)
	if n := strings.Count(s.out, `"files":0`); n != 2 {
		t.Errorf("files were sent again: %s", s)
	}
	if list, err := os.ReadDir(h.dir); err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	same(t, h.source, filepath.Join(h.dir, "tree"))
}

// A host that is append_only adds, and replaces and deletes nothing.
func TestPushAppendOnly(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "o", "append_only: true")
	there := filepath.Join(h.dir, h.source)
	if dry := h.push("-n").ok(t); !strings.Contains(dry.out, "plain/1") {
		t.Errorf("a dry run: %s", dry)
	}
	if _, err := os.Lstat(there); err == nil {
		t.Error("a dry run has made something")
	}
	h.push().ok(t)
	for name, text := range map[string]string{"plain/1": "changed", "plain/new": "new"} {
		if err := os.WriteFile(filepath.Join(h.source, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(h.source, "plain", "2")); err != nil {
		t.Fatal(err)
	}
	h.push().ok(t)
	for name, want := range map[string]string{"plain/1": "file 1\n", "plain/2": "file 2\n", "plain/new": "new"} {
		if b, err := os.ReadFile(filepath.Join(there, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	h.clean()
}

// An rsync of 2020 pushes the same, from sources with odd names.
func TestPushOldRsync(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	odd := filepath.Join(h.home, "it's [odd] *", "über")
	if err := os.MkdirAll(filepath.Dir(odd), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(h.source, odd); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(moduleRoot(t), ".e2e", "rsync-old", "bin")
	push := func() said {
		c := h.command("--json")
		c.Env = append(c.Env, "PATH="+old+":"+os.Getenv("PATH"))
		out, _ := c.CombinedOutput()
		return said{c.Args, string(out), c.ProcessState.ExitCode()}.ok(t)
	}
	h.config(fmt.Sprintf("sources: [{path: %q, exclude: [/deep, nothing]}]", odd))
	push()
	if _, err := os.Lstat(filepath.Join(h.dir, odd, "deep")); err == nil {
		t.Error("what was excluded came")
	}
	h.config(fmt.Sprintf("sources: [%q]", odd))
	push()
	same(t, odd, filepath.Join(h.dir, odd))
	if again := push(); !strings.Contains(again.out, `"files":0`) {
		t.Errorf("files were sent again: %s", again)
	}
	h.clean()

	// One that speaks as 2.6.9 does is known by that: it does not tell the
	// receiver what it could not read.
	for _, protocol := range []string{"29", "30"} {
		h.rsync("rsync", "--protocol="+protocol, "-a", filepath.Join(odd, "plain"), "HOST:").ok(t)
		r.log.mu.Lock()
		last := r.log.ended[len(r.log.ended)-1]
		r.log.mu.Unlock()
		if last.Exit != 0 || last.Old != (protocol == "29") {
			t.Errorf("protocol %s: %+v", protocol, last)
		}
	}
}

// script runs what --print prints.
func (h *pushHost) script(t *testing.T, want string) {
	t.Helper()
	out, err := h.command("--print").Output()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("dash", "-s")
	c.Stdin = strings.NewReader(string(out))
	c.Env = append(os.Environ(), "HOME="+h.home, "TMPDIR="+t.TempDir())
	did, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(did), want) {
		t.Errorf("the printed script: %v\n%s\n%s", err, did, out)
	}
	h.clean()
}

// Encrypted, the receiver has neither names nor contents nor a key; the second
// push sends only what changed; and it comes back with the key.
func TestPushEncrypted(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	odd := filepath.Join(h.home, `back\nslash [x]`)
	if err := os.Rename(filepath.Dir(h.source), odd); err != nil {
		t.Fatal(err)
	}
	h.source = filepath.Join(odd, "tree")
	key := gocryptfs.Key{Config: filepath.Join(h.source, "etc-mayfly", "gocryptfs.conf"), PasswordFile: filepath.Join(h.source, "etc-mayfly", "password")}
	if err := os.Mkdir(filepath.Dir(key.Config), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := gocryptfs.Make(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(h.source, "junk"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.source, "a.iso"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.config(fmt.Sprintf("encrypt: {gocryptfs: {config: '%s', password_file: '%s'}}\nsources: [{path: '%s', exclude: [/junk, '*.iso']}]", key.Config, key.PasswordFile, h.source))
	if first := h.push().ok(t); !strings.Contains(first.out, "kept elsewhere") {
		t.Errorf("it does not warn: %s", first)
	}
	h.clean()
	all, err := exec.Command("sh", "-c", "cd "+h.dir+" && find . && find . -type f -print0 | xargs -0 cat").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"plain", "deep", "tree", "file 1", "EncryptedKey", "gocryptfs.conf", "password"} {
		if strings.Contains(string(all), secret) {
			t.Errorf("the receiver has %q", secret)
		}
	}

	f, err := os.OpenFile(filepath.Join(h.source, "big"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("more"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	before := r.log.bytes("a")
	h.push().ok(t)
	if sent := r.log.bytes("a") - before; sent > 200_000 {
		t.Errorf("4 bytes more in 3 MB were sent as %d", sent)
	}
	h.clean()
	h.script(t, "Literal data: 0 bytes")

	back, err := gocryptfs.Forward(t.Context(), key, h.dir, filepath.Join(t.TempDir(), "work"))
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	// Hard links, ACLs and attributes are not seen through gocryptfs.
	list := func(dir string) string {
		out, err := exec.Command("bash", "-c", "cd \"$1\" && find . -mindepth 1 ! -path './etc-mayfly*' ! -path ./junk ! -name '*.iso' ! -name acl ! -name deep -printf '%P|%y %m %U:%G %l %T@\\n' | sort; find . -type f ! -path './etc-mayfly/*' ! -name '*.iso' -print0 | sort -z | xargs -0 sha256sum", "-", dir).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	a, b := list(h.source), list(filepath.Join(back.Dir, h.source))
	if a != b {
		al, bl := strings.Split(a, "\n"), strings.Split(b, "\n")
		for i := 0; i < min(len(al), len(bl)); i++ {
			if al[i] != bl[i] {
				t.Errorf("was  %q\nback %q", al[i], bl[i])
			}
		}
		t.Errorf("%d lines, back %d", len(al), len(bl))
	}
	for _, gone := range []string{"junk", "a.iso", "etc-mayfly/gocryptfs.conf", "etc-mayfly/password"} {
		if _, err := os.Lstat(filepath.Join(back.Dir, h.source, gone)); err == nil {
			t.Errorf("%s was sent", gone)
		}
	}
}

// bytes is how much has come from a host.
func (l *receiverLog) bytes(host string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.in[host]
}

// What is refused, on either side: a clear message and the exit code, nothing
// lost on either side, and nothing left here.
func TestPushRefused(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	h.push().ok(t)
	there := filepath.Join(h.dir, h.source)
	sourceWas, thereWas := fingerprint(t, h.source), fingerprint(t, there)
	empty, many := filepath.Join(h.home, "empty"), filepath.Join(h.home, "many")
	for _, d := range []string{empty, many} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(h.home, "link")
	if err := os.Symlink(h.source, link); err != nil {
		t.Fatal(err)
	}
	other := r.hosts["b"]
	for _, c := range []struct {
		name, more, want string
		code             int
	}{
		{"wrong host key", "host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPrb4qPCmkuMsTSnKHfurwgxiq0MwUFk9Kgb8fio+IoN", "which is not that of hosts, and nothing was sent to it", 1},
		{"a key of nobody", "key: " + newKey(t), "does not know the key in ", 1},
		{"no key", "key: /nowhere/key", "the private key: open /nowhere/key", 2},
		{"closed window", "port: 1\nwait: 3s", "the window is not open, or this machine's address is not in listen.from: connect to host 127.0.0.1 port 1: Connection refused", 1},
		{"no such name", "address: nowhere.invalid\nwait: 2s", "Could not resolve hostname nowhere.invalid", 1},
		{"empty source", "sources: [" + h.source + ", " + empty + "]", empty + " is empty", 2},
		{"missing source", "sources: [" + h.source + ", /nowhere/at/all]", "/nowhere/at/all is not there", 2},
		{"a link", "sources: [" + link + "]", "write where it is, " + h.source, 2},
		{"unmounted source", "sources: [{path: " + h.source + ", mounted: true}]", "nothing is mounted at " + h.source, 2},
		{"no crypt key", "encrypt: {gocryptfs: {config: /nowhere/conf, password_file: /nowhere/password}}", "is not in /nowhere/conf: put the copy back", 2},
		{"bad config", "wait: tomorrow\nsource: [/etc]", "did you mean \"sources\"?", 2},
	} {
		h.config(c.more)
		s := h.push()
		if s.code != c.code || !strings.Contains(s.out, c.want) {
			t.Errorf("%s: exit code %d, want %d and %q: %s", c.name, s.code, c.code, c.want, s)
		}
		if n := len(strings.Split(s.out, "\n")); n > 8 {
			t.Errorf("%s: it says %d lines: %s", c.name, n, s)
		}
		h.clean()
	}
	if fingerprint(t, h.source) != sourceWas || fingerprint(t, there) != thereWas {
		t.Error("something was changed")
	}

	// Too many deletions: some go, the rest stays, and it is said.
	for i := range 20 {
		if err := os.WriteFile(filepath.Join(many, fmt.Sprint(i)), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h.config("sources: [" + many + "]\nmax_delete: 5")
	h.push().ok(t)
	for i := range 15 {
		if err := os.Remove(filepath.Join(many, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	s := h.push()
	left, _ := os.ReadDir(filepath.Join(h.dir, many))
	if s.code != 3 || !strings.Contains(s.out, "more than 5 files are gone here") || len(left) != 15 {
		t.Errorf("too many deletions: %d are left: %s", len(left), s)
	}
	h.clean()

	// A full volume.
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "none", other.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", other.dir).Run() })
	full := &pushHost{pusher: other, home: h.home, source: h.source}
	full.config("")
	if s := full.push(); s.code != 1 || !strings.Contains(s.out, "volume is full") {
		t.Errorf("a full volume: %s", s)
	}
	h.clean()
}

func newKey(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return name
}
