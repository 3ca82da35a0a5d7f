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

const (
	pollEvery  = 100 * time.Millisecond
	rateWindow = 5 * time.Second
	// stopShowing is what a reader of the display is waited for at the end.
	stopShowing = 2 * time.Second
)

// A progress shows how a run goes: live lines on a terminal, else a line for
// each item that ended. It writes nothing after Stop.
type progress struct {
	out  io.Writer
	poll func() (runner.Progress, bool)
	now  func() time.Time
	view view

	once sync.Once
	stop chan struct{}
	done chan struct{}
}

// A view is one way of showing it. Its methods are called by one goroutine.
type view interface {
	show(p runner.Progress, now time.Time)
	close()
}

// newProgress makes a progress that shows what poll says ten times a second.
// width is the terminal's, in characters; it counts only when live is set.
func newProgress(out io.Writer, live bool, width int, poll func() (runner.Progress, bool), now func() time.Time) *progress {
	p := &progress{out: out, poll: poll, now: now, stop: make(chan struct{}), done: make(chan struct{})}
	if live {
		p.view = newLiveView(out, width)
	} else {
		p.view = &plainView{out: out}
	}
	return p
}

// Start begins.
func (p *progress) Start() {
	go func() {
		defer close(p.done)
		defer p.view.close()
		t := time.NewTicker(pollEvery)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				p.drain()
			case <-p.stop:
				p.drain()
				return
			}
		}
	}()
}

// drain shows everything there is to say, up to the job that is at work.
func (p *progress) drain() {
	for {
		now, ok := p.poll()
		if !ok {
			return
		}
		p.view.show(now, p.now())
		if !now.Over {
			return
		}
	}
}

// Stop shows the last state and clears the live lines. It returns when nothing
// more will be written, or when nobody has read for a while. It may be called
// again.
func (p *progress) Stop() {
	p.once.Do(func() { close(p.stop) })
	select {
	case <-p.done:
	case <-time.After(stopShowing):
	}
}

// showProgress shows the run that m watches on standard error, so that what is
// piped elsewhere stays the report alone. It ends by itself before the report
// is printed.
func (a *app) showProgress(m *runner.Monitor) (stop func()) {
	if a.quiet {
		return func() {}
	}
	live, width := false, 0
	if f, ok := a.stderr.(*os.File); ok && !a.debug && a.getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd())) {
		live = true
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			width = w
		}
	}
	p := newProgress(a.stderr, live, width, m.Poll, a.now)
	p.Start()
	m.WhenOver(p.Stop)
	return p.Stop
}

// A plainView prints a line for each item that ended and each wait that began.
type plainView struct {
	out     io.Writer
	waiting string
	broken  bool // nobody reads any more
}

func (v *plainView) show(p runner.Progress, _ time.Time) {
	if w := p.Waiting; w == nil {
		v.waiting = ""
	} else if w.Why != v.waiting {
		v.waiting = w.Why
		v.line(fmt.Sprintf("%s: waiting until %s: %s", p.Job, w.Until.Local().Format("15:04:05"), w.Why))
	}
	for _, it := range p.New {
		v.line(p.Job + ": " + ended(it))
	}
}

func (v *plainView) close() {}

func (v *plainView) line(s string) {
	if v.broken {
		return
	}
	if _, err := io.WriteString(v.out, runner.OneLine(s, 1000)+"\n"); err != nil {
		v.broken = true
	}
}

// ended is the line about an item that did.
func ended(it runner.ItemReport) string {
	s := fmt.Sprintf("%s %s", it.Name, it.Outcome)
	if it.Wrote > 0 {
		s += ", " + runner.FormatSize(it.Wrote)
	}
	s += fmt.Sprintf(", %.1f s", it.Ended.Sub(it.Started).Seconds())
	if p := it.Problem; p != nil {
		why := *p
		why.Item = "" // stands there already
		s += ": " + why.String()
	}
	return s
}
