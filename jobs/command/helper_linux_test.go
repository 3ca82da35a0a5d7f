package command

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mayfly/runner"
)

// TestMain is a program for the tests' commands, too: this binary with one of
// these words as its first argument.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "asks":
			ask(os.Args[2], os.Args[3], os.Args[4])
			return
		case "who":
			fmt.Println(os.Getuid(), os.Geteuid())
			return
		case "knock": // asks a manager to start something
			if c, err := net.Dial("unix", os.Args[2]); err == nil {
				_, _ = c.Read(make([]byte, 1))
				return
			}
			os.Exit(1)
		case "leaves":
			leave(os.Args[2:])
			return
		case "account":
			fmt.Println(accountAmong(os.Args[2], os.Args[3]))
			return
		case "gives":
			give()
			return
		case "nest":
			nest(os.Args[2], os.Args[3])
			return
		case "hog":
			hog(os.Args[2])
			return
		}
	}
	os.Exit(m.Run())
}

// helper is a copy of this binary that everybody may execute.
func (w *world) helper() string {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		w.t.Fatal(err)
	}
	defer from.Close()
	name := filepath.Join(w.dir, "helper")
	to, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		w.t.Fatal(err)
	}
	return name
}

// accountAmong says whom a confined command would run as, if /etc/passwd were
// another file, in this process alone.
func accountAmong(passwd, name string) string {
	if err := errors.Join(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), syscall.Mount(passwd, "/etc/passwd", "", syscall.MS_BIND, "")); err != nil {
		return err.Error()
	}
	j := &job{config: &Config{User: name}, env: runner.Env{Getenv: os.Getenv}}
	if a, problem := j.account(true); problem == nil {
		return "runs as " + a.String()
	} else {
		return problem.String()
	}
}

// give makes shared memory and makes it another user's.
func give() {
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
	if err == nil {
		_, err = unix.SysvShmCtl(id, unix.IPC_SET, &unix.SysvShmDesc{Perm: unix.SysvIpcPerm{Uid: 12345, Gid: 12345, Mode: 0o600}})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// nest makes directories one in the other, and a file in the last.
func nest(dir, depth string) {
	n, _ := strconv.Atoi(depth)
	err := os.Chdir(dir)
	for i := 0; i < n && err == nil; i++ {
		err = errors.Join(syscall.Mkdir("nest", 0o755), syscall.Chdir("nest"))
	}
	if err = errors.Join(err, os.WriteFile("file", nil, 0o600)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// hog uses so many bytes of memory.
func hog(size string) {
	n, _ := strconv.Atoi(size)
	b := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	fmt.Println(len(b))
}

// ask tries to reach two addresses by every way that a plain user has, and a
// third one plainly, and prints what came of each.
func ask(v4, v6, other string) {
	attempt := func(way string, f func() error) {
		if err := f(); err != nil {
			fmt.Println(way, "failed:", err)
			return
		}
		fmt.Println(way, "reached")
	}
	if v6 == "" {
		attempt(cmp.Or(other, "daemon"), tcp("tcp", v4, nil))
		return
	}
	host, port, _ := net.SplitHostPort(v4)
	attempt("tcp4", tcp("tcp", v4, nil))
	attempt("tcp6", tcp("tcp", v6, nil))
	attempt("mapped", func() error { return mapped(host, port) })
	attempt("source route", tcp("tcp4", "127.0.0.1:"+port, func(fd uintptr) error {
		route := append([]byte{131, 7, 4}, net.ParseIP(host).To4()...)
		return unix.SetsockoptString(int(fd), unix.IPPROTO_IP, unix.IP_OPTIONS, string(append(route, 0)))
	}))
	attempt("mptcp", raw(host, port, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, false))
	attempt("fast open", raw(host, port, unix.SOCK_STREAM, 0, true))
	attempt("udplite", raw(host, port, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, true))
	attempt("udp4", udp(v4))
	attempt("udp6", udp(v6))
	for way, s := range map[string][3]int{
		"raw4": {unix.AF_INET, unix.SOCK_RAW, 255}, "raw6": {unix.AF_INET6, unix.SOCK_RAW, 58}, "packet": {unix.AF_PACKET, unix.SOCK_RAW, 0x0300},
	} {
		attempt(way, func() error { _, err := unix.Socket(s[0], s[1], s[2]); return err })
	}
	attempt("leave", func() error {
		root, _ := mountOf("cgroup2", "")
		return os.WriteFile(filepath.Join(root, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
	})
	attempt("elsewhere", tcp("tcp", other, nil))
	within := exec.Command("/proc/self/exe", "asks", v4, "", "user namespace")
	within.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
	}
	within.Stdout = os.Stdout
	_ = within.Run() // what it says is looked at
	daemon := exec.Command("/proc/self/exe", "asks", v4, "", "")
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	daemon.Stdout = os.Stdout
	_ = daemon.Start() // what it says is looked at
	_ = daemon.Wait()
}

func tcp(network, address string, control func(fd uintptr) error) func() error {
	return func() error {
		d := net.Dialer{Timeout: 400 * time.Millisecond}
		if control != nil {
			d.Control = func(_, _ string, c syscall.RawConn) error {
				var err error
				return errors.Join(c.Control(func(fd uintptr) { err = control(fd) }), err)
			}
		}
		c, err := d.Dial(network, address)
		if err != nil {
			return err
		}
		return answer(c)
	}
}

func answer(c net.Conn) error {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(400 * time.Millisecond))
	line, err := bufio.NewReader(c).ReadString('\n')
	if !strings.Contains(line, "AKID") {
		return errors.Join(errors.New("no answer"), err)
	}
	return nil
}

// mapped connects an IPv6 socket to an IPv4 address.
func mapped(host, port string) error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Usec: 400_000}); err != nil {
		return err
	}
	n, _ := strconv.Atoi(port)
	to := &unix.SockaddrInet6{Port: n}
	copy(to.Addr[:], net.ParseIP(host).To16())
	return unix.Connect(fd, to)
}

// raw sends to an IPv4 address from a socket of that kind: with its first packet,
// or once it is connected.
func raw(host, port string, kind, protocol int, first bool) func() error {
	return func() error {
		fd, err := unix.Socket(unix.AF_INET, kind, protocol)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Usec: 400_000})
		n, _ := strconv.Atoi(port)
		to := &unix.SockaddrInet4{Port: n}
		copy(to.Addr[:], net.ParseIP(host).To4())
		switch {
		case err != nil:
			return err
		case first && kind == unix.SOCK_STREAM:
			return unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, to)
		case first:
			return unix.Sendto(fd, []byte("x"), 0, to)
		}
		return unix.Connect(fd, to)
	}
}

func udp(address string) func() error {
	return func() error {
		c, err := net.Dial("udp", address)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("x"))
		return err
	}
}

// leave makes what outlasts a process.
func leave(names []string) {
	_, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
	_, _, queue := unix.Syscall(unix.SYS_MSGGET, unix.IPC_PRIVATE, unix.IPC_CREAT|0o600, 0)
	_, _, semaphore := unix.Syscall(unix.SYS_SEMGET, unix.IPC_PRIVATE, 1, unix.IPC_CREAT|0o600)
	for _, n := range names {
		err = errors.Join(err, os.Mkdir(n, 0o700), os.WriteFile(filepath.Join(n, "file"), []byte("x"), 0o600))
	}
	if err != nil || queue != 0 || semaphore != 0 {
		fmt.Println(err, queue, semaphore)
		os.Exit(1)
	}
}

// A preview without root says that there is no limit of memory without it.
func TestPreviewAsUser(t *testing.T) {
	t.Parallel()
	c := exec.Command("/proc/self/exe", "-test.v", "-test.run=^TestPreview$")
	if os.Geteuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	c.Env = append(os.Environ(), "TMPDIR=/tmp")
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestPreview") {
		t.Errorf("%v: %s", err, out)
	}
}
