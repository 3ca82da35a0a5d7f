package main

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"

	"mayfly/push"
	"mayfly/runner"

	"golang.org/x/term"
)

// A pushView shows a push: on a terminal one line that is written over, and
// above it what stays.
type pushView struct {
	app   *app
	live  bool
	mu    sync.Mutex
	shown bool
	next  time.Time
	part  []byte // of what rsync says, without its line's end
}

func newPushView(a *app) *pushView {
	f, ok := a.stderr.(*os.File)
	return &pushView{app: a, live: ok && !a.quiet && a.getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))}
}

// say prints a line that stays.
func (v *pushView) say(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clear()
	if !v.app.quiet {
		fmt.Fprintf(v.app.stderr, format+"\n", args...)
	}
}

// clear takes the live line away.
func (v *pushView) clear() {
	if v.shown {
		fmt.Fprint(v.app.stderr, "\r\x1b[K")
		v.shown = false
	}
}

func (v *pushView) progress(p push.Progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := time.Now(); v.live && !now.Before(v.next) {
		v.next = now.Add(100 * time.Millisecond)
		v.clear()
		fmt.Fprintf(v.app.stderr, "%s  %s  %d %%  %s", runner.CutText(p.Source, 40), runner.FormatSize(p.Bytes), p.Share, p.Rate)
		v.shown = true
	}
}

// Write takes what rsync and ssh say, and prints whole lines of it.
func (v *pushView) Write(b []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.part = append(v.part, b...)
	if i := bytes.LastIndexByte(v.part, '\n'); i >= 0 {
		v.clear()
		_, _ = v.app.stderr.Write(v.part[:i+1])
		v.part = append(v.part[:0], v.part[i+1:]...)
	}
	return len(b), nil
}

func (v *pushView) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clear()
}
