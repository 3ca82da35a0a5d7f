package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"mayfly/runner"
)

// A transfer shows, on a terminal, how far one piece of work is.
type transfer struct {
	out   io.Writer // nil: nobody looks
	what  string
	total int64

	mu    sync.Mutex
	done  int64
	began time.Time
	shown time.Time
}

// transfer begins to show work on about so many bytes.
func (a *app) transfer(what string, total int64) *transfer {
	t := &transfer{what: what, total: total, began: time.Now()}
	t.out = a.onTerminal()
	return t
}

// onTerminal is where progress can be shown; nil where nobody looks.
func (a *app) onTerminal() io.Writer {
	if f, ok := a.stderr.(*os.File); ok && !a.quiet && a.getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// add says that so many more bytes have come.
func (t *transfer) add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done += n
	if t.out == nil || time.Since(t.shown) < pollEvery {
		return
	}
	t.shown = time.Now()
	rate := float64(t.done) / max(time.Since(t.began).Seconds(), 0.1)
	fmt.Fprintf(t.out, "\r\x1b[K%s: %s of %s, %s/s", runner.OneLine(t.what, 60), runner.FormatSize(min(t.done, t.total)), runner.FormatSize(t.total), runner.FormatSize(int64(rate)))
}

// end clears the line.
func (t *transfer) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out != nil && !t.shown.IsZero() {
		fmt.Fprint(t.out, "\r\x1b[K")
	}
}
