package jail

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The helper knows itself by its name: argv[0].
const (
	nameOutside = "mayfly-jail"   // builds the jail
	nameInside  = "mayfly-jailed" // is its first process
)

// A Process is what runs in a jail: all of it.
type Process struct {
	cmd     *exec.Cmd
	group   *group
	scratch string // to be removed at the end; "" none
	over    chan struct{}
	result  error
}

// Start builds a jail and starts what runs in it. When it returns without an
// error the jail is closed around it. Everything in it dies with the jail's
// first process, and that one with this program.
func Start(s Spec) (*Process, error) {
	if err := Check(); err != nil {
		return nil, &SetupError{err.Error()}
	}
	if s.AppendOnly {
		if err := CanAppendOnly(); err != nil {
			return nil, &SetupError{err.Error()}
		}
	}
	task, err := json.Marshal(s.plan())
	if err != nil {
		return nil, err
	}
	helper := s.Helper
	if helper == "" {
		helper = "/proc/self/exe"
	}
	taskR, taskW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer taskW.Close()
	statusR, statusW, err := os.Pipe()
	if err != nil {
		taskR.Close()
		return nil, err
	}
	defer statusR.Close()
	g := newGroup(cmpOr(s.Processes, 32))
	p := &Process{group: g, over: make(chan struct{})}
	if s.AppendOnly && !s.ReadOnly {
		p.scratch = filepath.Join(s.Dir, scratchName)
	}
	p.cmd = exec.Command(helper)
	p.cmd.Args = []string{nameOutside}
	p.cmd.Dir = "/"
	p.cmd.Env = []string{"GOMAXPROCS=2", "GOMEMLIMIT=32MiB", "GOTRACEBACK=none"}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = s.Stdin, s.Stdout, s.Stderr
	p.cmd.ExtraFiles = []*os.File{taskR, statusW}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
		Pdeathsig:  syscall.SIGKILL,
		Setsid:     true,
	}
	err = p.start()
	taskR.Close()
	statusW.Close()
	if err != nil {
		g.remove()
		return nil, &SetupError{fmt.Sprintf("start the helper: %v", err)}
	}
	go p.reap()
	// The helper does nothing before it has read its task: by then it is where
	// its processes are counted.
	_ = g.add(p.cmd.Process.Pid)
	// Where the memory is used up, what a client made large goes first (proc(5)).
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", p.cmd.Process.Pid), []byte("800"), 0)
	if _, err := taskW.Write(task); err == nil {
		_ = taskW.Close() // which is its end; without one, the helper says what it lacks
	}
	if err := built(statusR, cmpOr(s.Setup, 20*time.Second)); err != nil {
		p.Kill()
		p.Wait()
		return nil, err
	}
	return p, nil
}

func cmpOr[T comparable](a, b T) T {
	var zero T
	if a == zero {
		return b
	}
	return a
}

// start starts the helper from a thread that lives as long as it does: the
// signal at the parent's death means the thread (prctl(2)).
func (p *Process) start() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			<-p.over
		}
		runtime.UnlockOSThread()
	}()
	return <-started
}

// built waits for the helper's word: one line, "ok" or what went wrong.
func built(status *os.File, limit time.Duration) error {
	_ = status.SetReadDeadline(time.Now().Add(limit))
	b, err := io.ReadAll(io.LimitReader(status, 4096))
	said := strings.TrimSpace(string(b))
	switch {
	case said == "ok":
		return nil
	case said != "":
		return &SetupError{said}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &SetupError{fmt.Sprintf("it took longer than %s", limit)}
	}
	return &SetupError{"the helper died without a word: was it killed, or is there too little memory?"}
}

func (p *Process) reap() {
	p.result = p.cmd.Wait()
	if p.scratch != "" {
		_ = unix.Rmdir(p.scratch) // empty, or left for the next one
	}
	close(p.over)
	p.group.remove()
}

// Terminate asks all there is in the jail to end, by SIGTERM: rsync then keeps
// the file that it was receiving, if its user wants that.
func (p *Process) Terminate() { p.signal(syscall.SIGTERM) }

// Kill ends all of it at once.
func (p *Process) Kill() { p.signal(syscall.SIGKILL) }

func (p *Process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // it may be over

// Done is closed when all of it has ended.
func (p *Process) Done() <-chan struct{} { return p.over }

// Wait waits until all of it has ended, and returns its exit status; 128 plus
// the signal if one ended it.
func (p *Process) Wait() (int, error) {
	<-p.over
	var failed *exec.ExitError
	switch {
	case p.result == nil:
		return 0, nil
	case errors.As(p.result, &failed):
		if ws, ok := failed.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
		return failed.ExitCode(), nil
	}
	return -1, p.result
}

// Check says why there can be no jail here; nil: there can.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("it needs root")
	}
	return nil
}
