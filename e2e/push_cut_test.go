//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// The link is cut at random moments, again and again: one push brings all of it
// in the end, plain and encrypted.
func TestPushCutOff(t *testing.T) {
	t.Parallel()
	cuts := 10
	if os.Getenv("MAYFLY_E2E_ALL") != "" {
		cuts = 100
	}
	r := newReceiver(t, nil)
	h := newPushHost(t, r, "a", "")
	key := newCryptKey(t)
	for i, crypt := range []string{"", fmt.Sprintf("\nencrypt: {gocryptfs: {config: %s, password_file: %s}}", key.Config, key.PasswordFile)} {
		left := cuts / 2
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		port := cutter(t, h.port, func() int64 {
			if left--; left < 0 {
				return -1
			}
			return random.Int64N(3_500_000)
		})
		h.config(fmt.Sprintf("port: %s\nwait: 5m%s", strings.TrimPrefix(port, "127.0.0.1:"), crypt))
		if s := h.push("--json"); s.code != 0 || !strings.Contains(s.out, `"verdict":"complete"`) {
			t.Fatalf("after cuts: %s", s)
		}
		h.clean()
		if left > cuts/2-2 {
			t.Error("nothing was cut")
		}
		if i == 0 {
			same(t, h.source, filepath.Join(h.dir, h.source))
			continue
		}
		v, err := gocryptfs.Forward(t.Context(), key, h.dir, filepath.Join(t.TempDir(), "work"))
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
		before := r.log.bytes("a")
		c := h.command()
		var out strings.Builder
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(30 * time.Second); r.log.bytes("a") < before+100_000; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("nothing is sent: %s", &out)
			}
		}
		if s := h.push(); s.code != 2 || !strings.Contains(s.out, "is running already on this machine") {
			t.Errorf("two at once: %s", s)
		}
		began := time.Now()
		if err := c.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		if code := c.ProcessState.ExitCode(); signal != syscall.SIGKILL && (code != 4 || !strings.Contains(out.String(), "The next push goes on")) {
			t.Errorf("%s: exit code %d: %s", signal, code, &out)
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
	c := h.command()
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	before := r.log.bytes("a")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	eventuallyTrue(t, 30*time.Second, "the first is on its way", func() bool { return r.log.bytes("a") > before+100_000 })
	h.run("umount", disk).ok(t)
	_ = c.Wait()
	left, _ := os.ReadDir(filepath.Join(h.dir, disk))
	if code := c.ProcessState.ExitCode(); code != 1 || len(left) != 5 || !strings.Contains(out.String(), disk+" is empty") || !strings.HasSuffix(strings.TrimSpace(r.log.String()), "a is done in part") {
		t.Errorf("exit code %d, %d files are left: %s\n%s", code, len(left), &out, r.log)
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
