package command

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A group is all processes of one command: those in its control groups, which
// need root to make and to leave; those that carry the command's mark in their
// environment, are in its session or process group, or descend from one of it,
// orphans included; and those that others have started for its user.
type group struct {
	options groupOptions
	cgroup  *cgroup // nil where there is none to be had
	pid     int     // the first process, its process group and session
	over    chan struct{}
	before  map[int]string // processes that were there already, and when they began
	others  []string       // of these, the names of the user's own

	mu      sync.Mutex
	escaped map[string]bool // names of processes that were found out of a control group
}

// newGroup makes an empty group. The error says what to do.
func newGroup(o groupOptions) (*group, error) {
	g := &group{options: o, over: make(chan struct{}), escaped: map[string]bool{}}
	g.take()
	err := errNoRoot
	if os.Geteuid() == 0 {
		g.cgroup, err = newCgroup()
	}
	if g.cgroup == nil {
		switch {
		case o.confined:
			return nil, unconfined(err)
		case o.required:
			return nil, unlimited(err)
		}
		return g, nil
	}
	if err := g.limit(); err != nil {
		return nil, errors.Join(err, g.cgroup.remove())
	}
	return g, nil
}

var errNoRoot = errors.New("it needs root")

// limits says why memory could not be limited here, as far as that is known
// without a group.
func limits() error {
	if os.Geteuid() != 0 {
		return unlimited(errNoRoot)
	}
	return nil
}

func unlimited(err error) error {
	return fmt.Errorf("memory cannot be limited here: %w: remove memory, or run mayfly as root on a machine with control groups v2", err)
}

// unconfined says why a command is not run at all.
func unconfined(err error) error {
	return fmt.Errorf("the command cannot be kept from the instance's credentials, so it was not run: %w: choose an image with control groups v2 and BPF (Amazon Linux 2023, Debian 12 and Ubuntu 22.04 have them), or add aws: true to let the command have them", err)
}

func (g *group) limit() error {
	o := g.options
	// Where it cannot be limited, what bounds them is the memory.
	_ = g.cgroup.setLimit("pids", "pids.max", fmt.Sprint(o.processes))
	if o.memory > 0 {
		if err := g.cgroup.limitMemory(o.memory); err != nil && o.required {
			return fmt.Errorf("memory cannot be limited here: %w: remove memory, or run on a machine whose control groups have the memory controller", err)
		}
	}
	if o.confined {
		if err := g.cgroup.block(o.blocked, o.uid); err != nil {
			return unconfined(err)
		}
	}
	return nil
}

// start starts the group's first process: in a session of its own, inside the
// control groups from its first instruction on, killed if mayfly dies. What
// applies to a thread (no_new_privs, groups of version 1, the signal at the
// parent's death) is set on a thread of its own, which lives as long as the
// process and is thrown away.
func (g *group) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := adopt(); err != nil {
		return fmt.Errorf("adopt what the command leaves: %w", err)
	}
	// A descriptor that mayfly was started with is nobody's business.
	_ = unix.CloseRange(3, uint(^uint32(0)), unix.CLOSE_RANGE_CLOEXEC)
	if g.cgroup != nil {
		cmd.SysProcAttr.UseCgroupFD = true
		cmd.SysProcAttr.CgroupFD = int(g.cgroup.dir.Fd())
	}
	begun := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this
		err := g.startHere(cmd)
		begun <- err
		if err == nil {
			<-g.over
		}
	}()
	err := <-begun
	if err == nil {
		g.pid = cmd.Process.Pid
		go g.watch()
	}
	return err
}

// watch lets adopted processes go, and sees who leaves the control groups of
// version 1, until the group is over.
func (g *group) watch() {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			started.reap(g.before)
			g.noteEscapes()
		case <-g.over:
			started.reap(g.before)
			return
		}
	}
}

// noteEscapes looks at who is in one of the control groups.
func (g *group) noteEscapes() {
	if g.cgroup == nil || g.options.confined {
		return
	}
	for _, pid := range g.cgroup.processes() {
		if pid != os.Getpid() {
			g.noteEscape(pid)
		}
	}
}

// noteEscape takes down a process that is not in all of the control groups:
// root alone can do that, and then not all of the limits hold. One that is just
// ending is in none of version 1's.
func (g *group) noteEscape(pid int) {
	if g.cgroup == nil || g.options.confined || g.cgroup.holds(pid) {
		return
	}
	if p, ok := processOf(pid); ok && p.state != 'Z' && !p.ending {
		g.escape(pid)
	}
}

func (g *group) escape(pid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if name := nameOf(pid); len(g.escaped) < 10 {
		g.escaped[name] = true
	}
}

// escapes are the names of processes that have left one of its control groups.
func (g *group) escapes() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.escaped))
}

func (g *group) startHere(cmd *exec.Cmd) error {
	if g.options.confined {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
	}
	if g.cgroup != nil {
		back, err := g.cgroup.enterV1()
		if err != nil {
			return err
		}
		defer back()
	}
	for try := 0; ; try++ {
		err := started.start(cmd)
		// Another thread's child may hold the file that was just written
		// open for writing for a moment (https://go.dev/issue/22315).
		if !errors.Is(err, syscall.ETXTBSY) || try == 20 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
		fresh := exec.Command(cmd.Path)
		fresh.Args, fresh.Env, fresh.Dir = cmd.Args, cmd.Env, cmd.Dir
		fresh.Stdin, fresh.Stdout, fresh.Stderr, fresh.SysProcAttr = cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr
		*cmd = *fresh
	}
}

// members are the processes of the group that are alive.
func (g *group) members() []int {
	all := processes()
	in := map[int]bool{}
	if g.cgroup != nil {
		there := map[int]bool{}
		for _, p := range all {
			there[p.pid] = true
		}
		for _, pid := range g.cgroup.processes() {
			in[pid] = true
			if p, ok := processOf(pid); ok && !there[pid] && p.state != 'Z' && pid != os.Getpid() { // begun just now
				all = append(all, p)
			}
		}
	}
	for _, pid := range g.strays(all) {
		in[pid] = true
	}
	if !g.options.confined { // else it cannot have left
		for _, p := range all {
			if g.before[p.pid] == p.start {
				continue
			}
			if g.pid > 0 && (p.group == g.pid || p.session == g.pid) || markOf(p.pid) == g.options.mark || g.isOrphan(p) {
				in[p.pid] = true
			}
		}
		for grown := true; grown; {
			grown = false
			for _, p := range all {
				if in[p.parent] && !in[p.pid] {
					in[p.pid], grown = true, true
				}
			}
		}
	}
	var list []int
	for _, p := range all {
		if in[p.pid] {
			list = append(list, p.pid)
			g.noteEscape(p.pid)
		}
	}
	return list
}

// terminate asks all of them to end, those that are stopped too.
func (g *group) terminate() {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} {
		for _, pid := range g.members() {
			_ = syscall.Kill(pid, s) // it may have ended, or be another user's
		}
	}
}

// settle waits a moment for the rest to end, and returns what has not.
func (g *group) settle(limit time.Duration) []int {
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		left := g.members()
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// kill ends all of them, and returns those that could not be.
func (g *group) kill() []int {
	for end := time.Now().Add(killTime); ; time.Sleep(10 * time.Millisecond) {
		if g.cgroup != nil {
			g.cgroup.kill()
		}
		for _, pid := range g.members() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		left := g.members()
		if len(left) == 0 && (g.cgroup == nil || !g.cgroup.populated()) || time.Now().After(end) {
			return left
		}
	}
}

// oomKills is how many of them the kernel has killed for want of memory; killed
// says that somebody has killed one.
func (g *group) oomKills(killed bool) int {
	if g.cgroup == nil {
		return 0
	}
	// The kernel counts after it has sent the signal, and whoever was killed may
	// be gone by then.
	for range 10 {
		if n := g.cgroup.oomKills(); n > 0 || !killed {
			return n
		}
		time.Sleep(10 * time.Millisecond)
	}
	return 0
}

// close lets go of the group once it is empty.
func (g *group) close() error {
	close(g.over)
	if g.pid > 0 {
		started.forget(g.pid)
	}
	if g.cgroup == nil {
		return nil
	}
	return g.cgroup.remove()
}

// memoryOfMachine is how much there is, 0 when that is not known.
func memoryOfMachine() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// inMemory is a directory whose files are never written to a disk, "" when
// there is none that may be written to.
func inMemory(runtimeDir string) string {
	for _, d := range []string{"/run", runtimeDir, "/dev/shm"} {
		var fs unix.Statfs_t
		if d == "" || unix.Statfs(d, &fs) != nil || fs.Type != unix.TMPFS_MAGIC || unix.Access(d, unix.W_OK) != nil {
			continue
		}
		return d
	}
	return ""
}
