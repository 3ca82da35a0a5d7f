package gocryptfs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// mountTime is how long a mount may take: scrypt needs a second, more on a
	// small machine.
	mountTime = time.Minute
	// unmountTime is how long gocryptfs may take to end before its mount is
	// taken away without it.
	unmountTime = 10 * time.Second
)

// A View is a mounted directory. It is there for as long as this process lives
// at most: on Linux gocryptfs is told to end when its parent does, however that
// comes, and unmounts.
type View struct {
	Dir string // where it is mounted

	work    string // holds Dir, the control socket, and what gocryptfs says
	process *os.Process
	over    chan struct{} // closed when gocryptfs has ended
	once    sync.Once
	closed  error
}

// Reverse mounts an encrypted view of dir below work, which it makes, and which
// nobody else may use. What a process that was killed has left mounted there is
// unmounted first. exclude are patterns as in gitignore(5), of names in dir that
// the view does not have.
func Reverse(ctx context.Context, k Key, dir, work string, exclude []string) (*View, error) {
	args := []string{"-reverse"}
	for _, e := range exclude {
		args = append(args, "-exclude-wildcard", e)
	}
	return mount(ctx, k, dir, work, args)
}

// Forward mounts what Reverse has shown, decrypted again and read-only.
func Forward(ctx context.Context, k Key, dir, work string) (*View, error) {
	return mount(ctx, k, dir, work, []string{"-ro"})
}

func mount(ctx context.Context, k Key, dir, work string, args []string) (*View, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, fmt.Errorf("mount with gocryptfs: %w", err)
	}
	v := &View{Dir: filepath.Join(work, "view"), work: work, over: make(chan struct{})}
	if err := Sweep(work); err != nil {
		return nil, err
	}
	if err := os.Mkdir(v.Dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("mount with gocryptfs: %w", err)
	}
	args = append([]string{"-fg", "-nosyslog", "-config", k.Config, "-passfile", k.PasswordFile, "-ctlsock", v.socket()}, args...)
	if err := v.start(append(args, "--", dir, v.Dir)); err != nil {
		return nil, errors.Join(fmt.Errorf("mount with gocryptfs: %w", err), v.Close())
	}
	if err := v.wait(ctx); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

func (v *View) socket() string { return filepath.Join(v.work, "control") }

func (v *View) log() string { return filepath.Join(v.work, "log") }

// said is what gocryptfs has printed.
func (v *View) said() string {
	b, err := os.ReadFile(v.log())
	if err != nil {
		return err.Error()
	}
	return oneLine(b)
}

// start starts gocryptfs, from a thread that stays until it has ended: Linux
// tells a child of its parent's death when the thread that made it is gone.
func (v *View) start(args []string) error {
	c := exec.Command("gocryptfs", args...)
	// To a file: a pipe ends with this process, and gocryptfs, which says why it
	// could not unmount at once, would end with it before it has tried again.
	out, err := os.OpenFile(v.log(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	c.Stdout, c.Stderr = out, out
	c.SysProcAttr = withParent()
	started := make(chan error, 1)
	go func() {
		defer close(v.over)
		defer stayOnThread()() // and give it back: others' children may be this thread's
		err := c.Start()
		v.process = c.Process
		started <- err
		if err == nil {
			_ = c.Wait()
		}
	}()
	return <-started
}

// wait returns once the view is mounted and answers.
func (v *View) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, mountTime)
	defer cancel()
	for {
		// Not before it says so: it opens a file of its own mount on the way, and
		// when it is ended at that moment both hang, and all who look at mounts.
		if is, err := mounted(v.Dir); err == nil && is && strings.Contains(v.said(), "Filesystem mounted and ready") {
			if _, err := v.Encrypt("x"); err == nil {
				return nil
			}
		}
		select {
		case <-v.over:
			return fmt.Errorf("mount with gocryptfs: %s", v.said())
		case <-ctx.Done():
			return fmt.Errorf("mount with gocryptfs: it is not there after %s: %w", mountTime, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Ended is closed when gocryptfs has ended.
func (v *View) Ended() <-chan struct{} { return v.over }

// Err says that gocryptfs has ended, with what it has said, though the view was
// not closed; nil: it is there.
func (v *View) Err() error {
	select {
	case <-v.over:
		return fmt.Errorf("gocryptfs has ended: %s", cmp.Or(v.said(), "somebody has killed it, or unmounted its view"))
	default:
		return nil
	}
}

// Encrypt returns the name in a Reverse view of what has the name path, which is
// relative to its directory, with slashes, and need not exist.
func (v *View) Encrypt(path string) (string, error) { return v.ask("EncryptPath", path) }

// ask asks over gocryptfs's control socket.
// https://github.com/rfjakob/gocryptfs/blob/master/ctlsock/json_abi.go
func (v *View) ask(what, path string) (string, error) {
	c, err := net.DialTimeout("unix", v.socket(), time.Second)
	if err != nil {
		return "", fmt.Errorf("ask gocryptfs for a name: %w", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	var answer struct {
		Result, ErrText string
		ErrNo           int
	}
	if err = json.NewEncoder(c).Encode(map[string]string{what: path}); err == nil {
		err = json.NewDecoder(c).Decode(&answer)
	}
	if err == nil && (answer.ErrNo != 0 || answer.Result == "") {
		err = errors.New(answer.ErrText)
	}
	if err != nil {
		return "", fmt.Errorf("ask gocryptfs for the name of %q: %w", path, err)
	}
	return answer.Result, nil
}

// Skipped is what a Forward view has left out so far because its name cannot be
// decrypted: with another key everything. gocryptfs says so in its log alone.
func (v *View) Skipped() []string {
	b, err := os.ReadFile(v.log())
	if err != nil {
		return nil
	}
	var list []string
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, "invalid entry") && !strings.Contains(line, ".rsync-partial") { // a push's, cut off
			list = append(list, strings.TrimSpace(line))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Close unmounts the view and removes its folder. A view that something holds
// open is taken out of the tree, and goes when that is over.
func (v *View) Close() error {
	v.once.Do(func() {
		if v.process != nil {
			_ = v.process.Signal(syscall.SIGTERM)
			select {
			case <-v.over:
			case <-time.After(unmountTime):
				_ = v.process.Kill()
				<-v.over
			}
		}
		v.closed = Sweep(v.work)
	})
	return v.closed
}

// Sweep unmounts what a process that was killed has left below work, and
// removes that folder's own entries. Nothing that a mount shows is removed.
func Sweep(work string) error {
	dir := filepath.Join(work, "view")
	is, err := mounted(dir)
	if errors.Is(err, os.ErrNotExist) {
		is, err = false, nil
	}
	if is || err != nil { // of a gocryptfs that was killed: "transport endpoint is not connected"
		if err := unmount(dir); err != nil {
			return fmt.Errorf("unmount %s: %w: see who holds it with fuser -vm %[1]s", dir, err)
		}
	}
	for _, name := range []string{dir, filepath.Join(work, "control"), filepath.Join(work, "log")} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("clean up after gocryptfs: %w", err)
		}
	}
	return nil
}
