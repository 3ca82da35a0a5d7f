//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStationKills kills mayfly, the server's rsync or the client at any time,
// again and again, from before the window opens until after it has closed. What
// was complete is whole after each, in the newest good snapshot; the next run
// heals; and nothing is attached or mounted in the end.
func TestStationKills(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	rounds := 6
	if os.Getenv("MAYFLY_E2E_ALL") != "" {
		rounds = 60
	}
	s := newStation(t, 64, "a")
	a := s.hosts["a"]
	src := filepath.Join(a.dir, "src")
	s.sh(`mkdir -p "$1"; for i in $(seq 40); do head -c 100000 /dev/urandom >"$1/$i"; done`, src)
	good := filepath.Join(a.dir, "good") // what was complete last
	complete := func() {
		t.Helper()
		s.newInstance()
		r := s.start().open()
		a.push("rsync", src, ".").ok(t)
		a.done().ok(t)
		if code := r.ends(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		s.free()
		a.whole(src)
		s.sh(`rm -rf "$2"; cp -a "$1" "$2"`, src, good)
	}
	complete()
	seed := uint64(time.Now().UnixNano())
	dice := rand.New(rand.NewPCG(seed, 1))
	t.Logf("the seed is %d", seed)
	for round := range rounds {
		s.sh(`for i in $(shuf -i 1-40 -n 3); do head -c 400000 /dev/urandom >"$1/$i"; done; head -c 3000000 /dev/urandom >"$1/large"`, src)
		s.newInstance()
		r := s.start()
		what := []string{"mayfly", "mayfly", "rsync", "client"}[dice.IntN(4)]
		var after time.Duration
		if what == "mayfly" {
			after = time.Duration(dice.Int64N(int64(9 * time.Second)))
		} else {
			r.open()
			after = time.Duration(dice.Int64N(int64(3 * time.Second)))
		}
		stop := make(chan struct{})
		client := make(chan struct{})
		go func() { // the host tries until it has worked, as docs/hosts.md has it
			defer close(client)
			for {
				argv := []string{"rsync", "-e", strings.Join(a.ssh(), " "), "-a", "--delete", "--partial", "--bwlimit=2500", src + "/", "root@" + a.server + ":."}
				c := a.command(context.Background(), argv...)
				c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
				if c.Start() != nil {
					return
				}
				over := make(chan error, 1)
				go func() { over <- c.Wait() }()
				select {
				case err := <-over:
					if err == nil && a.runWithin(context.Background(), append(a.ssh(), "root@"+a.server, "done")...).code == 0 {
						return
					}
				case <-stop:
					_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
					<-over
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(300 * time.Millisecond):
				}
			}
		}()
		select {
		case <-time.After(after):
		case <-r.over:
		}
		title := fmt.Sprintf("round %d: %s after %s", round, what, after.Round(time.Millisecond))
		switch what {
		case "mayfly":
			_ = r.cmd.Process.Kill()
			<-r.over
			close(stop)
			<-client
			s.gone()
		case "rsync":
			for _, pid := range r.someRsyncs() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			r.ends() // the client tried again
			close(stop)
			<-client
		case "client":
			close(stop)
			<-client
			a.push("rsync", src, ".") // which waits for nobody: the killed one's session may last
			_ = r.cmd.Process.Signal(syscall.SIGTERM)
			r.ends()
		}
		if what != "mayfly" {
			s.free()
		}
		// What is counted on is one of the two states, whole.
		list := s.ebs.snapshots(a.volume)
		for i := len(list) - 1; i >= 0; i-- {
			if list[i].tags["mayfly:data"] != "complete" {
				continue
			}
			s.ebs.mounted(s.ebs.copyOf(list[i].id), func(dir string) {
				switch out := s.sh(`if diff -rq -x lost+found "$1" "$3" >/dev/null; then echo is; elif diff -rq -x lost+found "$2" "$3" >/dev/null; then echo was; fi`, src, good, dir); out {
				case "is":
					s.sh(`rm -rf "$2"; cp -a "$1" "$2"`, src, good)
				case "":
					t.Errorf("%s: the newest good snapshot is neither what was nor what is", title)
				}
			})
			break
		}
		if what == "mayfly" || dice.IntN(3) == 0 {
			complete()
		}
		if t.Failed() {
			t.Fatal(title)
		}
	}
	complete()
}

// gone is the end of an instance: its volumes are let go, whatever the kernel
// had, and the lock would be stale in 90 s.
func (s *station) gone() {
	s.t.Helper()
	s.m.aws("ec2", "terminate-instances", "--instance-ids", s.instance)
	for name, f := range s.hosts {
		s.sh(`! mountpoint -q "/mnt/$1" || umount -l "/mnt/$1"`, name)
		if s.ebs.state(f.volume).attached != "" {
			s.m.aws("ec2", "detach-volume", "--volume-id", f.volume, "--instance-id", s.instance)
		}
		s.ebs.mu.Lock()
		s.ebs.detach(f.volume)
		s.ebs.mu.Unlock()
	}
	s.sh(`rm -f "$1/runs/lock.json"`, s.m.world.storeDir())
}
