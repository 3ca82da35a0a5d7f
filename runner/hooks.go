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
	// End is called once, with the report as it stands in the store, whose
	// secrets have been taken out.
	End(ctx context.Context, r *Report) error
	// Last says that End is called after that of all the others, with what has
	// become of them in the report.
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
	return changed
}
