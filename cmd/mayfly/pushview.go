package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
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

// lineEvery is how often it is said where a transfer stands, where there is no
// terminal.
const lineEvery = time.Minute

func newPushView(a *app) *pushView {
	f, ok := a.stderr.(*os.File)
	v := &pushView{app: a, live: ok && a.getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))}
	if !v.live {
		v.next = time.Now().Add(lineEvery)
	}
	return v
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
	now := time.Now()
	if v.app.quiet || now.Before(v.next) {
		return
	}
	line := fmt.Sprintf("%s  %s  %d %%  %s", runner.CutText(p.Source, 40), runner.FormatSize(p.Bytes), p.Share, p.Rate)
	if !v.live {
		v.next = now.Add(lineEvery)
		fmt.Fprintln(v.app.stderr, line)
		return
	}
	v.next = now.Add(100 * time.Millisecond)
	v.clear()
	fmt.Fprint(v.app.stderr, line)
	v.shown = true
}

// Write takes what rsync and ssh say, and prints whole lines of it.
func (v *pushView) Write(b []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.part = append(v.part, b...)
	for {
		line, rest, whole := bytes.Cut(v.part, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		if !v.app.quiet || !vanished.Match(line) {
			v.clear()
			_, _ = v.app.stderr.Write(v.part[:len(line)+1])
		}
		v.part = append(v.part[:0], rest...)
	}
}

// vanished is what rsync says of files that went while it was looking, which is
// nothing wrong: no mail of cron's.
var vanished = regexp.MustCompile(`^file has vanished: |^rsync warning: some files vanished .*\(code 24\)`)

func (v *pushView) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clear()
}
