//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// randomTree makes a directory with so many MiB that cannot be compressed, in
// few files.
func (f *far) randomTree(mib int) string {
	f.s.t.Helper()
	dir := filepath.Join(f.dir, "src")
	f.s.sh(`mkdir -p "$1"; for i in $(seq 1 "$2"); do head -c 1048576 /dev/urandom >"$1/$i"; done; head -c 16000000 /dev/urandom >"$1/large"`, dir, fmt.Sprint(mib))
	return dir
}

// begin pushes slowly, and returns once something has come.
func (f *far) begin(r *stationRun, from string) (*exec.Cmd, <-chan said) {
	f.s.t.Helper()
	argv := []string{"rsync", "-e", strings.Join(f.ssh(), " "), "-a", "--partial", "--bwlimit=2000", from + "/", "root@" + f.server + ":."}
	c := f.command(context.Background(), argv...)
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		f.s.t.Fatal(err)
	}
	ended := make(chan said, 1)
	go func() {
		_ = c.Wait()
		ended <- said{argv, out.String(), c.ProcessState.ExitCode()}
	}()
	f.s.t.Cleanup(func() { _ = c.Process.Kill() })
	eventuallyTrue(f.s.t, time.Minute, "something came from "+f.name, func() bool {
		names, err := os.ReadDir("/mnt/" + f.name)
		return err == nil && len(names) > 2
	})
	time.Sleep(time.Second)
	return c, ended
}

// rsyncs are the processes of rsync that mayfly has started, in jails.
func (r *stationRun) rsyncs() []int {
	r.s.t.Helper()
	list := r.someRsyncs()
	if len(list) == 0 {
		r.s.t.Error("mayfly has no rsync at work")
	}
	return list
}

// someRsyncs may be none.
func (r *stationRun) someRsyncs() []int {
	r.s.t.Helper()
	var list []int
	all, err := os.ReadDir("/proc")
	if err != nil {
		r.s.t.Fatal(err)
	}
	for _, e := range all {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || commandOf(pid) != "rsync" {
			continue
		}
		for up := pid; up > 1; up = parentOf(up) {
			if up == r.cmd.Process.Pid {
				list = append(list, pid)
				break
			}
		}
	}
	return list
}

func commandOf(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(b))
}

// parentOf is the fourth field of stat, the second behind the name.
func parentOf(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	up, _ := strconv.Atoi(fields[1])
	return up
}

// whole finds the newest snapshot to hold the source.
func (f *far) whole(src string) {
	f.s.t.Helper()
	list := f.s.ebs.snapshots(f.volume)
	last := list[len(list)-1]
	if last.tags["mayfly:data"] != "complete" {
		f.s.t.Errorf("the newest snapshot's tags: %v", last.tags)
	}
	f.s.ebs.mounted(f.s.ebs.copyOf(last.id), func(dir string) {
		f.s.sh(`diff -r -x lost+found "$1" "$2"`, src, dir)
	})
}

// TestStationCutOff cuts transfers off in every way in which both ends live on:
// what came stays, the next run goes on from it, and the report says so.
func TestStationCutOff(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	s := newStation(t, 96, "a", "b")
	a, b := s.hosts["a"], s.hosts["b"]
	src := a.randomTree(8)
	for _, dir := range []string{filepath.Join(b.dir, "src")} {
		s.sh(`mkdir -p "$1"; echo x >"$1/x"`, dir)
	}

	// The run is stopped in the middle, as by an interruption.
	r := s.start().open()
	b.push("rsync", filepath.Join(b.dir, "src"), ".").ok(t)
	b.done().ok(t)
	_, ended := a.begin(r, src)
	began := time.Now()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := r.ends(); code != 4 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > 75*time.Second {
		t.Errorf("it took %s to stop", took)
	}
	(<-ended).refused(t, "the run is stopped")
	s.free()
	has(t, "the report", r.out.String(), "hosts interrupted.", "1 changed, 1 partial", "rsync push was cut off: the run is stopped", "goes on from what is there", "partial snapshot snap-", "no good snapshot")
	if list := s.ebs.snapshots(a.volume); len(list) != 1 || list[0].tags["mayfly:data"] != "partial" {
		t.Errorf("%+v", list)
	}
	b.whole(filepath.Join(b.dir, "src"))

	// The next run goes on. Its client, then its server side are killed.
	s.newInstance()
	r = s.start().open()
	p := a.push("rsync", src, ".", "--bwlimit=1000000")
	p.ok(t)
	if n := stat(t, p, "Literal data"); n > 23<<20 {
		t.Errorf("%d bytes came again, all there are", n)
	}
	s.sh(`head -c 12000000 /dev/urandom >"$1/large"`, src)
	client, ended := a.begin(r, src)
	s.sh(`pkill -KILL -P "$1" || :`, fmt.Sprint(client.Process.Pid)) // ssh and its other half
	_ = client.Process.Kill()
	<-ended
	eventuallyTrue(t, 90*time.Second, "the server's rsync ends", func() bool { return strings.Count(r.err.String(), "a: rsync push ended") == 2 })
	_, ended = a.begin(r, src)
	for _, pid := range r.rsyncs() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if got := <-ended; got.code == 0 {
		t.Errorf("the client did not see that the server's rsync was killed: %s", got)
	}
	a.push("rsync", src, ".").ok(t)
	a.done().ok(t)
	b.push("rsync", filepath.Join(b.dir, "src"), ".").ok(t)
	b.done().ok(t)
	if code := r.ends(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.free()
	a.whole(src)
}

// TestStationPowerLoss takes the machine away in the middle of a push: by
// killing mayfly, and by going on with what the disk held at a moment.
func TestStationPowerLoss(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	s := newStation(t, 96, "a")
	a := s.hosts["a"]
	src := a.randomTree(8)
	r := s.start().open()
	a.push("rsync", src, ".").ok(t)
	a.done().ok(t)
	if code := r.ends(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	good := s.ebs.snapshots(a.volume)

	for _, how := range []string{"kill -9", "power loss"} {
		s.newInstance()
		s.sh(`head -c 16000000 /dev/urandom >"$1/large"; date >"$1/1"`, src)
		r = s.start().open()
		_, ended := a.begin(r, src)
		if how == "power loss" {
			s.sh(`cp --sparse=always "$1" "$1.lost"`, s.ebs.image(a.volume))
		}
		jailed := r.rsyncs()
		_ = r.cmd.Process.Kill()
		<-r.over
		<-ended
		eventuallyTrue(t, 20*time.Second, "the jail has died with mayfly", func() bool {
			return !slices.ContainsFunc(jailed, func(pid int) bool { return commandOf(pid) == "rsync" })
		})
		// The instance ends: its volumes are let go, whatever the kernel had.
		s.sh(`umount -l /mnt/a`)
		s.m.aws("ec2", "terminate-instances", "--instance-ids", s.instance)
		if s.ebs.state(a.volume).attached != "" {
			s.m.aws("ec2", "detach-volume", "--volume-id", a.volume, "--instance-id", s.instance)
		}
		s.ebs.mu.Lock()
		s.ebs.detach(a.volume)
		s.ebs.mu.Unlock()
		if how == "power loss" {
			s.sh(`mv "$1.lost" "$1"`, s.ebs.image(a.volume))
		}
		if n := len(s.ebs.snapshots(a.volume)); n != len(good) {
			t.Errorf("%s: %d snapshots", how, n)
		}
		s.newInstance()
		if err := os.Remove(filepath.Join(s.m.world.storeDir(), "runs", "lock.json")); err != nil { // it would be stale in 90 s
			t.Fatal(err)
		}
		r = s.start().open()
		a.push("rsync", src, ".").ok(t)
		a.done().ok(t)
		if code := r.ends(); code != 0 {
			t.Errorf("%s: exit code %d", how, code)
		}
		s.free()
		a.whole(src)
		good = s.ebs.snapshots(a.volume)
	}
}

// TestStationVolumes gives some hosts volumes that cannot be used: they are
// told, the report says why, nothing of theirs is changed, and others go on.
func TestStationVolumes(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	s := newStation(t, 32, "a", "foreign", "held", "gone", "full")
	s.window = "1m"
	a, full := s.hosts["a"], s.hosts["full"]
	src := filepath.Join(a.dir, "src")
	s.sh(`mkdir -p "$1"; echo x >"$1/x"`, src)
	foreign := s.ebs.image(s.hosts["foreign"].volume)
	s.sh(`mkfs.ext4 -q "$1"`, foreign)
	before := s.sh(`sha256sum <"$1"`, foreign)
	other := s.m.instanceOf(t, "other")
	s.m.aws("ec2", "attach-volume", "--volume-id", s.hosts["held"].volume, "--instance-id", other, "--device", "/dev/sdf")
	gone := s.hosts["gone"]
	gone.volume = "vol-0123456789abcdef0"

	r := s.start().open()
	a.push("rsync", src, ".").ok(t)
	a.done().ok(t)
	for _, name := range []string{"foreign", "held", "gone"} {
		s.hosts[name].push("rsync", src, ".").refused(t, "the volume of "+name+" cannot be used in this run; the report says why")
	}
	big := full.randomTree(8)
	s.sh(`head -c 20000000 /dev/urandom >"$1/more"`, big)
	p := full.push("rsync", big, ".")
	p.refused(t, "No space left on device")
	full.done().ok(t)
	if code := r.ends(); code != 3 {
		t.Errorf("exit code %d", code)
	}
	said := r.out.String()
	has(t, "the report", said, "5 hosts: 1 changed, 1 partial, 3 failed", "an ext4 file system", "mayfly volume adopt "+s.hosts["foreign"].volume+" --host foreign --uuid",
		"the instance "+other+" has it", "vol-0123456789abcdef0 is not one of the deployment's volumes", "rsync's exit code 11 (a file could not be written)", "modify-volume", "% full")
	if after := s.sh(`sha256sum <"$1"`, foreign); after != before {
		t.Error("the foreign volume has changed")
	}
	if st := s.ebs.state(s.hosts["held"].volume); st.attached != other {
		t.Errorf("the held volume is %+v", st)
	}
	if st := s.ebs.state(s.hosts["foreign"].volume); st.attached != "" {
		t.Errorf("the foreign volume is %+v", st)
	}
	a.whole(src)

	// It is enlarged, and the next run goes on.
	for _, name := range []string{"a", "foreign", "held", "gone"} {
		delete(s.hosts, name)
	}
	if err := os.Truncate(s.ebs.image(full.volume), 96*miB); err != nil {
		t.Fatal(err)
	}
	s.newInstance()
	r = s.start().open()
	if may(t, capSysResource) {
		full.push("rsync", big, ".").ok(t)
	}
	full.done().ok(t)
	r.ends()
	if !may(t, capSysResource) {
		has(t, "the report", r.out.String(), "could not be enlarged")
		return
	}
	has(t, "the report", r.out.String(), "hosts complete.", "was enlarged by")
	s.free()
	full.whole(big)
}

// TestStationCannotLetGo has closing fail: a volume that somebody still uses,
// one that AWS does not detach, a snapshot that is not taken, one that somebody
// has unmounted in mid-run. Each is said, and nothing is pruned.
func TestStationCannotLetGo(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	s := newStation(t, 32, "a", "busy", "stuck", "nosnap", "loose")
	s.keep = "{last: 1}"
	srcs := map[string]string{}
	for name, f := range s.hosts {
		srcs[name] = filepath.Join(f.dir, "src")
		s.sh(`mkdir -p "$1"; date >"$1/x"`, srcs[name])
	}
	push := func(names ...string) {
		t.Helper()
		for _, name := range names {
			f := s.hosts[name]
			s.sh(`date +%N >"$1/x"`, srcs[name])
			f.push("rsync", srcs[name], ".").ok(t)
			f.done().ok(t)
		}
	}
	for range 3 {
		r := s.start().open()
		push("a", "busy", "stuck", "nosnap", "loose")
		if code := r.ends(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		s.newInstance()
		time.Sleep(1100 * time.Millisecond) // moto's snapshots have whole seconds
	}
	for name, f := range s.hosts {
		// The one of this run was pending when the last run pruned.
		if n := len(s.ebs.snapshots(f.volume)); n != 2 {
			t.Errorf("%s: with keep: {last: 1} there are %d snapshots", name, n)
		}
	}

	s.ebs.mu.Lock()
	s.ebs.fault = func(action string, form url.Values) bool {
		return action == "DetachVolume" && form.Get("VolumeId") == s.hosts["stuck"].volume || action == "CreateSnapshot" && form.Get("VolumeId") == s.hosts["nosnap"].volume
	}
	s.ebs.mu.Unlock()
	r := s.start().open()
	s.sh(`umount /mnt/loose`)
	push("busy", "stuck", "nosnap", "loose")
	holder := exec.Command("sh", "-c", "exec sleep 300 9</mnt/busy/x")
	holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = holder.Process.Kill()
		_ = holder.Wait()
		s.sh(`umount /mnt/busy || umount -l /mnt/busy`)
	}()
	eventuallyTrue(t, 10*time.Second, "it is held open", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d/fd/9", holder.Process.Pid))
		return err == nil
	})
	push("a") // the last one, which closes the window
	if code := r.ends(); code != 3 {
		t.Errorf("exit code %d", code)
	}
	has(t, "the report", r.out.String(), "5 hosts: 1 changed, 2 partial, 2 failed", "unmount the volume of busy", "sleep", "somebody has unmounted it from /mnt/loose", "detach the volume of stuck", "take a snapshot of the volume of nosnap")
	for name, want := range map[string]int{"a": 2, "busy": 2, "stuck": 2, "nosnap": 2, "loose": 2} {
		if n := len(s.ebs.snapshots(s.hosts[name].volume)); n != want {
			t.Errorf("%s: %d snapshots, want %d", name, n, want)
		}
	}
}
