package command

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A manager starts a program for a user when a command asks for it, as
// systemd, cron and at do: as a child of its own, in its own control group.
// What it returns is the socket to ask at, and waits for what it has started.
func manager(t *testing.T, uid int, argv ...string) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "manager")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o777); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
			if cmd.Start() == nil {
				go cmd.Wait()
			}
			c.Close()
		}
	}()
	return socket
}

// unlikely is the argument of a sleep that only this test has.
func unlikely() string { return fmt.Sprint(1_000_000 + time.Now().UnixNano()%1_000_000_000) }

// What a service manager starts for a command's user ends with the command, and
// goes on being kept from the addresses.
func TestConfinedStrays(t *testing.T) {
	t.Parallel()
	root(t)
	const games = 5 // a user of every Debian that nothing has
	v4, _, touched := listeners(t)
	length := unlikely()
	w := newWorld(t)
	w.env.Instance = true
	w.tune = func(j *job) { j.blocked = append(j.blocked, v4.Addr()) }
	helper := w.helper()
	w.ok(Config{Argv: []string{helper, "knock", manager(t, games, "sleep", length)}, User: "games"})
	says(t, w.log.String(), "it had left running ended with it: sleep")
	if pids := withArgument(t, length); len(pids) > 0 {
		t.Errorf("still there: %v", pids)
	}
	after := exec.Command(helper, "asks", v4.String(), "", "")
	after.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: games, Gid: games}}
	out, err := after.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "daemon failed") || touched() > 0 {
		t.Errorf("after the command: %s %v, reached %d times", out, err, touched())
	}
}

// Of a user that has other processes only its own are ended, and that is said.
func TestConfinedSparesOthers(t *testing.T) {
	t.Parallel()
	root(t)
	const news = 9
	before, during := unlikely(), unlikely()+"1"
	run := func(length string) *exec.Cmd {
		cmd := exec.Command("sleep", length)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: news, Gid: news}}
		return cmd
	}
	there := run(before)
	if err := there.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { there.Process.Kill(); there.Wait() }()
	w := newWorld(t)
	w.env.Instance = true
	w.ok(Config{Argv: []string{w.helper(), "knock", manager(t, news, "sleep", during)}, User: "news"})
	says(t, w.log.String(), "news has other processes on this machine", "have started for its user meanwhile go on")
	for _, length := range []string{before, during} {
		if pids := withArgument(t, length); len(pids) != 1 {
			t.Errorf("%s: %v", length, pids)
		}
	}
	for _, p := range processes() {
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid)); strings.Contains(string(b), during) {
			syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
}

// What outlasts processes goes with a user that was the command's alone.
func TestConfinedRemains(t *testing.T) {
	t.Parallel()
	root(t)
	const mail = 8
	w := newWorld(t)
	w.env.Instance = true
	n := unlikely()
	names := []string{"/dev/shm/" + n, "/tmp/" + n, "/var/tmp/" + n}
	w.ok(Config{Argv: append([]string{w.helper(), "leaves"}, names...), User: "mail"})
	says(t, w.log.String(), "it had left behind, and with it was removed")
	for _, name := range names {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s is still there", name)
			os.RemoveAll(name)
		}
	}
	if left := remainsOf(mail).ipc; len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Nothing outlasts the command because it was given to another user, or lies in
// a directory of others that everybody may write to.
func TestConfinedRemainsElsewhere(t *testing.T) {
	t.Parallel()
	root(t)
	const uucp = 10
	w := newWorld(t)
	w.env.Instance = true
	dir := filepath.Join("/tmp", unlikely())
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	w.ok(Config{Run: "echo x >" + dir + "/x\n" + w.helper() + " gives\n", User: "uucp"})
	if _, err := os.Lstat(dir + "/x"); err == nil {
		t.Error("the file is still there")
	}
	for _, o := range remainsOf(uucp).ipc {
		t.Errorf("left: %v", o)
		o.remove()
	}
}

// Of root, shared memory that nobody uses goes where the machine ends with the
// run, and files stay.
func TestRemainsOfRoot(t *testing.T) {
	root(t)
	for _, instance := range []bool{true, false} {
		w := newWorld(t)
		w.env.Instance = instance
		name := filepath.Join("/tmp", unlikely())
		defer os.RemoveAll(name)
		was := remainsOf(0)
		w.ok(Config{Argv: []string{w.helper(), "leaves", name}, AWS: instance})
		if _, err := os.Lstat(name); err != nil {
			t.Errorf("a file in /tmp: %v", err)
		}
		says(t, w.log.String(), "perhaps by it, and still there", "semaphores")
		if said := strings.Contains(w.log.String(), "was removed: shared memory"); said != instance {
			t.Errorf("instance %v: %s", instance, &w.log)
		}
		memory := false
		for _, o := range remainsOf(0).ipc {
			memory = memory || o.kind == "m"
			if len(was.ipc) == 0 {
				o.remove()
			}
		}
		if memory == instance && len(was.ipc) == 0 {
			t.Errorf("instance %v: shared memory is there: %v", instance, memory)
		}
	}
}

// Root can leave every control group, its session and its environment: it is
// found by its descent, and that it left is said.
func TestRootLeavesEverything(t *testing.T) { // not parallel: whose orphan would it be?
	root(t)
	length := unlikely()
	at, _ := mountOf("cgroup2", "")
	w := newWorld(t)
	w.ok(Config{Run: "cat >leave <<'E'\necho $$ > " + at + "/cgroup.procs\nfor d in /sys/fs/cgroup/*/; do echo $$ > $d/cgroup.procs; done 2>/dev/null\nexec sleep " + length + "\nE\nenv -i PATH=\"$PATH\" setsid -f sh leave >/dev/null 2>&1 </dev/null\nsleep 0.3"})
	says(t, w.log.String(), "it had left running ended with it: sleep", "had left their control groups")
	if pids := withArgument(t, length); len(pids) > 0 {
		t.Errorf("still there: %v", pids)
	}
}

// Orphans that have ended do not fill the command's process table.
func TestOrphansAreReaped(t *testing.T) {
	t.Parallel()
	root(t)
	w := newWorld(t)
	w.tune = func(j *job) { j.processes = 40 }
	w.ok(Config{Run: "i=0\nwhile [ $i -lt 100 ]; do (sleep 0.01 &) ; sleep 0.02; i=$((i+1)); done"})
}
