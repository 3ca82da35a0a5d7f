package push

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// An attempt is one rsync, as it ended.
type attempt struct {
	code   int
	stderr string // its last part
	sent   Sent
	moved  bool // bytes went
	errors *heldBack
}

const (
	// tail is how much of what a program says is kept.
	tail = 64 << 10
	// stopTime is from SIGTERM, on which rsync ends in good order, to SIGKILL.
	stopTime = 10 * time.Second
)

func (p *Pusher) attempt(ctx context.Context, t transfer, place Place) attempt {
	if t.view != nil { // rsync would send zeros for what it cannot read any more
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		go func() {
			select {
			case <-t.view.Ended():
				stop()
			case <-ctx.Done():
			}
		}()
	}
	args := p.Config.rsyncArgs(p.rsync, t, place, p.known, p.DryRun)
	out := &progressWriter{source: string(t.source.Path), tell: p.Progress}
	if p.DryRun {
		out.lines = p.Say
	}
	errors := &heldBack{w: p.Errors}
	out.began = errors.release
	a := p.run(ctx, args, t.dir, out, errors)
	a.errors = errors
	a.sent = parseStats(out.text.String())
	a.moved = out.moved
	return a
}

// run runs a program to its end, and returns its exit code.
func (p *Pusher) run(ctx context.Context, args []string, dir string, out, errs io.Writer) attempt {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Dir = dir
	c.Env = environment(os.Environ())
	c.Stdout = out
	var said tailBuffer
	c.Stderr = io.MultiWriter(&said, errs)
	c.SysProcAttr = ownGroup()
	c.Cancel = func() error { return endGroup(c.Process) }
	c.WaitDelay = stopTime
	err := startHere(c)
	a := attempt{stderr: said.String()}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		a.code = exit.ExitCode()
	} else if err != nil {
		a.code, a.stderr = sshFailed, err.Error()
	}
	return a
}

// environment is this process's without what would change rsync or what it
// prints.
func environment(list []string) []string {
	var kept []string
	for _, e := range list {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "RSYNC_") && !strings.HasPrefix(name, "LC_") && name != "LANG" && name != "LANGUAGE" {
			kept = append(kept, e)
		}
	}
	return append(kept, "LC_ALL=C")
}

// A progressWriter reads what rsync prints: progress, and at the end the stats.
type progressWriter struct {
	source string
	tell   func(Progress)
	lines  func(string, ...any) // nil: nobody wants the others
	began  func()               // is told when bytes go
	line   []byte
	text   tailBuffer
	moved  bool
}

func (w *progressWriter) Write(b []byte) (int, error) {
	for _, c := range b {
		if c != '\n' && c != '\r' {
			if len(w.line) < tail {
				w.line = append(w.line, c)
			}
			continue
		}
		line := string(w.line)
		w.line = w.line[:0]
		p, ok := parseProgress(line)
		switch {
		case ok:
			if p.Bytes > 0 && !w.moved {
				w.moved = true
				w.began()
			}
			if p.Source = w.source; w.tell != nil {
				w.tell(p)
			}
		case line != "":
			_, _ = io.WriteString(&w.text, line+"\n")
			if w.lines != nil {
				w.lines("%s", line)
			}
		}
	}
	return len(b), nil
}

// A tailBuffer keeps the end of what is written.
type tailBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *tailBuffer) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b.Write(b)
	if n := t.b.Len(); n > 2*tail {
		t.b.Next(n - tail)
	}
	return len(b), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// heldBack holds back what rsync and ssh say until it is known that a window is
// open: while it is not, each try says the same. Nobody's terminal stops a
// backup: errors of writing are dropped.
type heldBack struct {
	mu   sync.Mutex
	w    io.Writer
	held []byte
	free bool
}

func (h *heldBack) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.free && len(h.held) < tail {
		h.held = append(h.held, b...)
	} else if h.w != nil {
		_, _ = h.w.Write(b)
	}
	return len(b), nil
}

func (h *heldBack) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.free && h.w != nil {
		_, _ = h.w.Write(h.held)
	}
	h.free, h.held = true, nil
}
