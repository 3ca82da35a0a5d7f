package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"mayfly/internal/store"
)

const (
	stopTime   = 20 * time.Second  // a job's, from its context's end to its return
	finishTime = 2 * time.Minute   // for all of finish
	startTime  = 150 * time.Second // to take a free lock, or see that it is dead
)

// A run is one execution of a Deployment.
type run struct {
	Deployment
	log    *slog.Logger
	logs   *logStore
	tail   *excerpt
	lock   *Lock
	ahead  *lookout // nil without Notices
	report *Report
	kept   time.Time // until when the machine is kept; zero: it is not
	begins sync.WaitGroup
}

// Run runs the jobs one after the other and reports. One job's failure, panic
// or hang does not stop the next; ctx's end, with its cause, stops all of them.
//
// The error is a *StartupError when the run did not begin: nothing was written
// then; an unattended run has a Report all the same, published and printed, and
// of any run those are told who are told last.
// Else the Report says how it went, and has been stored, published and printed.
// Whatever happens, a panic included, d.Ender is called last.
func Run(ctx context.Context, d Deployment) (rep *Report, err error) {
	d = d.withDefaults()
	r := &run{Deployment: d, logs: newLogStore(d.Store, d.RunID), tail: &excerpt{}}
	r.log = newLogger(d.Console, d.Level, fanout{r.logs, r.tail}, d.Redact).With(KeyRun, d.RunID)
	r.report = d.newReport()
	defer r.end(ctx)
	defer r.last(ctx)
	defer func() {
		if p := recover(); p != nil {
			r.panicked(ctx, p)
			rep, err = r.report, nil
		}
	}()

	jobs, cancel := d.untilDeadline(ctx)
	defer cancel(nil)
	if d.Notices != nil {
		r.ahead = &lookout{from: d.Notices, log: r.log}
		go r.ahead.watch(jobs, cancel)
	}
	if err := r.start(jobs, cancel); err != nil {
		if cause := causeOf(jobs); cause != "" && !strings.Contains(err.Error(), cause) {
			err = fmt.Errorf("%w: %s", err, cause)
		}
		if d.Unattended {
			r.refuse(ctx, err)
			return r.report, err
		}
		r.unstarted(ctx, err)
		return nil, err
	}
	r.logs.keep(ctx)
	r.begun(ctx)
	r.work(jobs)
	if err := r.step(ctx, "end the display", graceTime, func(context.Context) error { r.Monitor.allOver(); return nil }); err != nil {
		r.log.Warn("cannot end the display", KeyErr, err)
	}
	r.finish(ctx, jobs)
	return r.report, nil
}

// Refuse is for an unattended run that cannot even be put together: it
// publishes why, and ends the machine. It writes nothing to the store.
func Refuse(ctx context.Context, d Deployment, why error) *Report {
	d = d.withDefaults()
	r := &run{Deployment: d, tail: &excerpt{}}
	r.log = newLogger(d.Console, d.Level, r.tail, d.Redact).With(KeyRun, d.RunID)
	r.report = d.newReport()
	defer r.end(ctx)
	r.refuse(ctx, why)
	return r.report
}

func (d *Deployment) newReport() *Report {
	r := &Report{
		Format: 1, Deployment: d.Name, Run: d.RunID, Version: d.Version,
		Started: d.started, Next: d.Next, Host: d.Host, Instance: d.Instance,
		Published: PublishedOff, Jobs: []JobReport{}, Notes: slices.Clone(d.Remarks),
		stale: d.Stale, hints: map[string]string{},
	}
	if d.Store != nil {
		r.Store = strings.TrimSuffix(d.Store.URL(""), "/")
		r.Log = d.Store.URL("runs/" + d.RunID + "/log/")
	}
	return r
}

// untilDeadline bounds the jobs: they end early enough before the deadline
// that they can stop and the run can be reported.
func (d *Deployment) untilDeadline(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	if d.Deadline.IsZero() {
		return context.WithCancelCause(ctx)
	}
	left := d.Deadline.Sub(d.started)
	stopping := stopTime
	for _, t := range d.Tasks {
		stopping = max(stopping, t.Stop)
	}
	left -= min(stopping+finishTime, left/2)
	// A deadline of the context, so that nobody begins a wait that outlasts it.
	ctx, stop := context.WithDeadlineCause(ctx, time.Now().Add(left), ErrDeadline)
	jobs, cancel := context.WithCancelCause(ctx)
	return jobs, func(cause error) {
		cancel(cause)
		stop()
	}
}

// start takes the lock and says in the store that the run began.
func (r *run) start(ctx context.Context, cancel context.CancelCauseFunc) error {
	lctx, stop := ctx, context.CancelFunc(func() {})
	if !r.Unattended {
		lctx, stop = context.WithTimeout(ctx, startTime)
	}
	defer stop()
	lock, err := acquire(lctx, r.Store, Holder{Run: r.RunID, Host: r.Host, Since: r.started}, r.Unattended, r.log)
	if err != nil {
		return &StartupError{"take the lock", err}
	}
	r.lock = lock
	lock.keep(ctx, func(err error) {
		r.log.Error("the lock is lost; stopping", KeyErr, err)
		cancel(err)
	})
	if err := r.putStarted(lctx); err != nil {
		r.release(ctx)
		if errors.Is(err, store.ErrExists) {
			err = fmt.Errorf("%w: another run of this machine began in the same second: start it again", err)
		}
		return &StartupError{"write started.json", err}
	}
	r.tidy(lctx)
	r.log.Info("run started", KeyCount, len(r.Tasks), KeyHost, r.Host)
	return nil
}

// tidy drops what runs that were cut off left unfinished, among it whole
// archives' worth of parts that are paid for and that nobody sees. Whatever was
// begun before this run took the lock is nobody's any more, by the store's
// clock.
func (r *run) tidy(ctx context.Context) {
	o, err := r.Store.Stat(ctx, lockKey)
	if err != nil || o.Modified.IsZero() {
		return
	}
	for _, t := range r.Tasks {
		if t.Prefix == "" {
			continue // the rest of the store may be somebody else's
		}
		n, err := r.Store.AbortUploads(ctx, t.Prefix+"/", o.Modified)
		if err != nil {
			r.log.Warn("cannot drop unfinished uploads of earlier runs", KeyJob, t.Name, KeyErr, err)
		}
		if n > 0 {
			r.log.Info("dropped unfinished uploads of earlier runs", KeyJob, t.Name, KeyCount, n)
		}
	}
}

// A Started is runs/RUN-ID/started.json: a run without a report.json next to
// it is still at work, or was cut off.
type Started struct {
	Format     int       `json:"format"` // 1
	Deployment string    `json:"deployment"`
	Run        string    `json:"run"`
	Version    string    `json:"version"`
	Host       string    `json:"host"`
	Instance   *Instance `json:"instance,omitempty"`
	Started    time.Time `json:"started"`
	Deadline   time.Time `json:"deadline,omitzero"`
	Jobs       []string  `json:"jobs"`
}

func (r *run) putStarted(ctx context.Context) error {
	s := Started{
		Format: 1, Deployment: r.Name, Run: r.RunID, Version: r.Version, Host: r.Host,
		Instance: r.Instance, Started: r.started, Deadline: r.Deadline, Jobs: []string{},
	}
	for _, t := range r.Tasks {
		s.Jobs = append(s.Jobs, t.Name)
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	_, err = r.Store.Put(ctx, "runs/"+r.RunID+"/started.json", append(b, '\n'), "")
	return err
}

// work runs the jobs in order. Those that ctx's end left no time for are
// reported as interrupted.
func (r *run) work(ctx context.Context) {
	for _, t := range r.Tasks {
		var jr JobReport
		if cause := causeOf(ctx); cause != "" {
			jr = JobReport{Expected: -1, Items: []ItemReport{}, Verdict: VerdictInterrupted, Cause: cause, Error: "not started"}
		} else {
			jr = r.job(ctx, t)
		}
		jr.Name, jr.Unit = t.Name, t.Unit
		jr.Ageless, jr.To = t.Ageless || t.To != "", t.To
		r.report.Jobs = append(r.report.Jobs, jr)
	}
}

// job runs one job and judges it.
func (r *run) job(ctx context.Context, t Task) JobReport {
	log := r.log.With(KeyJob, t.Name)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if t.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, t.Timeout, &TimeoutError{t.Name, t.Timeout})
		defer stop()
	}
	rec := NewRecorder(log, r.Now)
	rec.held = r.lock.Held
	defer r.Monitor.watch(t.Name, t.Unit, rec, r.Redact)()

	started := r.Now().UTC()
	log.Info("job started")
	cause, err := supervise(ctx, t, rec)
	jr := rec.Snapshot()
	jr.Name, jr.Unit, jr.Cause = t.Name, t.Unit, cause
	jr.Started, jr.Ended = started, r.Now().UTC()
	jr = judge(jr, err)
	if late := (*TimeoutError)(nil); t.Ageless && jr.Verdict == VerdictInterrupted && errors.As(context.Cause(ctx), &late) {
		// No later run goes on with work that was stopped.
		jr.Verdict = VerdictFailed
	}
	log.Info("job ended: "+string(jr.Verdict), KeyTook, jr.Ended.Sub(started).Round(time.Millisecond), KeyCount, jr.handled())
	if jr.Error != "" {
		log.Error(jr.Error)
	}
	r.hint(t, jr)
	return jr
}

// hint asks the job how its items are got back. A panic there costs the hint.
func (r *run) hint(t Task, jr JobReport) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("restore hint panicked", KeyJob, t.Name, KeyErr, fmt.Sprint(p), KeyStack, string(debug.Stack()))
		}
	}()
	if t.Restore != nil {
		r.report.hints[t.Name] = t.Restore(jr)
	}
}

// supervise runs the job until it returns, panics, or has ignored ctx's end
// for 20 s, or as long as it asks for; then it is left behind. cause is why ctx
// ended, if it did before the job did.
func supervise(ctx context.Context, t Task, rec *Recorder) (cause string, err error) {
	done := make(chan error, 1)
	go func() {
		err := errors.New("the job called runtime.Goexit: this is a bug in mayfly")
		defer func() {
			if p := recover(); p != nil {
				rec.Log().Error("job panicked", KeyErr, fmt.Sprint(p), KeyStack, string(debug.Stack()))
				err = fmt.Errorf("the job panicked: %v: this is a bug in mayfly; the log has more", p)
			}
			done <- err
		}()
		err = t.Job.Run(ctx, rec)
	}()
	select {
	case err = <-done:
		return causeOf(ctx), err
	case <-ctx.Done():
	}
	rec.Log().Warn("stopping the job", KeyCause, causeOf(ctx))
	limit := timeToStop(ctx, time.Now(), max(stopTime, t.Stop))
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err = <-done:
	case <-timer.C:
		err = fmt.Errorf("the job did not stop within %s and was left behind", FormatDuration(limit))
	}
	return causeOf(ctx), err
}
