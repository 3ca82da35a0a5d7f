package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"mayfly/internal/store"
)

// A Past is what a store knows of one run.
type Past struct {
	Run     string
	Started *Started // nil: the store has none that can be read
	Report  *Report  // nil: the run is at work, or was cut off
	// Live says that the run has no report and holds the lock.
	Live bool
}

// State is the verdict, "running", or "cut off".
func (p Past) State() string {
	switch {
	case p.Report != nil:
		return string(p.Report.Verdict)
	case p.Live:
		return "running"
	}
	return "cut off"
}

// Deployment is whose run it is, "" where nothing says so.
func (p Past) Deployment() string {
	switch {
	case p.Report != nil:
		return p.Report.Deployment
	case p.Started != nil:
		return p.Started.Deployment
	}
	return ""
}

// Began is when the run began, from its id if nothing else says so.
func (p Past) Began() time.Time {
	switch {
	case p.Report != nil:
		return p.Report.Started
	case p.Started != nil:
		return p.Started.Started
	}
	t, _ := time.Parse(runStamp, p.Run[:min(len(p.Run), len(runStamp))])
	return t
}

const (
	runStamp  = "20060102T150405Z" // at the beginning of every run's id
	pastMax   = 256 << 20          // bytes of a report; 50,000 repositories have about 15 MB
	allMonths = 12                 // that are looked into one by one, from now
)

var runForm = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[a-z0-9-]{1,63}$`)

// RunIDs lists the newest runs of a store, newest first, at most limit. It
// looks into the last months one by one, so that a store with years of logs is
// not listed as a whole, unless nothing is there.
func RunIDs(ctx context.Context, st store.Store, now time.Time, limit int) ([]string, error) {
	var runs []string
	now = now.UTC().AddDate(0, 0, 1) // the runs' clocks may be ahead
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	for n := 0; n <= allMonths && len(runs) < limit; n++ {
		prefix := "runs/" + month.AddDate(0, -n, 0).Format("200601")
		if n == allMonths {
			if len(runs) > 0 {
				break
			}
			prefix = "runs/"
		}
		found, err := runsBelow(ctx, st, prefix)
		if err != nil {
			return nil, err
		}
		runs = append(runs, found...)
	}
	return runs[:min(len(runs), limit)], nil
}

// runsBelow lists the runs whose keys begin with prefix, newest first.
func runsBelow(ctx context.Context, st store.Store, prefix string) ([]string, error) {
	var runs []string
	for o, err := range st.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list the runs in %s: %w", st.URL("runs"), err)
		}
		run, _, ok := strings.Cut(strings.TrimPrefix(o.Key, "runs/"), "/")
		if ok && runForm.MatchString(run) && (len(runs) == 0 || runs[len(runs)-1] != run) {
			runs = append(runs, run)
		}
	}
	slices.Sort(runs)
	slices.Reverse(runs)
	return slices.Compact(runs), nil
}

// RunInstance is the machine that a run's id names: "i-0abc" of
// "20261120T170412Z-i-0abc".
func RunInstance(run string) string {
	_, instance, _ := strings.Cut(run, "-")
	return instance
}

// ErrNoRun says that a store has no such run.
var ErrNoRun = errors.New("the store has no such run")

// ReadPast reads what the store knows of a run: ErrNoRun when it knows nothing.
func ReadPast(ctx context.Context, st store.Store, run string) (Past, error) {
	p := Past{Run: run}
	if !runForm.MatchString(run) {
		return p, fmt.Errorf("read run %s: %w: an id is like 20261120T170412Z-i-0abc", OneLine(run, 80), ErrNoRun)
	}
	var err error
	if p.Started, err = readJSON[Started](ctx, st, "runs/"+run+"/started.json"); err != nil {
		return p, err
	}
	report := "runs/" + run + "/report.json"
	if p.Report, err = readJSON[Report](ctx, st, report); err != nil {
		return p, err
	}
	if p.Report == nil {
		if p.Live, err = holds(ctx, st, run); err != nil {
			return p, err
		}
	}
	if p.Report == nil && !p.Live { // it may just have ended
		if p.Report, err = readJSON[Report](ctx, st, report); err != nil {
			return p, err
		}
	}
	if p.Started == nil && p.Report == nil {
		return p, fmt.Errorf("read run %s in %s: %w", run, st.URL("runs"), ErrNoRun)
	}
	return p, nil
}

// holds reports whether a run has the lock: not released, and not gone stale by
// the store's clock or, where the store does not tell its time, this machine's.
func holds(ctx context.Context, st store.Store, run string) (bool, error) {
	h, o, err := readLock(ctx, st)
	if errors.Is(err, store.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	now := o.Now
	if now.IsZero() {
		now = time.Now()
	}
	return h.Run == run && !h.Released && now.Sub(o.Modified) < leaseTime, nil
}

// readJSON reads a small document; nil when there is none.
func readJSON[T any](ctx context.Context, st store.Store, key string) (*T, error) {
	body, _, err := st.Open(ctx, key, 0, -1)
	if errors.Is(err, store.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", st.URL(key), err)
	}
	defer body.Close()
	v := new(T)
	if err := json.NewDecoder(io.LimitReader(body, pastMax)).Decode(v); err != nil {
		return nil, fmt.Errorf("read %s: %w: it is not what mayfly wrote", st.URL(key), err)
	}
	return v, nil
}

// WriteLog writes those pieces of a run's log to w that follow piece number
// after, and returns the number of the last one written.
func WriteLog(ctx context.Context, w io.Writer, st store.Store, run string, after int) (int, error) {
	prefix := "runs/" + run + "/log/"
	for o, err := range st.List(ctx, prefix) {
		if err != nil {
			return after, fmt.Errorf("list the log of run %s: %w", run, err)
		}
		var n int
		if _, err := fmt.Sscanf(strings.TrimPrefix(o.Key, prefix), "%d.txt", &n); err != nil || n <= after {
			continue
		}
		body, _, err := st.Open(ctx, o.Key, 0, -1)
		if err != nil {
			return after, fmt.Errorf("read the log of run %s: %w", run, err)
		}
		_, err = io.Copy(w, body)
		body.Close()
		if err != nil {
			return after, fmt.Errorf("copy the log of run %s: %w", run, err)
		}
		after = n
	}
	return after, nil
}

// Counts says in a few words what the run was about: "42 repositories, 3
// changed".
func (r *Report) Counts() string { return OneLine(strings.Join(r.sums(), ", "), 200) }

// Ageless reports whether none of the jobs makes backups that grow old.
func (r *Report) Ageless() bool {
	return len(r.Jobs) > 0 && !slices.ContainsFunc(r.Jobs, func(jr JobReport) bool { return !jr.Ageless })
}

// OldestGood is the item whose newest good backup is the oldest, by job and
// name, and when that was made; the job alone where it is one of those that are
// only counted. The zero time: no item has one.
func (r *Report) OldestGood() (name string, at time.Time) {
	for _, jr := range r.Jobs {
		a := jr.ages(r.Ended, 0)
		if !a.oldest.IsZero() && (at.IsZero() || a.oldest.Before(at)) {
			name, at = strings.TrimSpace(jr.Name+" "+a.oldestName), a.oldest
		}
	}
	return OneLine(name, 200), at
}

// Never are the items that no run has ever backed up well, by job and name.
func (r *Report) Never() []string {
	var list []string
	for _, jr := range r.Jobs {
		for _, name := range jr.ages(r.Ended, 0).never {
			list = append(list, OneLine(jr.Name+" "+name, 200))
		}
	}
	return list
}
