package command

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mayfly/runner"
)

// listeners stand for what gives credentials: by IPv4 and IPv6, TCP and UDP, on
// addresses that only this test has.
func listeners(t *testing.T) (v4, v6 netip.AddrPort, touched func() int) {
	t.Helper()
	hits := make(chan struct{}, 1000)
	open := func(addr string) netip.AddrPort {
		l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
		if err != nil {
			t.Fatal(err)
		}
		port := netip.MustParseAddrPort(l.Addr().String())
		u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close(); u.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				hits <- struct{}{}
				fmt.Fprint(c, "AKIDSECRET\n")
				c.Close()
			}
		}()
		go func() {
			b := make([]byte, 100)
			for {
				if _, _, err := u.ReadFrom(b); err != nil {
					return
				}
				hits <- struct{}{}
			}
		}()
		return port
	}
	return open("127.77.0.1"), open("::1"), func() int { return len(hits) }
}

// On an instance a command cannot reach its credentials, whatever it tries.
func TestConfined(t *testing.T) {
	t.Parallel()
	root(t)
	v4, v6, touched := listeners(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "AKIDSECRET\n")
			c.Close()
		}
	}()
	ask := func(w *world) string {
		return w.ok(Config{Argv: []string{w.helper(), "asks", v4.String(), v6.String(), l.Addr().String()}})
	}
	w := newWorld(t)
	w.env.Instance = true
	w.tune = func(j *job) { j.blocked = append(j.blocked, v4.Addr(), v6.Addr()) }
	got := ask(w)
	for _, way := range []string{"tcp4", "tcp6", "mapped", "source route", "udp4", "udp6", "mptcp", "fast open", "user namespace", "raw4", "raw6", "packet", "leave", "daemon"} {
		if !strings.Contains(got, way+" failed") {
			t.Errorf("%s did not fail", way)
		}
	}
	says(t, got, "elsewhere reached")
	if t.Failed() {
		t.Log(got, w.log.String())
	}
	if n := touched(); n > 0 {
		t.Errorf("the addresses were reached %d times", n)
	}

	// The same without being confined reaches them: the test tests something.
	w = newWorld(t)
	got = ask(w)
	says(t, got, "tcp4 reached", "tcp6 reached", "mapped reached", "udp4 reached", "udp6 reached", "daemon reached")
}

// It is nobody, can become nobody else, and sees nothing of mayfly.
func TestConfinedIsUnprivileged(t *testing.T) {
	t.Parallel()
	root(t)
	w := newWorld(t)
	w.env.Instance = true
	got := w.ok(Config{Run: fmt.Sprintf(`
id -u; id -g; id -G; echo $HOME; touch here && ls -ld . | cut -c1-10
grep -E '^(NoNewPrivs|CapEff|CapPrm|CapBnd|CapAmb|Groups)' /proc/self/status
cat /proc/%d/environ >/dev/null 2>&1 || echo no environ
ls /proc/%[1]d/fd >/dev/null 2>&1 || echo no descriptors
kill -0 %[1]d 2>/dev/null || echo no signals
su -c id 2>/dev/null </dev/null || echo no su
for f in /usr/bin/passwd /usr/bin/mount /usr/bin/su; do [ -u $f ] && cp $f ./x 2>/dev/null; done
unshare -r -n true 2>/dev/null; unshare -m true 2>/dev/null || echo no mounts
`, os.Getpid())})
	says(t, got, "60660\n60660\n60660\n", "drwx------", "NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000",
		"no environ", "no descriptors", "no signals", "no su", "no mounts")
}

func TestConfinedUsers(t *testing.T) {
	t.Parallel()
	root(t)
	w := newWorld(t)
	w.env.Instance = true
	if got := w.ok(Config{Run: "id -un; id -G", User: "nobody"}); got != "nobody\n65534\n" {
		t.Errorf("as nobody: %q", got)
	}
	w = newWorld(t)
	w.env.Instance = true
	if got := w.ok(Config{Run: "id -u; echo $HOME; grep NoNewPrivs /proc/self/status", AWS: true}); !strings.HasPrefix(got, "0\n") || !strings.Contains(got, "NoNewPrivs:\t0") {
		t.Errorf("with aws: %q", got)
	}
	// Not on an instance, root may be anybody.
	w = newWorld(t)
	if got := w.ok(Config{Run: "id -un", User: "65534"}); got != "nobody\n" {
		t.Errorf("as 65534: %q", got)
	}
}

// Without control groups, an instance runs nothing unprotected.
// Whoever has the number 0 is root, whatever the name.
func TestConfinedRootByAnotherName(t *testing.T) {
	t.Parallel()
	root(t)
	w := newWorld(t)
	passwd := filepath.Join(w.dir, "passwd")
	if err := os.WriteFile(passwd, []byte("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0:root:/root:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(w.helper(), "account", passwd, "toor")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	says(t, string(out), "toor is root by another name")
}

func TestConfinedOrNotAtAll(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		_, err := newGroup(groupOptions{confined: true, processes: 10, blocked: slices.Repeat(metadataAddresses(), 2000)})
		if err == nil || !strings.Contains(err.Error(), "it was not run") || !strings.Contains(err.Error(), "add aws: true") {
			t.Errorf("a filter that cannot be loaded: %v", err)
		}
		return
	}
	_, err := newGroup(groupOptions{confined: true})
	if err == nil || !strings.Contains(err.Error(), "it was not run") {
		t.Errorf("without root: %v", err)
	}
	_, err = newGroup(groupOptions{required: true, memory: 1 << 30})
	if err == nil || !strings.Contains(err.Error(), "memory cannot be limited here") {
		t.Errorf("without root: %v", err)
	}
}

func TestMissingPackages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.env.Instance = true
	p := w.bad(Config{Run: "true", AWS: true, Packages: []string{"no-such-package-anywhere"}})
	says(t, p.String(), "not installed: no-such-package-anywhere", "correct the names")
}

// Memory is bounded for all processes together, and who was killed for it is
// told so.
func TestMemory(t *testing.T) {
	t.Parallel()
	root(t)
	w := newWorld(t)
	hog := w.helper() + " hog 200000000"
	p := w.bad(Config{Run: "exec " + hog, Memory: 64 << 20})
	says(t, p.String(), "killed by signal SIGKILL (out of memory: it may use 64MiB)", "give it more with memory")
	w = newWorld(t)
	p = w.bad(Config{Run: hog, Memory: 64 << 20})
	says(t, p.String(), "exit status 137 after one of its processes was killed (out of memory: it may use 64MiB)")
	w = newWorld(t)
	w.ok(Config{Run: hog + " || echo went on", Memory: 64 << 20})
	says(t, w.printed(), "went on")
	says(t, w.log.String(), "succeeded all the same")
	w = newWorld(t)
	w.ok(Config{Run: hog, Memory: 512 << 20})
}

// The number of processes is bounded.
func TestForkBomb(t *testing.T) {
	t.Parallel()
	root(t)
	w := newWorld(t)
	w.tune = func(j *job) { j.processes = 60 }
	it := w.run(Config{Run: "i=0\nwhile [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; wait"})
	if it.Outcome != runner.Failed {
		t.Errorf("%s %v", it.Outcome, it.Problem)
	}
	says(t, it.Problem.Output, "fork")
}

// Without control groups the mark finds who has left the process group.
func TestWithoutControlGroups(t *testing.T) {
	t.Parallel()
	length := fmt.Sprintf("%d", 1_000_000+time.Now().UnixNano()%1_000_000_000)
	mark, err := newMark()
	if err != nil {
		t.Fatal(err)
	}
	g := &group{options: groupOptions{mark: mark}, over: make(chan struct{})}
	cmd := shell("(setsid sleep " + length + " &) & trap '' TERM; sleep 0.2; exit 0")
	cmd.Env = append(os.Environ(), mark)
	if err := g.start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if left := g.settle(0); len(left) != 1 || nameOf(left[0]) != "sleep" {
		t.Errorf("left: %v", left)
	}
	if left := g.kill(); len(left) > 0 {
		t.Errorf("stuck: %v", left)
	}
	if pids := withArgument(t, length); len(pids) > 0 {
		t.Errorf("still there: %v", pids)
	}
	if err := g.close(); err != nil {
		t.Error(err)
	}
}

// As root, a process can leave its control group. It is found all the same.
func TestRootLeavesGroup(t *testing.T) {
	t.Parallel()
	root(t)
	length := fmt.Sprintf("%d", 1_000_000+time.Now().UnixNano()%1_000_000_000)
	at, _ := mountOf("cgroup2", "")
	w := newWorld(t)
	w.ok(Config{Run: "setsid sleep " + length + " >/dev/null 2>&1 </dev/null &\necho $! > " + at + "/cgroup.procs"})
	says(t, w.log.String(), "it had left running ended with it: sleep")
	if pids := withArgument(t, length); len(pids) > 0 {
		t.Errorf("still there: %v", pids)
	}
}

// A setuid program makes nobody root there, as sudo and su would.
func TestConfinedGainsNothing(t *testing.T) {
	t.Parallel()
	root(t)
	suid := func(w *world) string {
		program := w.helper()
		if err := os.Chmod(program, 0o755|os.ModeSetuid); err != nil {
			t.Fatal(err)
		}
		return program
	}
	w := newWorld(t)
	w.env.Instance = true
	if got := w.ok(Config{Argv: []string{suid(w), "who"}}); got != "60660 60660\n" {
		t.Errorf("confined: %q", got)
	}
	w = newWorld(t)
	if got := w.ok(Config{Argv: []string{suid(w), "who"}, User: "nobody"}); got != "65534 0\n" {
		t.Errorf("else: %q: the test tests nothing", got)
	}
}

// Directories nested deeper than there are descriptors take neither memory nor
// time, whether they are to be kept or to be removed.
func TestDeepDirectories(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	begun := time.Now()
	it := w.run(Config{Artifacts: "out", Argv: []string{w.helper(), "nest", "out", "8000"}})
	if it.Outcome != runner.Failed || it.Problem == nil {
		t.Fatalf("%s %v", it.Outcome, it.Problem)
	}
	says(t, it.Problem.Reason, "no name below it can be held by the store")
	if took := time.Since(begun); took > 40*time.Second {
		t.Errorf("it took %s", took)
	}
	for _, p := range w.rec.Snapshot().Warnings {
		t.Error(p.String())
	}
}
