package runner

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A Hook is told of a run besides the Publisher, and by other ways: a dead
// man's switch, a webhook, metrics. Its calls return when ctx ends.
type Hook interface {
	// Name is what it is called in problems: "webhook".
	Name() string
	// Begin is called when the run has taken its lock and written that it
	// began.
	Begin(ctx context.Context) error
	// End is called with the report as it stands in the store, whose secrets
	// have been taken out. It is called once, and once more when the run has
	// become worse than complete after that.
	End(ctx context.Context, r *Report) error
	// Last says that End is called after that of all the others, when the report
	// is stored and printed, with what has become of all that in it. It is also
	// called when a run with somebody at the keyboard could not start, of which
	// no one else is told.
	Last() bool
}

const hookTime = 12 * time.Second

// begun tells the hooks that the run has begun, without waiting for them: none
// of them is worth a late start.
func (r *run) begun(ctx context.Context) {
	for _, h := range r.Hooks {
		r.begins.Go(func() {
			err := r.step(ctx, "tell the "+h.Name(), hookTime, h.Begin)
			if err != nil {
				r.log.Warn("cannot tell that the run began", KeyHook, h.Name(), KeyErr, err)
			}
		})
	}
}

// tell calls the End of hooks, all at once; a failure is a problem of the run's.
func (r *run) tell(ctx context.Context, last bool) (changed bool) {
	var hooks []Hook
	for _, h := range r.Hooks {
		if h.Last() == last {
			hooks = append(hooks, h)
		}
	}
	errs := make([]error, len(hooks))
	var all sync.WaitGroup
	for i, h := range hooks {
		all.Go(func() {
			rep := *r.report // whoever does not return in time keeps a copy
			errs[i] = r.step(ctx, "tell the "+h.Name(), hookTime, func(ctx context.Context) error { return h.End(ctx, &rep) })
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			changed = true
			r.problem(VerdictPartial, "tell the "+hooks[i].Name(), err, fmt.Sprintf("the run went as this says; see notify.%s in the config", hooks[i].Name()))
		}
	}
	if changed && last {
		r.correct(ctx, hooks, errs)
	}
	return changed
}

// correct tells those again that have just heard that the run is complete, and
// it is not, for another of them failed.
func (r *run) correct(ctx context.Context, hooks []Hook, errs []error) {
	for i, h := range hooks {
		if errs[i] != nil {
			continue
		}
		rep := *r.report
		if err := r.step(ctx, "tell the "+h.Name(), hookTime, func(ctx context.Context) error { return h.End(ctx, &rep) }); err != nil {
			r.log.Warn("cannot tell that the run is not complete", KeyHook, h.Name(), KeyErr, err)
		}
	}
}

// Unstarted tells those who are told last, dead man's switches, that a run could
// not start. Nothing else is written, sent or printed.
func Unstarted(ctx context.Context, d Deployment, why error) {
	d = d.withDefaults()
	r := &run{Deployment: d, tail: &excerpt{}}
	r.log = newLogger(d.Console, d.Level, r.tail, d.Redact).With(KeyRun, d.RunID)
	r.report = d.newReport()
	r.unstarted(ctx, why)
}

func (r *run) unstarted(ctx context.Context, why error) {
	r.report.Ended = r.Now().UTC()
	p := Problem{Doing: "start", Reason: r.Redact(why.Error()), Fix: "nothing was done"}
	r.report.Problems = append(r.report.Problems, p)
	r.report.Verdict = VerdictFailed
	r.report.redact(r.Redact)
	r.tell(ctx, true)
}
