package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/runner"
)

// A terminal understands what the live view sends: text, line feeds, cursor up
// and erase below. Everything else is kept as text, where a test will see it.
type terminal struct {
	mu    sync.Mutex
	lines []string
	row   int
	most  int // lines ever used at once
}

var escape = regexp.MustCompile(`^\x1b\[(\d*)([A-Z])`)

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := string(p); s != ""; {
		if m := escape.FindStringSubmatch(s); m != nil {
			s = s[len(m[0]):]
			switch n, _ := strconv.Atoi(m[1]); m[2] {
			case "A":
				t.row = max(t.row-max(n, 1), 0)
			case "J":
				t.lines = t.lines[:min(t.row, len(t.lines))]
			}
			continue
		}
		for len(t.lines) <= t.row {
			t.lines = append(t.lines, "")
		}
		if s[0] == '\n' {
			t.row++
		} else {
			t.lines[t.row] += s[:1]
		}
		s = s[1:]
	}
	t.most = max(t.most, len(t.lines))
	return len(p), nil
}

func (t *terminal) screen() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

// script is a poll function fed by a test.
type script struct {
	mu   sync.Mutex
	next []runner.Progress
	last runner.Progress
}

func (s *script) say(p ...runner.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, p...)
}

func (s *script) poll() (runner.Progress, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.next) == 0 {
		if s.last.Over {
			return runner.Progress{}, false
		}
		p := s.last
		p.New = nil
		return p, p.Job != ""
	}
	s.last, s.next = s.next[0], s.next[1:]
	return s.last, true
}

func item(name string, o runner.Outcome, read, expected int64, why string) runner.ItemReport {
	start := time.Now()
	it := runner.ItemReport{Name: name, Outcome: o, Started: start, Ended: start.Add(1500 * time.Millisecond), Read: read, Wrote: read, Expected: expected}
	if why != "" {
		it.Problem = &runner.Problem{Item: name, Doing: "fetch", Reason: why, Fix: "try again"}
	}
	return it
}

func TestPlainProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &script{}
		p := newProgress(&out, false, 0, s.poll, time.Now)
		until := time.Date(2026, 11, 20, 17, 4, 12, 0, time.Local)
		s.say(
			runner.Progress{Job: "github", Expected: -1, Waiting: &runner.Waiting{Why: "rate limit", Until: until}},
			runner.Progress{Job: "github", Expected: 2, Ended: 1, New: []runner.ItemReport{item("acme/a", runner.Changed, 1_200_000, -1, "")}},
			runner.Progress{Job: "github", Expected: 2, Ended: 2, Over: true, New: []runner.ItemReport{item("acme/b\x1b[31m", runner.Failed, 0, -1, "cut")}},
		)
		p.Start()
		time.Sleep(time.Second)
		p.Stop()
		p.Stop()
		want := "github: waiting until 17:04:12: rate limit\n" +
			"github: acme/a changed, 1.2 MB, 1.5 s\n" +
			"github: acme/b?[31m failed, 1.5 s: fetch: cut: try again\n"
		if out.String() != want {
			t.Errorf("got:\n%s\nwant:\n%s", &out, want)
		}
	})
}

// What ended just before Stop is shown too.
func TestPlainProgressShowsTheLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &script{}
		p := newProgress(&out, false, 0, s.poll, time.Now)
		p.Start()
		s.say(runner.Progress{Job: "j", Over: true, New: []runner.ItemReport{item("a", runner.Empty, 0, -1, "")}})
		p.Stop()
		if out.String() != "j: a empty, 1.5 s\n" {
			t.Errorf("got %q", &out)
		}
	})
}

func TestBrokenPipeIsNoTrouble(t *testing.T) {
	t.Parallel()
	for _, live := range []bool{false, true} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		s := &script{}
		p := newProgress(w, live, 80, s.poll, time.Now)
		s.say(runner.Progress{Job: "j", New: []runner.ItemReport{item("a", runner.Failed, 0, -1, "x")}, Open: []runner.ItemReport{item("b", "", 1, 2, "")}})
		p.Start()
		time.Sleep(300 * time.Millisecond)
		p.Stop()
		w.Close()
	}
}

func TestLiveProgress(t *testing.T) {
	t.Parallel()
	tty := &terminal{}
	s := &script{}
	p := newProgress(tty, true, 60, s.poll, time.Now)
	s.say(runner.Progress{Job: "github", Unit: "repositories", Expected: 3, Ended: 1, Bad: 1, Read: 5_000_000,
		New: []runner.ItemReport{item("acme/broken", runner.Failed, 0, -1, "corrupt object")},
		Open: []runner.ItemReport{
			item("acme/site", "", 50, 100, ""),
			item("acme/"+strings.Repeat("x", 80), "", 1, 0, ""),
		}})
	p.Start()
	waitFor(t, tty, "acme/site", "[==========          ]", "github  1 of 3 repositories, 1 not good", "acme/broken failed")
	for _, l := range strings.Split(tty.screen(), "\n") {
		if n := len([]rune(strings.ToValidUTF8(l, "?"))); n > 64 && !strings.Contains(l, "broken") {
			t.Errorf("line of %d characters: %q", n, l)
		}
	}
	s.say(runner.Progress{Job: "github", Unit: "repositories", Expected: 3, Ended: 2, Read: 7_000_000,
		Waiting: &runner.Waiting{Why: "rate limit", Until: time.Now().Add(90 * time.Second)}})
	waitFor(t, tty, "waiting 1 min", "rate limit", "!acme/site")
	p.Stop()
	if got := strings.TrimSpace(tty.screen()); !strings.HasPrefix(got, "acme/broken failed") || strings.Contains(got, "\n") {
		t.Errorf("after Stop the terminal shows:\n%s", got)
	}
	before := tty.screen()
	fmt.Fprint(tty, "the report\n")
	if got := tty.screen(); !strings.HasPrefix(got, strings.TrimRight(before, "\n")) || !strings.Contains(got, "\nthe report") {
		t.Errorf("what is printed next stands wrong:\n%q", got)
	}
}

// waitFor waits until the screen holds all of it, and nothing marked with "!".
func waitFor(t *testing.T, tty *terminal, want ...string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		screen, missing := tty.screen(), ""
		for _, w := range want {
			gone, not := strings.CutPrefix(w, "!")
			if strings.Contains(screen, gone) == not {
				missing = w
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q never came up; the screen:\n%s", missing, screen)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestTotalLine(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for want, p := range map[string]runner.Progress{
		"j  0 done, listing items  0 B":                        {Job: "j", Expected: -1},
		"j  10 of 40 items  5.0 MB  1.0 MB/s  about 30 s left": {Job: "j", Expected: 40, Ended: 10, Read: 5_000_000},
		// The largest is not nearly done, however fast the small ones were.
		"j  4 of 5 items  5.0 MB  1.0 MB/s  about 1 min 40 s left":            {Job: "j", Expected: 5, Ended: 4, Read: 5_000_000, Open: []runner.ItemReport{{Expected: 101_000_000, Read: 1_000_000}}},
		"j  2 of 4 items  5.0 MB  1.0 MB/s  about 15 s left":                  {Job: "j", Expected: 4, Ended: 2, Read: 5_000_000, Open: []runner.ItemReport{{Expected: 11_000_000, Read: 1_000_000}}},
		"j  0 of 4 items  5.0 MB  1.0 MB/s":                                   {Job: "j", Expected: 4, Read: 5_000_000, Open: []runner.ItemReport{{Expected: 11_000_000, Read: 1_000_000}}},
		"j  1 of 2 items  6.0 MB  1.0 MB/s":                                   {Job: "j", Expected: 2, Ended: 1, Read: 6_000_000, Open: []runner.ItemReport{{Expected: -1, Read: 1_000_000}, {Expected: 5, Read: 1_000_000}}},
		"j  1 of 1 repository, 1 not good  0 B  1.0 MB/s":                     {Job: "j", Unit: "repositories", Expected: 1, Ended: 1, Bad: 1},
		"j  0 of 2 items  waiting 1 min 30 s: secondary rate limit of GitHub": {Job: "j", Expected: 2, Waiting: &runner.Waiting{Why: "secondary rate limit\nof GitHub", Until: now.Add(90 * time.Second)}},
	} {
		rate := 1e6
		if p.Expected < 0 {
			rate = 0
		}
		if got := totalLine(p, now, rate, 10*time.Second); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	var r rate
	now := time.Now()
	for i := range 100 {
		r.add(now.Add(time.Duration(i)*pollEvery), int64(i)*100_000)
	}
	if got := r.perSecond(); got < 0.99e6 || got > 1.01e6 {
		t.Errorf("%f bytes per second, want a million", got)
	}
	if len(r.at) > 60 {
		t.Errorf("%d samples are kept", len(r.at))
	}
}

func TestQuietShowsNothing(t *testing.T) {
	t.Parallel()
	a := &app{stderr: failingWriter{t}, getenv: func(string) string { return "" }, now: time.Now, quiet: true}
	a.showProgress(&runner.Monitor{})()
}

type failingWriter struct{ t *testing.T }

func (w failingWriter) Write(p []byte) (int, error) {
	w.t.Errorf("written: %q", p)
	return 0, errors.New("quiet")
}

var _ io.Writer = failingWriter{}

// A pipe that nobody empties kept the program from ending.
func TestProgressEndsThoughNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		it := runner.ItemReport{Name: "octo/a", Outcome: runner.Changed}
		p := newProgress(w, false, 0, func() (runner.Progress, bool) {
			return runner.Progress{Job: "j", New: []runner.ItemReport{it}}, true
		}, time.Now)
		p.Start()
		time.Sleep(time.Second)
		began := time.Now()
		p.Stop()
		if took := time.Since(began); took != stopShowing {
			t.Errorf("Stop took %v", took)
		}
		r.Close() // lets the display's goroutine go
		w.Close()
		p.Stop()
	})
}
