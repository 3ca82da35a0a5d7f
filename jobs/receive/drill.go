package receive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"mayfly/internal/drill"
	"mayfly/internal/store"
	"mayfly/internal/volume"
	"mayfly/runner"
)

// Drill says how often a snapshot is held against its volume.
type Drill struct {
	Every runner.Duration `yaml:"every,required" doc:"how long a drill that passed is good for" example:"30d"`
	Files int             `yaml:"files" doc:"how many files are compared (default 20)" min:"1" max:"1000" example:"20"`
}

// Pattern is the form for the schema.
func (*Drill) Pattern() string { return `^(weekly|monthly)$` }

// UnmarshalText takes the words.
func (d *Drill) UnmarshalText(b []byte) error {
	switch string(b) {
	case "weekly":
		d.Every = runner.Duration(7 * aDay)
	case "monthly":
		d.Every = runner.Duration(30 * aDay)
	default:
		return errors.New("write weekly, monthly, or a mapping like {every: 30d, files: 20}")
	}
	return nil
}

const (
	aDay         = 24 * time.Hour
	defaultFiles = 20
	// drillTime is for all hosts of a run; who is not reached is the next
	// run's.
	drillTime = 6 * time.Minute
	// pendingTime is how long the new snapshot may take to complete, before an
	// older one is taken.
	pendingTime = 2 * time.Minute
	// early is by how much a run may be earlier in the day than the last.
	early = 12 * time.Hour
	// At most so much is read, and of a file.
	drillBytes, drillLarge = 256 << 20, 32 << 20
	drillEntries           = 20_000
)

// drillsFile is what is known of drills, below the job's prefix.
const drillsFile = "drills.json"

// A Drilled is how the last drill of a host ended.
type Drilled struct {
	At       time.Time `json:"at"`
	Run      string    `json:"run"`
	Snapshot string    `json:"snapshot"`
	Files    int       `json:"files"`
	Bytes    int64     `json:"bytes"`
	Problem  string    `json:"problem,omitempty"` // "": it passed
}

type drillsDone struct {
	Format int                `json:"format"` // 1
	Hosts  map[string]Drilled `json:"hosts"`
}

// LastDrills is how the last drill of each host ended, by host.
func LastDrills(ctx context.Context, st store.Store, prefix string) (map[string]Drilled, error) {
	var done drillsDone
	_, err := readDocument(ctx, st, prefix+"/"+drillsFile, &done)
	return done.Hosts, err
}

// drills are those of a run, one at a time.
type drills struct {
	*run
	stopped context.Context // the run's

	mu   sync.Mutex // held by the one that is at work; guards done
	done drillsDone
	// unread is why what has been done is not known: then nothing is drilled,
	// which would forget who failed, and no snapshot removed.
	unread error
}

// newDrills reads what has been done, in a run that is stopped, too: who failed
// has failed still. ctx is the run's: no drill goes on after its end, or delays
// it.
func (r *run) newDrills(ctx context.Context) *drills {
	d := &drills{run: r, stopped: ctx, done: drillsDone{Format: 1, Hosts: map[string]Drilled{}}}
	if r.config.Drill == nil {
		return d
	}
	limit := untellTime
	if ctx.Err() != nil { // little is left of stopTime
		limit = 5 * time.Second
	}
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	last, err := LastDrills(look, r.env.Store, r.env.Prefix)
	d.unread = err
	for name, one := range last {
		d.done.Hosts[name] = one
	}
	return d
}

// due reports whether a host is to have one.
func (d *drills) due(name string) bool {
	if d.config.Drill == nil || d.stopped.Err() != nil {
		return false
	}
	if _, alone := d.restores.active(); alone {
		return false // somebody waits for files
	}
	last, ok := d.done.Hosts[name]
	age := time.Since(last.At) // of one that is still to be, by a clock that was wrong, nothing is known
	return !ok || last.Problem != "" || age < -early || age+early >= time.Duration(d.config.Drill.Every)
}

// drill compares a sample of a snapshot with the volume, which was cleanly
// unmounted and is attached. It never writes to the volume.
func (e *ending) drill(m *volume.Mounted, until time.Time) {
	h, d := e.host, e.drills
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unread != nil {
		e.undrilled = problem(h.name, "find out about the last drill of", d.unread)
		e.undrilled.Fix = cmp.Or(e.undrilled.Fix, "until it can be read there are no drills, and no snapshot is removed; to begin anew, delete "+d.env.Store.URL(d.env.Prefix+"/"+drillsFile))
		return
	}
	if last := d.done.Hosts[h.name]; last.Problem != "" { // it stays so until it is repeated
		e.drilled = &runner.Problem{
			Item: h.name, Doing: "drill", Reason: "the last one, of " + last.At.Format("2 Jan 2006") + ", failed, and was not repeated in this run: " + last.Problem,
			Fix: "the next run tries again; no snapshot was removed",
		}
	}
	if !d.due(h.name) { // in a run that is stopped none is
		return
	}
	ctx, cancel := context.WithDeadline(d.stopped, until)
	defer cancel()
	snap, exact := e.toDrill(ctx)
	switch {
	case ctx.Err() != nil:
		e.rec.Log().Warn("no time is left for a drill of "+h.name+"; the next run has it", "item", h.name)
		return
	case snap.ID == "":
		e.rec.Log().Info("no snapshot of "+h.name+" can be drilled yet", "item", h.name)
		return
	}
	res, err := e.compare(ctx, m, snap, exact)
	damaged := errors.Is(err, volume.ErrDamaged) || errors.Is(err, volume.ErrForeign)
	switch {
	case err != nil && ctx.Err() != nil:
		e.rec.Warn(runner.Problem{Item: h.name, Reason: "the drill with " + snap.ID + " was cut off: " + context.Cause(ctx).Error(), Fix: "the next run does it again"})
		return
	case err != nil && !damaged:
		e.undrilled = problem(h.name, "drill", fmt.Errorf("with %s: %w", snap.ID, err))
		e.undrilled.Fix = cmp.Or(e.undrilled.Fix, "the next run tries again")
		return
	case err == nil && res.Files == 0 && len(res.Different) == 0 && !exact:
		e.rec.Log().Info("no file of "+snap.ID+" is unchanged since: nothing was compared", "item", h.name)
		return
	}
	e.drilled = nil
	one := Drilled{At: time.Now().UTC(), Run: e.env.RunID, Snapshot: snap.ID, Files: res.Files, Bytes: res.Bytes}
	if err != nil {
		one.Problem = fmt.Sprintf("the snapshot %s cannot be read: %v", snap.ID, err)
	} else if n := len(res.Different); n > 0 {
		one.Problem = fmt.Sprintf("the snapshot %s is not as the volume %s: %s", snap.ID, h.volume.ID, strings.Join(res.Different[:min(n, 3)], "; "))
		if n > 3 {
			one.Problem += fmt.Sprintf("; and %d more", n-3)
		}
	}
	if one.Problem != "" {
		e.drilled = &runner.Problem{
			Item: h.name, Doing: "drill", Reason: one.Problem,
			Fix: "look which one is right: mayfly restore " + e.env.Prefix + "/" + h.name + " -o DIR --at " + snap.ID + ", and without --at for the volume; no snapshot was removed",
		}
	} else {
		e.saidDrill = fmt.Sprintf("drill: %s (%s) of %s are as on the volume", runner.FormatCount(res.Files, "files"), runner.FormatSize(res.Bytes), snap.ID)
		e.rec.Log().Info(h.name+": "+e.saidDrill, "item", h.name)
	}
	d.done.Hosts[h.name] = one
	save, cancel := context.WithTimeout(context.WithoutCancel(ctx), untellTime)
	defer cancel()
	if err := replace(save, e.env.Store, e.env.Prefix+"/"+drillsFile, text(d.done)); err != nil {
		e.rec.Log().Warn("how the drill ended cannot be written, and the next run does it again: " + err.Error())
	}
}

// toDrill is the snapshot of this run, when it completes in time: then nothing
// has been changed since. Otherwise it is the newest good one.
func (e *ending) toDrill(ctx context.Context) (s runner.Snapshot, exact bool) {
	what, _ := e.host.outcome()
	last := newestGood(e.host.snapshots)
	if e.taken.ID == "" || what != allThere {
		return last, false
	}
	for end := time.Now().Add(pendingTime); ctx.Err() == nil; {
		all, err := e.env.Volumes.Snapshots(ctx)
		if err != nil {
			break
		}
		for _, one := range all {
			if one.ID == e.taken.ID && good(one) {
				return one, true
			}
		}
		if time.Now().After(end) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
	}
	return last, false
}

// compare has both mounted read-only for as long as it takes.
func (e *ending) compare(ctx context.Context, m *volume.Mounted, snap runner.Snapshot, exact bool) (res drill.Result, err error) {
	c, err := e.copySnapshot(ctx, snap, e.host, newName("drill"))
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, e.drop(e.drills.stopped, c)) }()
	live, err := e.system.OpenReadOnly(ctx, m)
	if err != nil {
		return res, err
	}
	defer func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), hurriedDrop)
		defer cancel()
		if closing := e.system.CloseReadOnly(limited, live); closing != nil {
			e.held = true
			err = errors.Join(err, closing)
		}
	}()
	return answered(ctx, answerTime, func() (drill.Result, error) {
		return drill.Compare(ctx, c.mounted.Point, live.Point, drill.Limits{
			Files: cmp.Or(e.config.Drill.Files, defaultFiles), Bytes: drillBytes, Large: drillLarge, Entries: drillEntries, Exact: exact, Taken: snap.Began,
		})
	})
}

// answerTime is how long a disk may take to answer when the time is up.
const answerTime = 10 * time.Second

// answered is what work returns, which ends with ctx; unless it hangs in the
// kernel, in a read that a disk does not answer: then nobody waits for it.
func answered[T any](ctx context.Context, patience time.Duration, work func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	over := make(chan result, 1)
	go func() {
		v, err := work()
		over <- result{v, err}
	}()
	select {
	case r := <-over:
		return r.value, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-over:
		return r.value, r.err
	case <-time.After(patience):
		var none T
		return none, fmt.Errorf("a disk does not answer: %w", context.Cause(ctx))
	}
}
