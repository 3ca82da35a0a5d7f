package jail

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if IsHelper() {
		os.Exit(Helper(func(task []byte) error {
			_, err := fmt.Println("served " + string(task))
			return err
		}))
	}
	if len(os.Args) == 3 && os.Args[1] == "parent" { // see TestDiesWithItsParent
		p, err := Start(Spec{Dir: os.Args[2], Argv: []string{"/bin/sleep", "60"}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
		fmt.Println(err)
		p.Wait()
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == "stubborn" { // see TestTerminate
		os.Exit(stubborn(os.Args[2]))
	}
	os.Exit(m.Run())
}

// stubborn is a program, and as "parent" one with a child, that does something
// more when it is sent SIGTERM. Its name among the files says that it is ready.
func stubborn(name string) int {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	if name == "parent" {
		child := exec.Command("/proc/self/exe", "stubborn", "child")
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stdout // there is no /dev/null
		if err := child.Start(); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		fmt.Println(err)
		return 1
	}
	<-end
	if name == "parent" {
		fmt.Println("parent gone")
		return 20
	}
	time.Sleep(300 * time.Millisecond)
	fmt.Println("child saved")
	return 0
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("MAYFLY_NO_SKIP") != "" {
		t.Fatal("a jail needs root")
	}
	if os.Geteuid() != 0 {
		t.Skip("a jail needs root")
	}
}

// start starts s with pipes; out is all that it prints.
func start(t *testing.T, s Spec) (p *Process, out func() string) {
	t.Helper()
	needRoot(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	s.Stdin, s.Stdout, s.Stderr = null, w, w
	p, err = Start(s)
	w.Close()
	null.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(); p.Wait() })
	read := make(chan string)
	go func() {
		var b bytes.Buffer
		io.Copy(&b, r)
		r.Close()
		read <- b.String()
	}()
	return p, func() string { p.Wait(); return <-read }
}

// sh is what a shell says in a jail on dir.
func sh(t *testing.T, s Spec, script string) (string, int) {
	t.Helper()
	s.Argv = []string{"/bin/sh", "-c", script}
	p, out := start(t, s)
	said := out()
	code, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return said, code
}

func says(t *testing.T, said string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(said, l) {
			t.Errorf("it did not say %q:\n%s", l, said)
		}
	}
}

func TestSeesOneDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(filepath.Dir(dir), "other")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	said, code := sh(t, Spec{Dir: dir}, `
pwd; echo root: $(ls -A /); echo data: $(ls -A /data); id -u; hostname; echo env: $(env | cut -d= -f1 | sort)
ls `+other+` || echo no other
ls -d /etc /home /root /sys /dev /tmp || echo nothing else
touch /x || echo root read-only; touch /usr/x || echo usr read-only
echo pids: $(ls /proc | grep -c '^[0-9]'); ls /proc | grep -v '^[0-9]'
ls /proc/1/root/ /proc/1/fd/ || echo nothing of the first
cat /proc/net/dev; cat /proc/self/net/dev | grep -c : 
grep -E '^(NoNewPrivs|Seccomp:|Cap)' /proc/self/status
cp /usr/bin/true ./true; ./true || echo no execution
ulimit -c`)
	if code != 0 {
		t.Errorf("exit status %d", code)
	}
	says(t, said, "/data\n", "data: mine\n", "\n0\n", "mayfly\n", "env: HOME LC_ALL PATH PWD\n", "no other", "nothing else", "root read-only", "usr read-only", "nothing of the first",
		"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t000000000000001b", "CapBnd:\t000000000000001b", "CapPrm:\t000000000000001b", "CapInh:\t0000000000000000", "CapAmb:\t0000000000000000", "no execution")
	if strings.Contains(said, "sysrq") || strings.Contains(said, "\nsys\n") {
		t.Errorf("/proc holds more than processes:\n%s", said)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left in the directory: %v", left)
	}
}

// What root without a jail can do to a machine.
func TestCannotLeave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("SECRET"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	said, _ := sh(t, Spec{Dir: dir}, `
cat link `+secret+` /proc/1/root`+secret+` /proc/1/cwd/../`+secret+` ../../../../`+secret+` 2>&1 | grep SECRET && echo LEAK
try() { "$@"  && echo "LEAK $*"; }
try mknod sda b 8 0; try mknod null c 1 3; try mknod /data/mem c 1 1
try mount -t tmpfs x /data; try umount /proc; try mount -o remount,rw /usr; try chroot /data /bin/true
try unshare -m true; try unshare -U true; try unshare -r true; try nsenter -t 1 -m true
kill -9 1 # which the kernel keeps from a first process
try sh -c 'echo b > /proc/sysrq-trigger'; try sh -c 'echo x > /proc/sys/kernel/core_pattern'; try sh -c 'echo 1 > /proc/self/oom_score_adj'
try hostname other; try date -s 2001-01-01; try dmesg; try setpriv --reuid 1 true; try nice -n -5 chrt -f 1 true
try python3 -c 'import socket; socket.socket()'
try python3 -c 'import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)'
try python3 -c 'import ctypes,sys; l=ctypes.CDLL(None); sys.exit(0 if l.ptrace(16,1,0,0)==0 else 1)'
try python3 -c 'import ctypes,sys; l=ctypes.CDLL(None); sys.exit(0 if l.syscall(56,0x10000000|17,0,0,0,0)>=0 else 1)'
mkfifo f && echo fifo; touch a && chown 1234:5678 a && chmod 6755 a && ln a b; ls -ln a; ln -s x y; touch a
echo first to go: $(cat /proc/self/oom_score_adj)
echo end`)
	says(t, said, "fifo\n", "-rwsr-sr-x 2 1234 5678", "first to go: 800", "end\n")
	if strings.Contains(said, "LEAK") {
		t.Error(said)
	}
}

// Nothing that listens on the machine is reached, its own addresses and the
// one of credentials included.
func TestNoNetwork(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	said, _ := sh(t, Spec{Dir: t.TempDir()}, `bash -c 'exec 3<>/dev/tcp/127.0.0.1/`+port+`' && echo LEAK
bash -c 'exec 3<>/dev/tcp/169.254.169.254/80' && echo LEAK; cat /proc/self/net/route | wc -l`)
	if strings.Contains(said, "LEAK") {
		t.Error(said)
	}
}

func TestForkBomb(t *testing.T) {
	t.Parallel()
	needRoot(t)
	g := newGroup(8)
	if g.dir == "" {
		t.Fatal("no control group counts processes here, and root can have one")
	}
	g.remove()
	p, out := start(t, Spec{Dir: t.TempDir(), Processes: 20, Argv: []string{"/bin/sh", "-c", `bomb() { sleep 30 <&0 | bomb | bomb; }; bomb`}})
	time.Sleep(500 * time.Millisecond)
	if n := below(p.cmd.Process.Pid); n > 20 {
		t.Errorf("%d processes", n)
	}
	began := time.Now()
	p.Kill()
	out()
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %s to end", d)
	}
}

func below(pid int) int {
	out, _ := exec.Command("sh", "-c", fmt.Sprintf("cat /proc/%d/task/*/children", pid)).Output()
	n := 0
	for _, f := range strings.Fields(string(out)) {
		var c int
		fmt.Sscan(f, &c)
		n += 1 + below(c)
	}
	return n
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	said, _ := sh(t, Spec{Dir: dir, ReadOnly: true}, `cat f; touch f || chmod 600 f || rm -f f || echo; echo read-only`)
	says(t, said, "x", "\nread-only")
}

// The kernel keeps what is there, whatever the program tries, and still lets
// it add files the way rsync does.
func TestAppendOnly(t *testing.T) {
	t.Parallel()
	needRoot(t)
	if err := CanAppendOnly(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"old", "d/old", "d/e/old"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	said, _ := sh(t, Spec{Dir: dir, AppendOnly: true}, `
S=/data/.mayfly-incoming; export S
try() { "$@"  && echo "LEAK $*"; }
try rm old; try rm -r d; try rmdir d/e; try mv old older; try mv d dd; try mv d/old d/e/old; try mv d/e/old $S/x; try mv d $S/d
try sh -c 'echo new > old'; try sh -c 'echo new >> old'; try truncate -s 0 old; try dd if=/proc/self/stat of=old conv=notrunc
try ln old $S/link; try ln -f $S/x old; try ln -sf x old
echo new > $S/x; try mv $S/x old; try mv $S/x d/old; try cp $S/x old; try sh -c 'cp --remove-destination $S/x old'
ln old d/hard && echo hard link; try sh -c 'echo new > d/hard'; try rm d/hard
ln -s ../old d/soft && echo soft link; try sh -c 'echo new > d/soft'; try rm d/soft
try python3 -c 'import os; os.truncate("/data/old", 0)'
try python3 -c 'import os; os.open("/data/old", os.O_RDONLY|os.O_TRUNC)'
mv $S/x d/e/new && echo added; mkdir d/f && echo directory; touch -d 2001-01-01 d/old; chmod 600 d/old; echo y > $S/left
echo end`)
	says(t, said, "hard link", "soft link", "added", "directory", "end")
	if strings.Contains(said, "LEAK") {
		t.Error(said)
	}
	for _, name := range []string{"old", "d/old", "d/e/old"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != "old" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, scratchName)); err == nil {
		t.Error("the scratch directory is still there")
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, n := range []string{"a.sql", "b.sql", "c", "x*"} {
		if err := os.WriteFile(filepath.Join(dir, n), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, out := start(t, Spec{Dir: dir, Argv: []string{"/bin/echo", "-"}, Args: []Arg{{"*.sql", "*.sql"}, {"c", ""}, {"n*", "n*"}, {"x*", `x\*`}}})
	if got := out(); got != "- a.sql b.sql c n* x*\n" {
		t.Errorf("%q", got)
	}
	p.Wait()
}

func TestServes(t *testing.T) {
	t.Parallel()
	_, out := start(t, Spec{Dir: t.TempDir(), Task: []byte("this")})
	if got := out(); got != "served this\n" {
		t.Errorf("%q", got)
	}
}

func TestTerminate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, out := start(t, Spec{Dir: dir, Argv: []string{"/proc/self/exe", "stubborn", "parent"}})
	for _, name := range []string{"parent", "child"} {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				break
			}
			if time.Now().After(end) {
				p.Kill()
				t.Fatalf("the %s has not begun: %s", name, out())
			}
		}
	}
	p.Terminate()
	got := out()
	code, _ := p.Wait()
	says(t, got, "parent gone", "child saved")
	if code != 20 {
		t.Errorf("exit status %d", code)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	if _, code := sh(t, Spec{Dir: t.TempDir()}, "exit 23"); code != 23 {
		t.Errorf("exit status %d", code)
	}
	if _, code := sh(t, Spec{Dir: t.TempDir()}, "kill -9 $$"); code != 128+9 {
		t.Errorf("exit status %d", code)
	}
	null, _ := os.Open("/dev/null")
	defer null.Close()
	_, err := Start(Spec{Dir: "/does/not/exist", Argv: []string{"/bin/true"}, Stdin: null, Stdout: null, Stderr: null})
	if err == nil || !strings.Contains(err.Error(), "/does/not/exist: no such file") {
		t.Error(err)
	}
	_, err = Start(Spec{Dir: t.TempDir(), Argv: []string{"/bin/nothing"}, Stdin: null, Stdout: null, Stderr: null})
	if err == nil || !strings.Contains(err.Error(), "execute /bin/nothing") {
		t.Error(err)
	}
}

func TestDiesWithItsParent(t *testing.T) {
	t.Parallel()
	needRoot(t)
	cmd := exec.Command("/proc/self/exe", "parent", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil { // "<nil>": it runs
		t.Fatal(err)
	}
	child, err := exec.Command("sh", "-c", fmt.Sprintf("cat /proc/%d/task/*/children", cmd.Process.Pid)).Output()
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(child), &pid); err != nil {
		t.Fatalf("%q: %v", child, err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	cmd.Process.Signal(syscall.SIGKILL)
	cmd.Wait()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 5000); n != 1 {
		t.Errorf("the jail has outlived its parent: %v", err)
	}
}
