package jail

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// inside is the first process of the jail. It waits for every process that
// there is, since all of them are killed when it ends: rsync's receiver needs
// a moment to give a partial file its name.
func inside(serve func(task []byte) error) int {
	status := os.NewFile(fdStatus, "status")
	p, err := readPlan()
	if err == nil && len(p.Argv) == 0 {
		return serveInside(status, p, serve)
	}
	code := 1
	if err == nil {
		code, err = runInside(status, p)
	}
	if err != nil {
		fmt.Fprintln(status, err)
	}
	if p.AppendOnly && !p.ReadOnly {
		_ = emptied(Scratch) // the next one does it otherwise
		_ = os.Chdir("/")
	}
	return code
}

func readPlan() (p plan, err error) {
	unix.CloseOnExec(fdStatus)
	task := os.NewFile(fdTask, "task")
	b, err := io.ReadAll(io.NewSectionReader(task, 0, 1<<20))
	if err = errors.Join(err, task.Close()); err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err == nil {
		err = os.Chdir(Dir)
	}
	return p, err
}

func serveInside(status *os.File, p plan, serve func(task []byte) error) int {
	fmt.Fprintln(status, "ok")
	status.Close()
	if err := serve(p.Task); err != nil {
		fmt.Fprintln(os.Stderr, "mayfly:", err)
		return 1
	}
	return 0
}

func runInside(status *os.File, p plan) (int, error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	signal.Ignore(syscall.SIGPIPE)
	pid, err := syscall.ForkExec(p.Argv[0], expand(p.Argv, p.Args), &syscall.ProcAttr{
		Dir:   Dir,
		Env:   []string{"PATH=/usr/bin:/bin", "HOME=" + Dir, "LC_ALL=C.UTF-8"},
		Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return 1, fmt.Errorf("execute %s in the jail: %w", p.Argv[0], err)
	}
	// What it holds open is the program's alone to close.
	for fd := range 3 {
		_ = unix.Close(fd)
	}
	fmt.Fprintln(status, "ok")
	status.Close()
	go func() {
		for range signals {
			_ = unix.Kill(-1, syscall.SIGTERM) // all but this one
		}
	}()
	code := 1
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return code, nil // there is none left
		case got == pid && ws.Signaled():
			code = 128 + int(ws.Signal())
		case got == pid:
			code = ws.ExitStatus()
		}
	}
}

// expand appends what the patterns match.
func expand(argv []string, args []Arg) []string {
	for _, a := range args {
		var found []string
		if a.Pattern != "" {
			found, _ = filepath.Glob(a.Pattern)
		}
		if len(found) == 0 {
			found = []string{a.Name}
		}
		argv = append(argv, found...)
	}
	return argv
}
