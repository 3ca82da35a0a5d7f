//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bombs puts a program in the place of rsync, in this test's own mounts, that
// multiplies itself without end when it is asked for a path with the word, as
// one that was taken over could. It returns the true one.
func (s *station) bombs(word string) (rsync string) {
	s.t.Helper()
	dir := filepath.Join(s.dir, "usr")
	s.sh(`mkdir "$1"; mount -t tmpfs none "$1"; mkdir "$1/up" "$1/work"
		mount -t overlay -o "lowerdir=/usr,upperdir=$1/up,workdir=$1/work" none /usr
		cp /usr/bin/rsync /usr/bin/rsync-true
		printf '%s\n' '#!/bin/sh' 'case "$*" in *'"$2"'*) bomb() { sleep 60 <&0 | bomb | bomb; }; while :; do bomb; done;; esac' 'exec /usr/bin/rsync-true "$@"' >/usr/bin/rsync`, dir, word)
	s.t.Cleanup(func() { s.sh(`umount -l /usr; umount -l "$1"`, dir) })
	return "/usr/bin/rsync-true"
}

// below counts the processes that mayfly has, and those that they have.
func (r *stationRun) below() int {
	all, err := os.ReadDir("/proc")
	if err != nil {
		r.s.t.Fatal(err)
	}
	n := 0
	for _, e := range all {
		pid, err := strconv.Atoi(e.Name())
		for up := pid; err == nil && up > 1; {
			if up = parentOf(up); up == r.cmd.Process.Pid {
				n++
			}
		}
	}
	return n
}

// TestStationAttack has a host with a valid key do to the whole run what it
// can, while another pushes: a program of its own that multiplies itself,
// a thousand connections, a client that takes nothing, and texts that are not
// for people's terminals. The other's push goes on and finishes, and the run
// ends as ever.
func TestStationAttack(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	s := newStation(t, 128, "a", "evil")
	a, evil := s.hosts["a"], s.hosts["evil"]
	evil.options = ", pull: true"
	rsync := s.bombs("explode")
	src := a.randomTree(8)
	evil.randomTree(30)
	r := s.start().open()
	evil.push(rsync, filepath.Join(evil.dir, "src"), "big").ok(t)
	background, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	_, ended := a.begin(r, src) // for 12 s, at 2 MB/s

	// A thousand connections, of which some say something.
	floods := evil.command(background, "python3", "-c", `
import socket, sys, time
kept, refused = [], 0
for i in range(1000):
    c = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
    c.sendall([b"", b"SSH-2.0-", b"SSH-2.0-x\r\n\0\0\x80\0"][i % 3])
    kept.append(c)
print(len(kept), flush=True)
time.sleep(60)`, evil.server, fmt.Sprint(stationPort))
	if err := floods.Start(); err != nil {
		t.Fatal(err)
	}
	// a's address is another one: it is let in meanwhile.
	time.Sleep(3 * time.Second)
	if got := a.run(append(a.ssh(), "root@"+a.server, "what")...); !strings.Contains(got.out, "what is not run here") {
		t.Errorf("another host does not get in during the flood: %s", got)
	}
	_ = floods.Process.Kill()
	_ = floods.Wait()
	// Its own address has had its share.
	eventuallyTrue(t, 20*time.Second, "the flooding address is turned away", func() bool {
		return evil.run(append(evil.ssh(), "root@"+evil.server, "what")...).code == 255
	})
	s.sh(`ip addr add 10.78.0.1/30 dev vh2; ip -n h2 addr flush dev eth0; ip -n h2 addr add 10.78.0.2/30 dev eth0`)
	evil.server = "10.78.0.1"

	// The bomb, and a client that takes nothing of what it reads back.
	own := func(argv ...string) (freeze func()) { // with its ssh
		c := evil.command(background, argv...)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		signal := func(sig syscall.Signal) { _ = syscall.Kill(-c.Process.Pid, sig) }
		t.Cleanup(func() { signal(syscall.SIGKILL); _ = c.Wait() })
		return func() { signal(syscall.SIGSTOP) }
	}
	before := r.below()
	bomb := evil.command(background, rsync, "-e", strings.Join(evil.ssh(), " "), "-a", evil.dir+"/src/", "root@"+evil.server+":explode/")
	bomb.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var told transcript
	bomb.Stdout, bomb.Stderr = &told, &told
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the bomb said %s", told.String())
		}
	})
	if err := bomb.Start(); err != nil {
		t.Fatal(err)
	}
	// The jail's own threads count among its 32, and a may be done by now.
	eventuallyTrue(t, 90*time.Second, "it explodes", func() bool { return r.below() > before+8 })
	time.Sleep(3 * time.Second)
	if n := r.below(); n > 45 { // 32 in one jail, and a's
		t.Errorf("%d processes below mayfly", n)
	}
	_ = syscall.Kill(-bomb.Process.Pid, syscall.SIGKILL)
	_ = bomb.Wait()
	(<-ended).ok(t)
	if got := a.run(append(a.ssh(), "root@"+a.server, "what")...); !strings.Contains(got.out, "what is not run here") {
		t.Errorf("another host does not get in after the bomb: %s", got)
	}
	eventuallyTrue(t, time.Minute, "the bomb's session is over", func() bool { return strings.Count(r.err.String(), "evil: rsync push ended") == 2 })
	// Names and variables for whoever reads the report; LANG is not taken.
	evilName := "x\x1b]0;owned\x07\u202efake"
	evil.run(append(append(evil.ssh(), "-o", "SetEnv=LANG=/data/x LD_PRELOAD=/data/x.so"), "root@"+evil.server, "rsync --server -vlogDtpre.iLsfxCIvu . '"+evilName+"'")...)
	evil.run(append(evil.ssh(), "root@"+evil.server, "\x1b[2J\x1b]0;owned\x07")...)

	freeze := own(rsync, "-a", "-e", strings.Join(evil.ssh(), " "), "root@"+evil.server+":big", filepath.Join(evil.dir, "back"))
	eventuallyTrue(t, 20*time.Second, "it reads back", func() bool { return strings.Contains(r.err.String(), "evil: rsync pull began") })
	freeze()

	// done of one session does not end another's, and closes nothing.
	evil.done().refused(t, "is still running")
	a.push(rsync, src, ".").ok(t)
	a.done().ok(t)
	closing := time.Now()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil { // evil would stay for ever
		t.Fatal(err)
	}
	code := r.ends()
	if took := time.Since(closing); code != 3 && code != 4 || took > 75*time.Second {
		t.Errorf("exit code %d after %s", code, took)
	}
	s.free()
	a.whole(src)
	log := s.sh(`cat "$1"/runs/*/log/*`, s.m.world.storeDir())
	for what, text := range map[string]string{"the report": r.out.String(), "the log": r.err.String(), "the log in the store": log} {
		if i := strings.IndexAny(text, "\x1b\x07\r\u202e"); i >= 0 {
			t.Errorf("%s has control characters: %q", what, text[max(0, i-100):min(len(text), i+50)])
		}
	}
	has(t, "the report", r.out.String(), "1 changed", "rsync push to x?]0;owned??fake ended with", "refusals from")
	has(t, "the log", log, "refused evil at 10.78.0.2: ") // which the flood of strangers does not hide
	if _, err := os.Stat("/mnt/evil/x"); err == nil {
		t.Error("something is left")
	}
}
