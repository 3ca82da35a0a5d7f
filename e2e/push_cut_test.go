//go:build e2e

package e2e

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/gocryptfs"
)

// A cutter passes connections on, and cuts each after so many bytes as next
// says; a negative number is never.
func cutter(t *testing.T, port string, next func() int64) (address string) {
	t.Helper()
	return cutterAt(t, "127.0.0.1:0", port, next)
}

// cutterAt is a cutter that listens at an address.
func cutterAt(t *testing.T, at, port string, next func() int64) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				in.Close()
				continue
			}
			n := next()
			all.Go(func() {
				_, _ = io.Copy(in, out)
				in.Close()
				out.Close()
			})
			all.Go(func() {
				if n < 0 {
					_, _ = io.Copy(out, in)
				} else {
					_, _ = io.CopyN(out, in, n)
					_ = in.(*net.TCPConn).SetLinger(0)
				}
				in.Close()
				out.Close()
			})
		}
	})
	return l.Addr().String()
}

// The link is cut at random moments, again and again: each push brings all of it
// in the end, plain and encrypted, and meanwhile the receiver has each file as it
// was or as it is.
func TestPushCutOff(t *testing.T) {
	t.Parallel()
	cuts := 12
	if os.Getenv("MAYFLY_E2E_ALL") != "" {
		cuts = 100
	}
	r := newReceiver(t, nil)
	t.Run("plain", func(t *testing.T) { pushCutOff(t, r, "a", cuts/2, nil) })
	key := newCryptKey(t)
	t.Run("encrypted", func(t *testing.T) { pushCutOff(t, r, "b", cuts-cuts/2, &key) })
}

func pushCutOff(t *testing.T, r *receiver, name string, cuts int, key *gocryptfs.Key) {
	t.Parallel()
	h := newPushHost(t, r, name, "")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	big := filepath.Join(h.source, "big")
	var was, is [sha256.Size]byte
	done := 0
	look := func() {
		if key != nil {
			return
		}
		b, err := os.ReadFile(filepath.Join(h.dir, big))
		if sum := sha256.Sum256(b); err != nil || sum != was && sum != is {
			t.Errorf("after a cut the receiver has neither state of a file: %d bytes, %v", len(b), err)
		}
	}
	port := cutter(t, h.port, func() int64 {
		look()
		if done++; done > cuts {
			return -1
		}
		return random.Int64N(1_200_000)
	})
	crypt := ""
	if key != nil {
		crypt = fmt.Sprintf("\nencrypt: {gocryptfs: {config: %s, password_file: %s}}", key.Config, key.PasswordFile)
	}
	b, err := os.ReadFile(big)
	if err != nil {
		t.Fatal(err)
	}
	is = sha256.Sum256(b)
	h.config(crypt)
	h.push().ok(t)
	h.config(fmt.Sprintf("port: %s\nwait: 5m%s", strings.TrimPrefix(port, "127.0.0.1:"), crypt))
	rounds := 0
	for ; done < cuts; rounds++ {
		b := make([]byte, 3_000_000)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		was, is = is, sha256.Sum256(b)
		if err := os.WriteFile(big, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(big, time.Time{}, time.Unix(1800000000+int64(rounds), 0)); err != nil {
			t.Fatal(err)
		}
		if s := h.push("--json"); s.code != 0 || !strings.Contains(s.out, `"verdict":"complete"`) || !strings.Contains(s.out, `"done":true`) {
			t.Fatalf("after %d cuts: %s", done, s)
		}
		h.clean()
		if key == nil {
			same(t, h.source, filepath.Join(h.dir, h.source))
			continue
		}
		v, err := gocryptfs.Forward(t.Context(), *key, h.dir, filepath.Join(t.TempDir(), "work"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"big", "sparse", "plain/7"} {
			a, err := os.ReadFile(filepath.Join(h.source, name))
			b, err2 := os.ReadFile(filepath.Join(v.Dir, h.source, name))
			if err != nil || err2 != nil || string(a) != string(b) {
				t.Errorf("%s: %v, %v", name, err, err2)
			}
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d cuts in %d pushes", cuts, rounds)
}

// The first source takes longer than a push waits for a window, and the link is
// cut before the second one has begun: it goes on all the same.
func TestPushCutBetween(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	h.source = filepath.Join(h.home, "first")
	second := filepath.Join(h.home, "second")
	for name, n := range map[string]int{h.source: 3_500_000, second: 1} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(name, "x"), make([]byte, n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Begin, the first, the second, again, done; and begin again, if what the cut
	// says could be that of a window which has closed.
	var connections atomic.Int32
	port := cutter(t, h.port, func() int64 {
		if connections.Add(1) == 3 {
			return 0
		}
		return -1
	})
	h.config(fmt.Sprintf("port: %s\nwait: 4s\nbwlimit: 600K\nsources: [%s, %s]", strings.TrimPrefix(port, "127.0.0.1:"), h.source, second))
	began := time.Now()
	h.push().ok(t)
	if took := time.Since(began); took < 5*time.Second || connections.Load() < 5 {
		t.Errorf("it took %s and %d connections, which shows nothing", took, connections.Load())
	}
	same(t, h.source, filepath.Join(h.dir, h.source))
	h.clean()
}

// A source whose disk goes while a push waits for the window is not sent, and
// what there is of it stays.
func TestPushDiskGone(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	h.push().ok(t)
	there := filepath.Join(h.dir, h.source)
	was := fingerprint(t, there)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	h.config("wait: 1m\nport: " + strings.TrimPrefix(at, "127.0.0.1:"))
	c := h.command()
	out, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	c.Stdout = &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if !strings.Contains(line, "the window is not open") {
		t.Fatalf("it says %q", line)
	}
	if err := os.Rename(h.source, h.source+" gone"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(h.source, 0o755); err != nil {
		t.Fatal(err)
	}
	cutterAt(t, at, h.port, func() int64 { return -1 })
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != 1 || !strings.Contains(said.String(), h.source+" is empty") {
		t.Errorf("exit code %d: %s", code, &said)
	}
	if fingerprint(t, there) != was {
		t.Error("the receiver has something else")
	}
	if !strings.HasSuffix(r.log.String(), "a is done in part") {
		t.Error("the receiver was not told")
	}
	h.clean()
}

// gocryptfs is killed while its view is sent: the push has failed, says so, and
// nothing is deleted at the receiver.
func TestPushCryptKilled(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	key := newCryptKey(t)
	crypt := fmt.Sprintf("encrypt: {gocryptfs: {config: %s, password_file: %s}}\n", key.Config, key.PasswordFile)
	h.config(crypt)
	h.push().ok(t)
	names := func() string {
		out, err := exec.Command("find", h.dir, "-name", ".rsync-partial", "-prune", "-o", "-print").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	there := names()
	if out, err := exec.Command("dd", "if=/dev/urandom", "of="+filepath.Join(h.source, "zz"), "bs=1M", "count=8", "status=none").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h.config(crypt + "bwlimit: 500K")
	c, out := h.sending(300_000)
	if pids := children(c.Process.Pid, "gocryptfs"); len(pids) != 1 || syscall.Kill(pids[0], syscall.SIGKILL) != nil {
		t.Fatalf("it runs gocryptfs as %v", pids)
	}
	began := time.Now()
	_ = c.Wait()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it went on for %s", took)
	}
	if code := c.ProcessState.ExitCode(); code != 1 || !strings.Contains(out.String(), "gocryptfs has ended") {
		t.Errorf("exit code %d: %s", code, out)
	}
	h.clean()
	if names() != there {
		t.Errorf("something was deleted, or came: %s", names())
	}
	h.config(crypt)
	if err := os.Remove(filepath.Join(h.source, "zz")); err != nil {
		t.Fatal(err)
	}
	h.push().ok(t)
	if names() != there {
		t.Errorf("it is not what it was: %s", names())
	}
}

// sending starts a push, and returns when so many bytes of it have come.
func (h *pushHost) sending(bytes int64) (*exec.Cmd, *strings.Builder) {
	h.t.Helper()
	before := h.log.bytes(h.name)
	c, out := h.command(), new(strings.Builder)
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	eventuallyTrue(h.t, 30*time.Second, "something is sent", func() bool { return h.log.bytes(h.name) >= before+bytes })
	return c, out
}

// SIGTERM ends a push in good order, with exit code 4; SIGKILL leaves no mount;
// two at once do not run; and the next one brings all.
func TestPushStopped(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	key := newCryptKey(t)
	crypt := fmt.Sprintf("encrypt: {gocryptfs: {config: %s, password_file: %s}}\n", key.Config, key.PasswordFile)
	h.config(crypt + "bwlimit: 500K")
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		c, out := h.sending(100_000)
		if s := h.push(); s.code != 2 || !strings.Contains(s.out, "is running already on this machine") {
			t.Errorf("two at once: %s", s)
		}
		began := time.Now()
		if err := c.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		if code := c.ProcessState.ExitCode(); signal != syscall.SIGKILL && (code != 4 || !strings.Contains(out.String(), "The next push goes on")) {
			t.Errorf("%s: exit code %d: %s", signal, code, out)
		}
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("%s: it took %s", signal, took)
		}
		if signal == syscall.SIGKILL {
			for end := time.Now().Add(15 * time.Second); mounted(t, filepath.Join(h.home, "work", "hosts-a", "crypt", "view")); time.Sleep(50 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("killed, it has left its view mounted")
				}
			}
			continue
		}
		h.clean()
	}
	// So early that gocryptfs is not there yet.
	for _, after := range []time.Duration{0, 200, 500} {
		_ = os.Remove(filepath.Join(h.home, "work", "hosts-a", "known_hosts")) // of the one that was killed
		c := h.command()
		var out strings.Builder
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if _, err := os.Lstat(filepath.Join(h.home, "work", "hosts-a", "known_hosts")); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("it does not begin")
			}
		}
		time.Sleep(after * time.Millisecond)
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		if code := c.ProcessState.ExitCode(); code != 4 {
			t.Errorf("after %d ms: exit code %d: %s", after, code, &out)
		}
		h.clean()
	}
	h.config(crypt)
	h.push().ok(t)
	h.clean()
}

// The recipe for rclone's crypt, over SFTP: a backup of which the receiver sees
// neither names nor contents, and its restore.
func TestPushRcloneCrypt(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	p := r.hosts["p"]
	src, back := plantTree(t, filepath.Join(t.TempDir(), "src")), t.TempDir()
	config := filepath.Join(t.TempDir(), "rclone.conf")
	obscured := p.run("rclone", "obscure", "correct horse").ok(t).out
	text := fmt.Sprintf("[backup]\ntype = sftp\nhost = 127.0.0.1\nport = %s\nuser = p\nkey_file = %s\nknown_hosts_file = %s\nshell_type = none\n\n[secret]\ntype = crypt\nremote = backup:rclone\npassword = %s\n",
		p.port, p.key, filepath.Join(r.dir, "known"), strings.TrimSpace(obscured))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rclone := func(args ...string) said {
		return p.run(append([]string{"rclone", "--config", config, "--retries", "1", "--skip-links"}, args...)...)
	}
	rclone("sync", filepath.Join(src, "plain"), "secret:plain").ok(t)
	if again := rclone("sync", "-v", filepath.Join(src, "plain"), "secret:plain").ok(t); strings.Contains(again.out, ": Copied") {
		t.Errorf("files were sent again: %s", again)
	}
	all := p.run("sh", "-c", "cd "+p.dir+" && find . && find . -type f -print0 | xargs -0 cat").ok(t).out
	for _, secret := range []string{"plain", "file 1"} {
		if strings.Contains(all, secret) {
			t.Errorf("the receiver has %q", secret)
		}
	}
	rclone("copy", "secret:plain", back).ok(t)
	rclone("check", "--download", filepath.Join(src, "plain"), back).ok(t)
}

// What a receiver is told: a dry run is nothing, a push of which one source is
// partial is partial, a disk that goes while another source is sent takes nothing
// with it, and a view in which all is excluded empties nothing.
func TestPushIsHonest(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	wrote := func() int {
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		n := 0
		for _, s := range r.log.ended {
			if s.Wrote {
				n++
			}
		}
		return n
	}
	h.push("-n").ok(t)
	if wrote() != 0 || strings.Contains(r.log.String(), "promises") {
		t.Errorf("a dry run has written: %s", r.log)
	}

	disk := filepath.Join(h.home, "disk")
	p := h.run("sh", "-ec", `mkdir "$1" && mount -t tmpfs none "$1" && for i in 1 2 3 4 5; do echo x >"$1/$i"; done`, "-", disk)
	p.ok(t)
	t.Cleanup(func() { _ = h.run("umount", "-l", disk) })
	h.config("sources: [" + h.source + ", " + disk + "]")
	h.push().ok(t)
	log := r.log.String()
	if !strings.Contains(log, "a promises") || !strings.HasSuffix(strings.TrimSpace(log), "a is done") {
		t.Errorf("%s", log)
	}

	// Too many deletions in the first, all well in the second.
	p = h.run("sh", "-ec", `rm "$1"/plain/1 "$1"/plain/2 "$1"/plain/4`, "-", h.source)
	p.ok(t)
	h.config("max_delete: 1\nsources: [" + h.source + ", " + disk + "]")
	if s := h.push(); s.code != 3 || !strings.HasSuffix(strings.TrimSpace(r.log.String()), "a is done in part") {
		t.Errorf("%s\n%s", s, r.log)
	}

	// The second's disk goes while the first is sent.
	p = h.run("sh", "-ec", `head -c 2000000 /dev/urandom >"$1/more"`, "-", h.source)
	p.ok(t)
	h.config("bwlimit: 1M\nsources: [" + h.source + ", " + disk + "]")
	c, out := h.sending(100_000)
	h.run("umount", disk).ok(t)
	_ = c.Wait()
	left, _ := os.ReadDir(filepath.Join(h.dir, disk))
	if code := c.ProcessState.ExitCode(); code != 1 || len(left) != 5 || !strings.Contains(out.String(), disk+" is empty") || !strings.HasSuffix(strings.TrimSpace(r.log.String()), "a is done in part") {
		t.Errorf("exit code %d, %d files are left: %s\n%s", code, len(left), out, r.log)
	}

	// Everything is excluded, which a view shows as an empty directory.
	key := newCryptKey(t)
	crypt := fmt.Sprintf("encrypt: {gocryptfs: {config: %s, password_file: %s}}\n", key.Config, key.PasswordFile)
	h.config(crypt)
	h.push().ok(t)
	h.config(crypt + "sources: [{path: " + h.source + ", exclude: ['*']}]")
	if s := h.push(); s.code != 1 || !strings.Contains(s.out, "everything in "+h.source+" is excluded") {
		t.Errorf("all excluded: %s", s)
	}
	h.clean()
}
