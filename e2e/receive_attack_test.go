//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// canary is what no host may ever see, or change.
const canary = "CANARY-of-another-host"

// A fort is a receiver with something to steal, and a host that goes on
// pushing all the while.
type fort struct {
	*receiver
	secrets []string // files with the canary
	was     string   // how all that is not the attacker's looks
	pushes  chan int
}

func newFort(t *testing.T) *fort {
	t.Helper()
	f := &fort{receiver: newReceiver(t, nil), pushes: make(chan int, 1)}
	f.secrets = []string{filepath.Join(f.dir, "secret"), filepath.Join(f.dir, "volumes", "secret"), filepath.Join(f.hosts["o"].dir, "secret")}
	for _, s := range f.secrets {
		if err := os.WriteFile(s, []byte(canary), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f.was = f.state()
	src := plantTree(t, filepath.Join(t.TempDir(), "src"))
	stop := make(chan struct{})
	b := f.hosts["b"]
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				f.pushes <- n
				return
			default:
			}
			_ = os.WriteFile(filepath.Join(src, "round"), fmt.Append(nil, n), 0o644)
			if s := b.rsync("rsync", "-aAXHc", "--delete", "--numeric-ids", src+"/", "HOST:"); s.code != 0 {
				t.Errorf("another host cannot go on: %s", s)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		close(stop)
		if n := <-f.pushes; n == 0 {
			t.Error("the other host has pushed nothing")
		}
		same(t, src, b.dir)
		if now := f.state(); now != f.was {
			t.Errorf("outside of the attacker's directory something has changed:\n%s\nit was:\n%s", now, f.was)
		}
	})
	return f
}

// state is how everything looks but the directories of the attackers, a and p,
// and of b.
func (f *fort) state() string {
	out, err := exec.Command("bash", "-c", `cd "$1" && find . \( -path ./volumes/a -o -path ./volumes/b -o -path ./volumes/p -o -name cache \) -prune -o -type f -printf '%P %m %U %s %T@\n' -exec sha256sum {} \; | sort; ls -d /data /mnt/* 2>&1`, "-", f.dir).CombinedOutput()
	if err != nil && len(out) == 0 {
		f.t.Fatal(err)
	}
	return string(out)
}

// stolen fails the test if the canary is in a text or below a directory.
func stolen(t *testing.T, what, text, dir string) {
	t.Helper()
	if strings.Contains(text, canary) {
		t.Errorf("%s shows the canary: %s", what, text)
	}
	if out, _ := exec.Command("grep", "-rl", canary, dir).Output(); len(out) > 0 {
		t.Errorf("%s has brought the canary: %s", what, out)
	}
	if out, _ := exec.Command("grep", "-rl", "root:x:0:0", dir).Output(); len(out) > 0 {
		t.Errorf("%s has brought /etc/passwd: %s", what, out)
	}
}

func TestReceiveAttackCommands(t *testing.T) {
	t.Parallel()
	f := newFort(t)
	a := f.hosts["a"]
	for line, want := range map[string]string{
		"cat " + f.secrets[0]: "cat is not run here",
		"rsync --server --sender -vlogDtpre.iLsfxCIvu . ../o/":                 "pull: true",
		"rsync --server --daemon --config=" + f.secrets[0] + " .":              "not allowed",
		"rsync --daemon --config=/dev/stdin":                                   "leave --rsync-path away",
		"rsync --server -vlogDtpre.iLsfxCIvu . ../o/":                          "'..'",
		"rsync --server -vlogDtpre.iLsfxCIvu . " + f.dir:                       "outside",
		"rsync --server -vlogDtpre.iLsfxCIvu . /mnt/a/../o":                    "'..'",
		"rsync --server -vlogDtpKre.iLsfxCIvu . x":                             "follows links",
		"rsync --server -vlogDtpre.iLsfxCIvu --log-file=/data/x . x":           "mayfly's",
		"rsync --server -e'sh -c id' . x":                                      "not allowed",
		"rsync --server -vlogDtpre.iLsfxCIvu --rsh=id . x":                     "not allowed",
		"rsync --server -vlogDtpre.iLsfxCIvu . x; id":                          "only a shell",
		"rsync --server -vlogDtpre.iLsfxCIvu . $(id)":                          "only a shell",
		"rsync --server -vlogDtpre.iLsfxCIvu --link-dest=../../o . x":          "seen from the destination",
		"rsync --server -vlogDtpre.iLsfxCIvu --copy-dest=" + f.dir + " . x":    "outside",
		"rsync --server -vlogDtpre.iLsfxCIvu --files-from=/etc/passwd . x":     "in this direction",
		"rsync --server -vlogDtpre.iLsfxCIvu . " + strings.Repeat("x", 60_000): "bytes",
		"env LD_PRELOAD=/data/x.so rsync --server . x":                         "env is not run here",
		"bash -i": "bash is not run here", "done; id": "done; is not run here",
	} {
		s := a.remote(line)
		s.refused(t, want)
		stolen(t, line, s.out, a.dir)
	}
	// What stock rsync sends of its user's own accord; by -s on standard input,
	// where no command line shows it.
	for _, args := range []struct{ want, words string }{
		{"leave --rsync-path away", "-a|--rsync-path=sudo rsync|SRC|HOST:"},
		{"leave --rsync-path away", "-a|--rsync-path=/data/rsync|SRC|HOST:"},
		{"'..'", "-a|-s|SRC|HOST:../o/"},
		{"outside", "-a|-s|SRC|HOST:" + f.dir + "/"},
		{"follows links", "-aK|-s|SRC|HOST:x/"},
		{"not allowed", "-a|-s|-M--daemon|SRC|HOST:x/"},
		{"not allowed", "-a|-s|-M--rsh=id|SRC|HOST:x/"},
		{"pull: true", "-a|-s|HOST:x/|SRC"},
	} {
		s := a.rsync("rsync", strings.Split(strings.Replace(args.words, "SRC", t.TempDir()+"/", 1), "|")...)
		s.refused(t, args.want)
		stolen(t, args.words, s.out, a.dir)
	}
	s := a.run(append(a.ssh(), "root@127.0.0.1")...)
	s.refused(t, "there is no shell here")
	a.run(append(append(a.ssh("RequestTTY=force"), "root@127.0.0.1"), "id")...).refused(t, "PTY allocation request failed")
	a.run(append(append(a.ssh(), "-s", "root@127.0.0.1"), "netconf")...).refused(t, "")
	a.run(append(append(a.ssh(), "-W", "169.254.169.254:80"), "root@127.0.0.1")...).refused(t, "forward")
	a.run(append(append(a.ssh("ExitOnForwardFailure=yes"), "-N", "-R", "0:127.0.0.1:22"), "root@127.0.0.1")...).refused(t, "orwarding")
	a.run(append(append(a.ssh("ExitOnForwardFailure=yes"), "-N", "-R", "/tmp/x:127.0.0.1:22"), "root@127.0.0.1")...).refused(t, "orwarding")
	a.run(append(append(a.ssh("SetEnv=LD_PRELOAD=/data/x.so"), "-A", "-X", "root@127.0.0.1"), "id")...).refused(t, "is not run here")
	a.run(append(append(a.ssh("PubkeyAuthentication=no"), "root@127.0.0.1"), "done")...).refused(t, "ermission denied")
}

// Links that a host plants in its own directory lead it nowhere.
func TestReceiveAttackLinks(t *testing.T) {
	t.Parallel()
	f := newFort(t)
	p := f.hosts["p"]
	src, back := t.TempDir(), t.TempDir()
	targets := map[string]string{"abs": f.dir, "file": f.secrets[0], "up": "../../..", "one": "..", "etc": "/etc", "proc": "/proc/1/root", "cwd": "/proc/self/cwd/..", "o": "../o", "data": "/data/../.."}
	for name, to := range targets {
		if err := os.Symlink(to, filepath.Join(src, name)); err != nil {
			t.Fatal(err)
		}
	}
	p.rsync("rsync", "-a", src+"/", "HOST:links/").ok(t)
	evil := t.TempDir()
	if err := os.WriteFile(filepath.Join(evil, "secret"), []byte("overwritten"), 0o666); err != nil {
		t.Fatal(err)
	}
	for name := range targets {
		for _, args := range [][]string{{"-rK"}, {"-a", "--inplace", "--delete"}, {"-aR"}} {
			_ = p.rsync("rsync", append(args, evil+"/", "HOST:links/"+name+"/")...)
		}
		for _, args := range [][]string{{"-a"}, {"-rL"}, {"-rk"}, {"-r", "--copy-unsafe-links"}, {"-a", "-M--copy-links"}} {
			paths := []string{"links/" + name + "/", "links/" + name + "/secret", "links/" + name + "/*", "links/" + name + "/o/secret"}
			if args[0] != "-a" { // which the server refuses whatever the path
				paths = paths[:1]
			}
			for _, path := range paths {
				to := filepath.Join(back, "x")
				s := p.rsync("rsync", append(args, "HOST:"+path, to+"/")...)
				stolen(t, strings.Join(args, " ")+" "+path, s.out, back)
				_ = os.RemoveAll(to)
			}
		}
		s := p.sftp(fmt.Sprintf("-get links/%s %s/s\n-get links/%[1]s/secret %s/s\n-get links/%[1]s/o/secret %[2]s/s\n-ls links/%[1]s/\n-put %s links/%[1]s\n-put %[4]s links/%[1]s/new\n-chmod 777 links/%[1]s\n-rename links/%[1]s/secret stolen\n-ln links/%[1]s/secret hard\n-rm links/%[1]s/secret\n", name, back, back, filepath.Join(evil, "secret")))
		stolen(t, "SFTP through "+name, s.out, back)
	}
	s := p.sftp("-ls /etc\n-get /etc/passwd " + back + "/p\n-get ../../../../etc/passwd " + back + "/p\n-get /proc/self/environ " + back + "/p\n-ls /..\n-rename /links ../out\n-ln -s / root\n-ls root/etc\n")
	stolen(t, "SFTP", s.out, back)

	// A race: the destination is a directory and a link in turn.
	stop := make(chan struct{})
	var flips sync.WaitGroup
	flips.Go(func() { // as the host's own second hand; on the volume itself, so that it is as fast as can be
		dir, link := filepath.Join(p.dir, "flip"), filepath.Join(p.dir, "flop")
		_ = os.Mkdir(dir, 0o755)
		_ = os.Symlink(f.dir, link)
		for {
			select {
			case <-stop:
				return
			default:
				exchange(dir, link)
			}
		}
	})
	for range 5 {
		_ = p.rsync("rsync", "-a", "--delete", evil+"/", "HOST:flip/")
		s := p.rsync("rsync", "-rL", "HOST:flip/", back+"/")
		stolen(t, "a race", s.out, back)
		s = p.rsync("rsync", "-r", "HOST:flip/", back+"/")
		stolen(t, "a race", s.out, back)
		s = p.sftp("-get flip/secret " + back + "/raced\n-put " + filepath.Join(evil, "secret") + " flip/secret\n")
		stolen(t, "a race", s.out, t.TempDir())
		_ = os.Remove(filepath.Join(back, "secret"))
		_ = os.Remove(filepath.Join(back, "raced"))
	}
	close(stop)
	flips.Wait()
}

// What hosts send is not always what a client would.
func TestReceiveAttackBytes(t *testing.T) {
	t.Parallel()
	f := newFort(t)
	a := f.hosts["a"]
	for _, what := range []string{"rsync --server -logDtpre.iLsfxCIvu . x", "rsync --server -slogDtpre.iLsfxCIvu . x", "-s sftp"} {
		for _, bytes := range []string{"head -c 200000 /dev/urandom", "head -c 200000 /dev/zero", "printf '\\037\\0\\0\\0\\377\\377\\377\\377'", "printf '\\377\\377\\377\\377\\1'", "true"} {
			words := strings.Fields(what)
			command := strings.Join(a.ssh(), " ") + " root@127.0.0.1 " + what
			if words[0] == "-s" {
				command = strings.Join(a.ssh(), " ") + " -s root@127.0.0.1 sftp"
			}
			_ = a.run("sh", "-c", bytes+" | timeout 20 "+command)
		}
	}
	// Names and trees that hurt.
	src := t.TempDir()
	deep := src
	for range 18 {
		deep = filepath.Join(deep, strings.Repeat("d", 200))
	}
	script := fmt.Sprintf(`mkdir -p %s; cd "$(dirname %[1]s)" && for i in 1 2 3; do mkdir %s; cd %[2]s || exit; done; mkfifo fifo; cd %s; python3 -c '
import os
for n in (b"\xff\xfe", b"a\rb", b"\x1b]0;x\x07", b"%%s%%n", b"..\\..\\x", b"-M--daemon", b" ", b"...", b"a:b", b"\xe2\x80\xae"): open(n, "w").close()
import socket; s = socket.socket(socket.AF_UNIX); s.bind("socket")'; mknod disk b 8 0; mknod mem c 1 1; cp /bin/true suid; chmod 6777 suid; chmod 0 .`, deep, strings.Repeat("e", 200), src)
	if out, err := exec.Command("bash", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if s := a.rsync("rsync", "-a", src+"/", "HOST:odd/"); s.code != 23 {
		t.Error(s)
	}
	if out, _ := exec.Command("find", a.dir, "-type", "b", "-o", "-type", "c").Output(); len(out) > 0 {
		t.Errorf("there are devices: %s", out)
	}
	if fi, err := os.Stat(filepath.Join(a.dir, "odd/suid")); err != nil || fi.Mode()&os.ModeSetuid == 0 {
		t.Errorf("the backup has lost a mode: %v, %v", fi, err)
	}
	a.rsync("rsync", "-a", "--fake-super", "--delete", src+"/", "HOST:odd/") // whatever becomes of it
}

// Many connections, slow ones and dead ones, from an address of their own.
func TestReceiveAttackConnections(t *testing.T) {
	t.Parallel()
	f := newFort(t)
	a, p := f.hosts["a"], f.hosts["p"]
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}, Timeout: time.Second}
	var open []net.Conn
	for i := range 1000 {
		c, err := dialer.Dial("tcp", "127.0.0.1:"+f.port)
		if err != nil {
			t.Fatal(err)
		}
		switch i % 3 {
		case 0:
			io.WriteString(c, "SSH-2.0-")
		case 1:
			io.WriteString(c, "SSH-2.0-x\r\n\x00\x00\x80\x00")
		}
		open = append(open, c)
	}
	a.remote("done").ok(t) // which comes from elsewhere
	for _, c := range open {
		c.Close()
	}
	// With a key: many logins, and many sessions in one.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var logins sync.WaitGroup
	for range 40 {
		logins.Go(func() { a.runWithin(ctx, append(append(a.ssh("ConnectTimeout=5"), "-s", "root@127.0.0.1"), "sftp")...) })
	}
	time.Sleep(2 * time.Second)
	p.remote("done").ok(t)
	logins.Wait()

	// A client that takes nothing, while it reads back.
	if out, err := exec.Command("sh", "-c", "head -c 60000000 /dev/zero >"+filepath.Join(p.dir, "big")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command("rsync", "-a", "-e", strings.Join(p.ssh(), " "), "root@127.0.0.1:big", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGSTOP)
	a.remote("done").ok(t)
	stop, stopped := context.WithTimeout(t.Context(), 20*time.Second)
	defer stopped()
	if err := f.server.Stop(stop, "p", "that is enough"); err != nil {
		t.Error(err)
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
	p.remote("rsync --server -logDtpre.iLsfxCIvu . x").refused(t, "mayfly: that is enough")
}
