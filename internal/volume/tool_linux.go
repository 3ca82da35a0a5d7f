package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// How long the programs may take. What has to read or write much is bounded by
// the caller's context alone.
const (
	probeMax  = 30 * time.Second
	mkfsMax   = 5 * time.Minute
	mountMax  = 10 * time.Minute // the journal of an interrupted run is replayed
	growMax   = 10 * time.Minute
	syncMax   = 10 * time.Minute
	umountMax = 2 * time.Minute
	// A program that does not end when it is told to is killed, and one that
	// cannot be killed, because the kernel is at work for it, is left alone.
	termGrace = 10 * time.Second
)

// packageOf is what to install for a program.
var packageOf = map[string]string{
	"mkfs.ext4": "e2fsprogs", "e2fsck": "e2fsprogs", "resize2fs": "e2fsprogs", "xfs_growfs": "xfsprogs", "sync": "coreutils",
}

// tool finds a program; root's directories are not in every service's PATH.
func tool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode()&0o111 != 0 {
			return filepath.Join(dir, name), nil
		}
	}
	return "", fmt.Errorf("%s is not installed: install the package %s", name, or(packageOf[name], "util-linux"))
}

// A ran program has ended by itself.
type ran struct {
	out  string
	said string // stderr
	code int
}

// run runs a program, at most so long, without a shell or any input. It fails
// when the program did not end by itself; what its exit code means, the caller
// knows. The program holds the files open, too.
func run(ctx context.Context, limit time.Duration, files []*os.File, name string, args ...string) (ran, error) {
	path, err := tool(name)
	if err != nil {
		return ran{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &out, &said, files
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin:/usr/bin:/bin"}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // e2fsck leaves a sound file system then
	cmd.WaitDelay = termGrace
	if err := cmd.Start(); err != nil {
		return ran{}, &toolError{name: name, code: -1, err: err}
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err = <-done:
	case <-after(ctx, 2*termGrace):
		return ran{}, &toolError{name: name, code: -1, err: fmt.Errorf("process %d cannot be ended: %w", cmd.Process.Pid, ctx.Err())}
	}
	var exit *exec.ExitError
	switch {
	case err != nil && ctx.Err() != nil:
		return ran{}, &toolError{name: name, code: -1, said: brief(said.String()), err: ctx.Err()}
	case errors.As(err, &exit) && exit.Exited(), err == nil:
		return ran{out.String(), said.String(), cmd.ProcessState.ExitCode()}, nil
	}
	return ran{}, &toolError{name: name, code: -1, said: brief(said.String()), err: err}
}

// after is closed so long after a context's end.
func after(ctx context.Context, d time.Duration) <-chan struct{} {
	c := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(d, func() { close(c) }) })
	return c
}

// error is what a program said whose exit code means that it failed.
func (r ran) error(name string) error {
	return &toolError{name: name, code: r.code, said: brief(or(strings.TrimSpace(r.said), r.out))}
}

// brief is text on one line, its end when there is much of it.
func brief(s string) string {
	const most = 600
	s = strings.Join(strings.FieldsFunc(strings.TrimSpace(s), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	if len(s) > most {
		s = "…" + strings.ToValidUTF8(s[len(s)-most:], "")
	}
	return s
}
