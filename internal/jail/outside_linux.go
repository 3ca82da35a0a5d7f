package jail

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the helper finds open, and what it makes.
const (
	fdTask   = 3 // a pipe with the plan; inside, a file in memory with it
	fdStatus = 4 // a pipe that takes "ok", or what went wrong
	fdSelf   = 5 // the helper's own program, to be executed inside
)

// IsHelper reports whether this process was started to be a jail's helper.
func IsHelper() bool {
	return len(os.Args) == 1 && (os.Args[0] == nameOutside || os.Args[0] == nameInside) && os.Getpid() == 1
}

// Helper builds the jail, or is its first process, and returns the exit status.
// serve does the work of a jail without a program, in /data.
func Helper(serve func(task []byte) error) int {
	if os.Args[0] == nameInside {
		return inside(serve)
	}
	// Capabilities, Landlock and seccomp belong to this thread, and pass on to
	// the program that it executes.
	runtime.LockOSThread()
	err := outside()
	status := os.NewFile(fdStatus, "status")
	fmt.Fprintln(status, err)
	return 1
}

// outside builds the jail and executes the inside. It returns only to fail.
func outside() error {
	from := os.NewFile(fdTask, "task")
	b, err := io.ReadAll(from)
	if err := errors.Join(err, from.Close()); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	var p plan
	if err := json.Unmarshal(b, &p); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	self, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the helper: %w", err)
	}
	if err := replace(self, fdSelf); err != nil {
		return err
	}
	task, err := unix.MemfdCreate("task", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("keep the task: %w", err)
	}
	if _, err := unix.Pwrite(task, b, 0); err != nil {
		return fmt.Errorf("keep the task: %w", err)
	}
	if err := replace(task, fdTask); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return buildRoot(p) },
		names,
		limits,
		dropCapabilities,
		func() error { return landlock(p) },
		func() error { return filter(p.AppendOnly && landlockVersion() < 3) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return execute()
}

// replace makes fd be the descriptor number to, open for what is executed.
func replace(fd, to int) error {
	if fd == to {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
		return err
	}
	if err := unix.Dup3(fd, to, 0); err != nil {
		return err
	}
	return unix.Close(fd)
}

// names takes from the helper what it was born with.
func names() error {
	if err := unix.Sethostname([]byte("mayfly")); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("drop the groups: %w", err)
	}
	unix.Umask(0o022)
	// Whatever else was open is closed when the inside is executed.
	if err := unix.CloseRange(fdSelf+1, ^uint(0)>>32, unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("close descriptors: %w", err)
	}
	_, err := unix.FcntlInt(fdSelf, unix.F_SETFD, unix.FD_CLOEXEC)
	return err
}

// limits bounds what one process may take; how many processes there may be is
// the control group's to say, since RLIMIT_NPROC does not hold for root.
func limits() error {
	for what, l := range map[int]unix.Rlimit{
		unix.RLIMIT_CORE:     {},
		unix.RLIMIT_NOFILE:   {Cur: 1024, Max: 1024},
		unix.RLIMIT_MEMLOCK:  {},
		unix.RLIMIT_MSGQUEUE: {},
	} {
		if err := unix.Setrlimit(what, &l); err != nil {
			return fmt.Errorf("set limits: %w", err)
		}
	}
	return nil
}

// execute executes the helper again, by its descriptor: inside, it has no name.
func execute() error {
	argv := [2]*byte{must(nameInside)}
	env := [4]*byte{must("GOMAXPROCS=2"), must("GOMEMLIMIT=32MiB"), must("GOTRACEBACK=none")}
	empty := must("")
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, fdSelf, uintptr(unsafe.Pointer(empty)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])), unix.AT_EMPTY_PATH, 0)
	return fmt.Errorf("execute the helper inside: %w", errno)
}

func must(s string) *byte {
	p, err := unix.BytePtrFromString(s)
	if err != nil {
		panic(err) // constants have no NUL
	}
	return p
}
