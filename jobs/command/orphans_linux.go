package command

import (
	"os"
	"os/exec"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Who adopts orphans, and which filters are in force, is a matter of the whole
// process and not of one command: this is the one place that keeps what
// outlasts a command.
var (
	started = firsts{pids: map[int]bool{}}
	filters = keptFilters{links: map[string]int{}}
)

// firsts are the first processes of commands, which os/exec waits for.
type firsts struct {
	mu   sync.Mutex
	pids map[int]bool
}

// start starts cmd and takes down its number before anybody can ask for it.
func (f *firsts) start(cmd *exec.Cmd) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := cmd.Start()
	if err == nil {
		f.pids[cmd.Process.Pid] = true
	}
	return err
}

func (f *firsts) forget(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.pids, pid)
}

func (f *firsts) has(pid int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pids[pid]
}

// adopt makes mayfly the parent of whatever loses its own below it, so that a
// daemon is known by its descent, whatever else it has changed of itself.
// PR_SET_CHILD_SUBREAPER(2const).
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// reapEvery is how often adopted processes that have ended are looked for:
// until then they count as processes of the command.
const reapEvery = 100 * time.Millisecond

// reap lets adopted processes that have ended go. What Go itself has started is
// in mayfly's session or among firsts, or was there before; the rest was a
// command's.
func (f *firsts) reap(before map[int]string) {
	own, err := unix.Getsid(0)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for range 10_000 {
		pid := endedChild()
		p, ok := processOf(pid)
		if pid == 0 || !ok || p.session == own || f.pids[pid] || before[pid] == p.start {
			return
		}
		if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != nil {
			return
		}
	}
}

// endedChild is a child that has ended and that nobody has waited for yet, 0
// when there is none. It stays.
func endedChild() int {
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
		return 0
	}
	// si_pid is the first member of the union behind three numbers, which is
	// aligned to a pointer (asm-generic/siginfo.h).
	at := (3*unsafe.Sizeof(int32(0)) + unsafe.Sizeof(uintptr(0)) - 1) / unsafe.Sizeof(uintptr(0)) * unsafe.Sizeof(uintptr(0))
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), at)))
}

// isOrphan reports whether a process was adopted from this command: nobody
// else's, and not there before it.
func (g *group) isOrphan(p process) bool {
	own, err := unix.Getsid(0)
	if err != nil || p.parent != os.Getpid() || p.session == own || started.has(p.pid) || g.before[p.pid] == p.start {
		return false
	}
	mark := markOf(p.pid)
	return (mark == "" || mark == g.options.mark) && !g.ofOther(p.pid)
}
