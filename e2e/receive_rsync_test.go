//go:build e2e

package e2e

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/jail"
)

// clients are the rsyncs that push: the system's, one from before arguments
// were escaped, and one named by the environment.
func clients(t *testing.T) map[string]string {
	t.Helper()
	c := map[string]string{"current": "rsync", "old": filepath.Join(moduleRoot(t), ".e2e", "rsync-old", "bin", "rsync")}
	if more := os.Getenv("MAYFLY_E2E_RSYNC"); more != "" {
		c["given"] = more
	}
	for name, program := range c {
		out, err := exec.Command(program, "--version").Output()
		if err != nil {
			t.Fatalf("%s: %v: run e2e/install.sh first", program, err)
		}
		first, _, _ := strings.Cut(string(out), "\n")
		t.Logf("%s: %s", name, first)
	}
	return c
}

// stat is a number of rsync's --stats.
func stat(t *testing.T, s said, what string) int {
	t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(what) + `: ([0-9,]+)`).FindStringSubmatch(s.out)
	if m == nil {
		t.Fatalf("no %q: %s", what, s)
	}
	n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestReceiveRsync(t *testing.T) {
	t.Parallel()
	for name, program := range clients(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, nil)
			src := plantTree(t, filepath.Join(t.TempDir(), "src"))
			a := r.hosts["a"]
			push := []string{"-aAXHS", "-z", "--numeric-ids", "--delete", "--force", "--partial", "--bwlimit=200000", "--stats"}
			to := "HOST:/mnt/a/"
			a.rsync(program, append(push, src+"/", to)...).ok(t)
			same(t, src, a.dir)

			cmd := exec.Command("bash", "-c", `set -e; echo changed >plain/7; rm plain/8; mkdir plain/8; echo x >plain/8/new; rm -r deep; chmod 711 empty; head -c 100 /dev/urandom | dd of=big bs=1 seek=1000000 conv=notrunc status=none; ln -sf plain/5 link; chown 77:88 acl; touch -d 2026-02-03 . plain plain/8; touch -h -d 2026-02-03 link`)
			cmd.Dir = src
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			second := a.rsync(program, append(push, src+"/", to)...).ok(t)
			same(t, src, a.dir)
			if n := stat(t, second, "Number of regular files transferred"); n != 3 {
				t.Errorf("%d files were sent again", n)
			}
			if n := stat(t, second, "Literal data"); n > 50_000 {
				t.Errorf("%d bytes were sent literally", n)
			}
			// Nothing changed, nothing sent.
			third := a.rsync(program, append(push, src+"/", "HOST:.")...).ok(t)
			if n := stat(t, third, "Number of regular files transferred"); n != 0 {
				t.Errorf("%d files were sent a third time", n)
			}
			a.remote("done").ok(t)

			// Back again, whole, and by pattern.
			p, back := r.hosts["p"], filepath.Join(t.TempDir(), "back")
			p.rsync(program, append(push, src+"/", "HOST:x/")...).ok(t)
			p.rsync(program, "-aAXHS", "--numeric-ids", "HOST:x/", back).ok(t)
			same(t, src, back)
			some := filepath.Join(t.TempDir(), "some")
			p.rsync(program, "-a", "HOST:x/plain/1*", some+"/").ok(t)
			if files := filesBelow(t, some); len(files) != 11 {
				t.Errorf("the pattern brought %q", files)
			}
			p.rsync(program, "HOST:").ok(t)
			a.rsync(program, "-a", "HOST:plain", some).refused(t, "pull: true")
			a.rsync(program, "HOST:").refused(t, "pull: true")
		})
	}
}

// What people push with, and where to.
func TestReceiveRsyncOptions(t *testing.T) {
	t.Parallel()
	for name, program := range clients(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, nil)
			a := r.hosts["a"]
			src := t.TempDir()
			for _, f := range []string{"one", "dir/two", "dir/three"} {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(src, f)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(src, f), []byte(f), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			there := func(names ...string) {
				t.Helper()
				for _, n := range names {
					if _, err := os.Lstat(filepath.Join(a.dir, n)); err != nil {
						t.Error(err)
					}
				}
			}
			spaces := "HOST:a dir/of it's $own; &c/"
			if name != "current" {
				spaces = `HOST:a\ dir/of\ it\'s\ \$own\;\ \&c/`
				a.rsync(program, "-a", src+"/", "HOST:a dir/b").refused(t, "escape spaces")
			}
			if err := os.Mkdir(filepath.Join(a.dir, "a dir"), 0o755); err != nil {
				t.Fatal(err)
			}
			a.rsync(program, "-a", src+"/", spaces).ok(t)
			there("a dir/of it's $own; &c/dir/two")
			a.rsync(program, "-a", "-s", src+"/", "HOST:with -s; and $more/").ok(t)
			there("with -s; and $more/one")
			a.rsync(program, "-aR", src+"/./dir/two", "HOST:relative").ok(t)
			there("relative/dir/two")
			a.rsync(program, "-a", src+"/", "HOST:~/home").ok(t)
			there("home/one")
			a.rsync(program, "-a", src+"/", "HOST:day1/").ok(t)
			a.rsync(program, "-a", "--link-dest=../day1", src+"/", "HOST:day2/").ok(t)
			a.rsync(program, "-a", "--link-dest=/mnt/a/day1", src+"/", "HOST:day3/").ok(t)
			one, _ := os.Stat(filepath.Join(a.dir, "day1/dir/two"))
			for _, d := range []string{"day2", "day3"} {
				if other, err := os.Stat(filepath.Join(a.dir, d, "dir/two")); err != nil || !os.SameFile(one, other) {
					t.Errorf("%s is no hard link: %v", d, err)
				}
			}
			if err := os.WriteFile(filepath.Join(src, "one"), []byte("other"), 0o644); err != nil {
				t.Fatal(err)
			}
			a.rsync(program, "-ab", "--backup-dir=../was", "--partial-dir=.part", "--delay-updates", "--temp-dir=.", "--inplace", src+"/", "HOST:day1/").refused(t, "")
			a.rsync(program, "-ab", "--backup-dir=../was", "--partial-dir=.part", "--delay-updates", src+"/", "HOST:day1/").ok(t)
			there("was/one")
			a.rsync(program, "-avvn", "-i", "--out-format=%n", "--info=stats2", "--timeout=60", "--checksum", "--max-size=1G", src+"/", "HOST:day1/").ok(t)

			// A device is what a jail has not: said, and the rest is there.
			if err := syscall.Mknod(filepath.Join(src, "null"), syscall.S_IFCHR|0o644, 1<<8|3); err != nil {
				t.Fatal(err)
			}
			s := a.rsync(program, "-a", src+"/", "HOST:devices/")
			if s.code != 23 || !strings.Contains(s.out, "Operation not permitted") && !strings.Contains(s.out, "Permission denied") {
				t.Errorf("a device: %s", s)
			}
			there("devices/dir/two")
			a.rsync(program, "-a", "-M--fake-super", src+"/", "HOST:fake/").ok(t)
			if out, err := exec.Command("getfattr", "-d", filepath.Join(a.dir, "fake/null")).Output(); err != nil || !strings.Contains(string(out), "user.rsync.%stat=\"20644 1,3 0:0\"") {
				t.Errorf("%v, %s", err, out)
			}
		})
	}
}

// Cut off by the server, rsync keeps what it has, and goes on from there.
func TestReceivePartial(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	a := r.hosts["a"]
	src := t.TempDir()
	out, err := exec.Command("sh", "-c", "head -c 30000000 /dev/urandom >"+src+"/big").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ended := make(chan said)
	go func() { ended <- a.rsync("rsync", "-a", "--partial", "--bwlimit=10000", src+"/", "HOST:") }()
	w := &world{t: t}
	w.eventually(20*time.Second, "half of it has come", func() bool {
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		return r.log.in["a"] > 12_000_000
	})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := r.server.Shutdown(ctx, "the window has ended: push again tomorrow, it goes on from here"); err != nil {
		t.Error(err)
	}
	(<-ended).refused(t, "mayfly: the window has ended: push again tomorrow")
	fi, err := os.Stat(filepath.Join(a.dir, "big"))
	if err != nil || fi.Size() < 5_000_000 || fi.Size() >= 30_000_000 {
		t.Fatalf("%v, %v", fi, err)
	}
	next := newReceiver(t, nil).hosts["a"]
	if err := os.Rename(filepath.Join(a.dir, "big"), filepath.Join(next.dir, "big")); err != nil {
		t.Fatal(err)
	}
	s := next.rsync("rsync", "-a", "--partial", "--stats", src+"/", "HOST:").ok(t)
	if n := stat(t, s, "Literal data"); n > 26_000_000 {
		t.Errorf("%d bytes were sent again", n)
	}
	same(t, src, next.dir)
}

func TestReceiveAppendOnly(t *testing.T) {
	t.Parallel()
	for name, program := range clients(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newReceiver(t, nil).hosts["o"]
			src := plantTree(t, filepath.Join(t.TempDir(), "src"))
			o.rsync(program, "-aAXHS", "--numeric-ids", "--partial", "-z", src+"/", "HOST:day1/").ok(t)
			same(t, src, filepath.Join(o.dir, "day1"))
			was := fingerprint(t, filepath.Join(o.dir, "day1"))
			for _, f := range []string{"plain/1", "big", "hard1"} {
				if err := os.WriteFile(filepath.Join(src, f), []byte("ransom"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			os.Remove(filepath.Join(src, "plain/2"))
			for _, args := range [][]string{{}, {"--size-only"}, {"-I"}, {"-c"}, {"--existing"}, {"-W"}} {
				o.rsync(program, append(append([]string{"-aAXH", "--numeric-ids", "-O"}, args...), src+"/", "HOST:day1/")...).ok(t)
			}
			for _, args := range [][]string{{"--delete"}, {"--delete-excluded"}, {"--delete-after"}, {"--force"}, {"--inplace"}, {"--append"}, {"-b"}, {"--backup-dir=x"},
				{"--delay-updates"}, {"--partial-dir=x"}, {"-T", "x"}, {"--delete-missing-args"}, {"-M--delete"}, {"-M--remove-source-files", "-M--sender"}} {
				o.rsync(program, append(append([]string{"-a"}, args...), src+"/", "HOST:day1/")...).refused(t, "mayfly: ")
			}
			o.rsync(program, "-a", "--remove-source-files", "HOST:day1/", t.TempDir()).refused(t, "in this direction")
			if now := fingerprint(t, filepath.Join(o.dir, "day1")); now != was {
				t.Error("something has changed")
			}
			// New files, and days on days, are what it is for.
			o.rsync(program, "-aAXH", "--numeric-ids", "--link-dest=../day1", src+"/", "HOST:day2/").ok(t)
			same(t, src, filepath.Join(o.dir, "day2"))
			one, _ := os.Stat(filepath.Join(o.dir, "day1/plain/9"))
			two, _ := os.Stat(filepath.Join(o.dir, "day2/plain/9"))
			if !os.SameFile(one, two) {
				t.Error("the second day is no hard link of the first")
			}
			if now := fingerprint(t, filepath.Join(o.dir, "day1")); strings.Count(now, "ransom") != strings.Count(was, "ransom") {
				t.Error("something has changed")
			}
			if left := filesBelow(t, filepath.Join(o.dir, ".mayfly-incoming")); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// A client that does not care for --ignore-existing, as one can be written, is
// stock rsync with a server that has none: the kernel keeps the files.
func TestReceiveAppendOnlyHoldsByItself(t *testing.T) {
	t.Parallel()
	dir, src := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, src} {
		for _, f := range []string{"old", "d/old"} {
			if err := os.MkdirAll(filepath.Join(d, "d"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(d, f), []byte(d), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(src, "d/new"), []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "d/extra"), []byte("extra"), 0o644); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	script := filepath.Join(t.TempDir(), "transport")
	if err := os.WriteFile(script, []byte(`#!/usr/bin/python3
import os, socket, sys, threading
s = socket.socket(socket.AF_UNIX); s.connect("`+socket+`")
def up():
    while b := os.read(0, 65536): s.sendall(b)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while b := s.recv(65536): os.write(1, b)
`), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, mode := range [][]string{{}, {"--inplace"}, {"--delete"}, {"--delete", "--force", "-b"}, {"--delay-updates"}, {"--append"}, {"--remove-source-files"}, {"-bI", "--suffix=~"}} {
		client := exec.Command("rsync", append(append([]string{"-aI", "-e", script}, mode...), src+"/", "x:/data/")...)
		ended := make(chan string)
		go func() {
			out, _ := client.CombinedOutput()
			ended <- string(out)
		}()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		f, err := c.(*net.UnixConn).File()
		if err != nil {
			t.Fatal(err)
		}
		argv := append([]string{"/usr/bin/rsync", "--server", "-logDtprIe.iLsfxCIvu", "--temp-dir=" + jail.Scratch}, mode...)
		p, err := jail.Start(jail.Spec{
			Dir: dir, AppendOnly: true, Helper: mayflyBinary(t), Stdin: f, Stdout: f, Stderr: os.Stderr,
			Argv: append(argv, ".", "."),
		})
		f.Close()
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		code, _ := p.Wait()
		t.Logf("%v: status %d, %s", mode, code, <-ended)
		for name, want := range map[string]string{"old": dir, "d/old": dir, "d/extra": "extra"} {
			if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
				t.Errorf("%v: %s: %q, %v", mode, name, b, err)
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "d/new")); err != nil || string(b) != "new" {
		t.Errorf("nothing was added: %q, %v", b, err)
	}
}
