package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"mayfly/runner"
)

const (
	nameMin, nameMax = 12, 36
	barWidth         = 20
	itemRest         = barWidth + 28 // an item's line without its name
)

// A liveView keeps one line per item in work and one for the whole job on a
// terminal. Items that did not end well are printed above them, to stay.
type liveView struct {
	bars  *mpb.Progress
	total *row
	items map[string]*row
	n     int // rows made so far: newer ones stand lower
	rate  rate
	job   string
	begun time.Time
}

// A row is one live line.
type row struct {
	bar *mpb.Bar

	mu   sync.Mutex
	text func(width int) string
}

func newLiveView(out io.Writer, width int) *liveView {
	return &liveView{
		bars:  mpb.New(mpb.WithOutput(out), mpb.WithWidth(width), mpb.WithAutoRefresh(), mpb.WithRefreshRate(pollEvery)),
		items: map[string]*row{},
	}
}

// row adds a line. The one with the highest priority is the lowest.
func (v *liveView) row(priority int) *row {
	r := &row{text: func(int) string { return "" }}
	fill := func(w io.Writer, s decor.Statistics) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		_, err := io.WriteString(w, fit(r.text(s.AvailableWidth), s.AvailableWidth))
		return err
	}
	bar, err := v.bars.Add(0, mpb.BarFillerFunc(fill), mpb.BarFillerTrim(), mpb.BarPriority(priority))
	if err != nil { // the terminal is gone
		return r
	}
	r.bar = bar
	return r
}

func (r *row) set(text func(width int) string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = text
}

func (r *row) drop() {
	if r.bar != nil {
		r.bar.Abort(true)
	}
}

func (v *liveView) show(p runner.Progress, now time.Time) {
	if v.total == nil || v.job != p.Job {
		v.restart(p.Job, now)
	}
	for _, it := range p.New {
		if !it.Outcome.Good() && it.Outcome != runner.Skipped {
			fmt.Fprintln(v.bars, runner.OneLine(ended(it), 1000))
		}
	}
	v.rate.add(now, p.Read)
	total := totalLine(p, now, v.rate.perSecond(), now.Sub(v.begun))
	v.total.set(func(int) string { return total })
	open := map[string]bool{}
	for _, it := range p.Open {
		open[it.Name] = true
		r := v.items[it.Name]
		if r == nil {
			v.n++
			r = v.row(v.n)
			v.items[it.Name] = r
		}
		r.set(func(width int) string { return itemLine(it, now, width) })
	}
	for name, r := range v.items {
		if !open[name] {
			r.drop()
			delete(v.items, name)
		}
	}
}

// restart begins the lines of a job.
func (v *liveView) restart(job string, now time.Time) {
	if v.total == nil {
		v.total = v.row(1 << 30)
	}
	v.job, v.begun, v.rate = job, now, rate{}
}

func (v *liveView) close() {
	for _, r := range v.items {
		r.drop()
	}
	if v.total != nil {
		v.total.drop()
	}
	v.bars.Wait()
}

// totalLine is the line of the whole job.
func totalLine(p runner.Progress, now time.Time, rate float64, took time.Duration) string {
	var b strings.Builder
	unit := p.Unit
	if unit == "" {
		unit = "items"
	}
	switch {
	case p.Expected >= 0:
		fmt.Fprintf(&b, "%s  %d of %s", p.Job, p.Ended, runner.FormatCount(p.Expected, unit))
	default:
		fmt.Fprintf(&b, "%s  %d done, listing %s", p.Job, p.Ended, unit)
	}
	if p.Bad > 0 {
		fmt.Fprintf(&b, ", %d not good", p.Bad)
	}
	if w := p.Waiting; w != nil {
		fmt.Fprintf(&b, "  waiting %s: %s", runner.FormatDuration(w.Until.Sub(now)), runner.OneLine(w.Why, 300))
		return b.String()
	}
	fmt.Fprintf(&b, "  %s", runner.FormatSize(p.Read))
	if rate >= 1 {
		fmt.Fprintf(&b, "  %s/s", runner.FormatSize(int64(rate)))
	}
	if left := timeLeft(p, rate, took); left >= time.Second {
		fmt.Fprintf(&b, "  about %s left", runner.FormatDuration(left))
	}
	return b.String()
}

// timeLeft guesses how long the job still takes: what is in work by its bytes,
// for the largest come first, and the rest by the time that one took so far. 0
// means that there is nothing to go by yet.
func timeLeft(p runner.Progress, rate float64, took time.Duration) time.Duration {
	var bytes int64
	for _, it := range p.Open {
		bytes += max(it.Expected-it.Read, 0)
	}
	var left time.Duration
	if rate >= 1 {
		left = time.Duration(min(float64(bytes)/rate, 1e6) * float64(time.Second))
	}
	rest := p.Expected - p.Ended - len(p.Open)
	switch {
	case p.Expected < 0, rest > 0 && p.Ended == 0:
		return 0
	case rest > 0:
		left += took / time.Duration(p.Ended) * time.Duration(rest)
	}
	return left
}

// itemLine is the line of one item in work.
func itemLine(it runner.ItemReport, now time.Time, width int) string {
	name, nameWidth := runner.OneLine(it.Name, 200), min(max(width-itemRest, nameMin), nameMax)
	if n := utf8.RuneCountInString(name); n > nameWidth {
		name = "…" + string([]rune(name)[n-nameWidth+1:])
	}
	bar := strings.Repeat(" ", barWidth+2)
	if it.Expected > 0 {
		full := int(min(it.Read, it.Expected) * barWidth / it.Expected)
		bar = "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "]"
	}
	return fmt.Sprintf("  %-*s %s %8s  %s", nameWidth, name, bar, runner.FormatSize(it.Read), runner.FormatDuration(now.Sub(it.Started)))
}

// fit cuts s to a number of characters.
func fit(s string, width int) string {
	if width < 1 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// A rate is bytes per second over the last few seconds.
type rate struct {
	at    []time.Time
	bytes []int64
}

func (r *rate) add(now time.Time, bytes int64) {
	r.at, r.bytes = append(r.at, now), append(r.bytes, bytes)
	for len(r.at) > 2 && now.Sub(r.at[0]) > rateWindow {
		r.at, r.bytes = r.at[1:], r.bytes[1:]
	}
}

func (r *rate) perSecond() float64 {
	if len(r.at) < 2 {
		return 0
	}
	span := r.at[len(r.at)-1].Sub(r.at[0]).Seconds()
	if span <= 0 {
		return 0
	}
	return float64(r.bytes[len(r.bytes)-1]-r.bytes[0]) / span
}
