package runner

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"
)

// A Recorder takes down what a job does, item by item. It is safe for
// concurrent use and never blocks. What a job has recorded survives its panic
// or hang.
type Recorder struct {
	log  *slog.Logger
	now  func() time.Time
	held func(context.Context) error // nil outside a run

	mu       sync.Mutex
	expected int // -1: the listing is not complete
	order    []*Item
	open     []*Item // in work, oldest first
	ended    []*Item // in the order in which they ended
	counted  tally   // those without a name, which are in neither list
	bad      int     // of the ended: neither good nor skipped
	read     int64   // over all items
	wrote    int64
	folded   int64 // of the wrote: of items that were folded
	warnings []Problem
	waiting  *Waiting
}

// NewRecorder returns an empty Recorder that logs to log.
func NewRecorder(log *slog.Logger, now func() time.Time) *Recorder {
	return &Recorder{log: log, now: now, expected: -1}
}

// Log is the job's log.
func (r *Recorder) Log() *slog.Logger { return r.log }

// Held asks the store whether this run still has the lock. Call it before
// anything destructive, and do nothing destructive after an error.
func (r *Recorder) Held(ctx context.Context) error {
	if r.held == nil {
		return nil
	}
	return r.held(ctx)
}

// Expect says that the listing is complete and holds so many items. A job that
// never says so cannot be complete.
func (r *Recorder) Expect(items int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected = items
}

// Start opens an item.
func (r *Recorder) Start(name string) *Item {
	it := &Item{rec: r, name: name, started: r.now(), expected: -1}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order = append(r.order, it)
	r.open = append(r.open, it)
	return it
}

// Count adds n items that ended so, and of which nothing but that is kept. It
// is for jobs with more items than a report should name.
func (r *Recorder) Count(o Outcome, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(o, n)
}

func (r *Recorder) count(o Outcome, n int) {
	if r.counted == nil {
		r.counted = tally{}
	}
	r.counted[o] += n
	if !o.Good() && o != Skipped {
		r.bad += n
	}
}

// Wait says that the job waits, for what, and until when; the zero time ends it.
func (r *Recorder) Wait(why string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until.IsZero() {
		r.waiting = nil
		return
	}
	r.waiting = &Waiting{why, until}
}

// Warn records a problem that is no item's own and does not change the
// verdict: something the reader should know.
func (r *Recorder) Warn(p Problem) {
	r.mu.Lock()
	r.warnings = append(r.warnings, p)
	r.mu.Unlock()
	r.log.Warn(p.String())
}

// An Item is one thing a job handles: a repository, a host.
type Item struct {
	rec  *Recorder
	name string

	// guarded by rec.mu
	started, ended time.Time
	expected       int64
	read, wrote    int64
	lastGood       time.Time
	outcome        Outcome
	exit           *int
	detail         string
	problem        *Problem
}

// Expect says about how many bytes there will be to receive.
func (it *Item) Expect(bytes int64) { it.do(func() { it.expected = bytes }) }

// Read adds bytes received.
func (it *Item) Read(n int64) { it.do(func() { it.read += n; it.rec.read += n }) }

// Wrote adds bytes made durable.
func (it *Item) Wrote(n int64) { it.do(func() { it.wrote += n; it.rec.wrote += n }) }

// LastGood says when the newest good backup of this item, from before this
// run, was made; the zero time says there is none.
func (it *Item) LastGood(t time.Time) { it.do(func() { it.lastGood = t }) }

// Exit says with which status the item's program ended.
func (it *Item) Exit(status int) { it.do(func() { it.exit = &status }) }

// Say adds what the report says of the item besides how it ended: one line,
// whose first word is the item's name.
func (it *Item) Say(detail string) { it.do(func() { it.detail = detail }) }

// Fold closes the item, and keeps only that there was one which ended so: see
// Count. After End it does nothing.
func (it *Item) Fold(o Outcome) {
	it.do(func() {
		if it.outcome != "" {
			return
		}
		it.outcome, it.ended = o, it.rec.now()
		r := it.rec
		r.open = without(r.open, it)
		r.order = without(r.order, it)
		r.count(o, 1)
		r.folded += it.wrote
	})
}

// Forget drops an item that turned out to be none.
func (it *Item) Forget() {
	it.do(func() {
		if it.outcome == "" {
			it.rec.open = without(it.rec.open, it)
			it.rec.order = without(it.rec.order, it)
		}
	})
}

// End closes the item. The first call wins; later ones do nothing.
func (it *Item) End(o Outcome, p *Problem) {
	it.do(func() {
		if it.outcome != "" {
			return
		}
		it.outcome, it.problem, it.ended = o, p, it.rec.now()
		if o.Good() && o != Done { // which is work, and no backup
			it.lastGood = it.ended
		}
		it.rec.close(it)
	})
}

// close moves an item from the open ones to the ended; r.mu is held.
func (r *Recorder) close(it *Item) {
	r.open = without(r.open, it)
	r.ended = append(r.ended, it)
	if !it.outcome.Good() && it.outcome != Skipped {
		r.bad++
	}
}

// without is list without an item, which is looked for from the end: what is
// in work has begun last.
func without(list []*Item, it *Item) []*Item {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == it {
			return slices.Delete(list, i, i+1)
		}
	}
	return list
}

func (it *Item) do(f func()) {
	it.rec.mu.Lock()
	defer it.rec.mu.Unlock()
	f()
}

// Waiting is what a job is waiting for.
type Waiting struct {
	Why   string    `json:"why"`
	Until time.Time `json:"until"`
}

// An ItemReport is one item as it stands.
type ItemReport struct {
	Name     string    `json:"name"`
	Outcome  Outcome   `json:"outcome"`
	Open     bool      `json:"-"` // still in work
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
	Expected int64     `json:"-"` // bytes, -1 unknown
	Read     int64     `json:"read_bytes"`
	Wrote    int64     `json:"wrote_bytes"`
	// LastGood is when the newest good backup was made; zero: there is none.
	LastGood time.Time `json:"last_good,omitzero"`
	// Detail is what else there is to say of it, in words.
	Detail string `json:"detail,omitempty"`
	// Exit is the status with which the item's program ended, -1 when a signal
	// ended it; nil where there was none.
	Exit    *int     `json:"exit_status,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
}

// A JobReport is one job as it stands: a copy, safe to keep.
type JobReport struct {
	Name     string       `json:"name"`
	Verdict  Verdict      `json:"verdict"`
	Started  time.Time    `json:"started,omitzero"`
	Ended    time.Time    `json:"ended,omitzero"`
	Unit     string       `json:"unit,omitempty"`  // what an item is, plural: "repositories"
	Cause    string       `json:"cause,omitempty"` // what cut the job short
	Expected int          `json:"expected"`        // items; -1: the listing did not complete
	Items    []ItemReport `json:"items"`
	// Counted are the items that are not among Items, by how they ended, and
	// CountedBytes what was written for them.
	Counted      map[Outcome]int `json:"counted,omitempty"`
	CountedBytes int64           `json:"counted_bytes,omitempty"`
	Warnings     []Problem       `json:"warnings,omitempty"`
	Error        string          `json:"error,omitempty"` // the job's own, beyond its items'
	Waiting      *Waiting        `json:"-"`

	// Ageless says that no item is a backup that could grow old: Task.Ageless, or
	// a job that brings files To a directory.
	Ageless bool   `json:"ageless,omitempty"`
	To      string `json:"to,omitempty"` // Task.To
}

// Snapshot copies the state, items in name order. Open items count as
// interrupted. Verdict and Error are the runner's to fill.
func (r *Recorder) Snapshot() JobReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	jr := JobReport{Expected: r.expected, Items: make([]ItemReport, 0, len(r.order))}
	for _, it := range r.order {
		jr.Items = append(jr.Items, it.report())
	}
	sort.SliceStable(jr.Items, func(i, k int) bool { return jr.Items[i].Name < jr.Items[k].Name })
	jr.Warnings = append([]Problem(nil), r.warnings...)
	jr.Waiting = r.waiting.copy()
	jr.Counted, jr.CountedBytes = maps.Clone(r.counted), r.folded
	return jr
}

// report copies one item; rec.mu is held.
func (it *Item) report() ItemReport {
	ir := ItemReport{
		Name: it.name, Outcome: it.outcome, Started: it.started, Ended: it.ended,
		Expected: it.expected, Read: it.read, Wrote: it.wrote, LastGood: it.lastGood, Exit: it.exit, Detail: it.detail,
	}
	if it.outcome == "" {
		ir.Outcome, ir.Open = Interrupted, true
	}
	if it.problem != nil {
		p := *it.problem
		ir.Problem = &p
	}
	return ir
}

func (w *Waiting) copy() *Waiting {
	if w == nil {
		return nil
	}
	c := *w
	return &c
}

// A Progress is what a display needs to know ten times a second: its size does
// not depend on how many items there are.
type Progress struct {
	Job         string
	Unit        string // what an item is, plural; may be ""
	Over        bool   // the job is over
	Expected    int    // items; -1: the listing is not complete
	Ended, Bad  int    // items; Bad of the ended are neither good nor skipped
	Read, Wrote int64
	Open        []ItemReport // in work, oldest first
	New         []ItemReport // ended since the call that returned Next = from
	Next        int          // for the next call
	Waiting     *Waiting
}

// Progress says how far the job is. from is the Next of the call before, 0 at
// first.
func (r *Recorder) Progress(from int) Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Progress{
		Expected: r.expected, Ended: len(r.ended) + r.counted.sum(), Bad: r.bad, Next: len(r.ended),
		Read: r.read, Wrote: r.wrote, Waiting: r.waiting.copy(),
	}
	for _, it := range r.open {
		p.Open = append(p.Open, it.report())
	}
	for _, it := range r.ended[min(from, len(r.ended)):] {
		p.New = append(p.New, it.report())
	}
	return p
}
