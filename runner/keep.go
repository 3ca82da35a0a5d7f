package runner

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// keep decides whether the machine is kept for someone to look, and has the
// report say so. Only a run that failed is worth it; the deadline holds, and a
// run that was told to stop does not stay.
func (r *run) keep(ctx context.Context) {
	if r.Keep <= 0 || r.Ender == nil || !r.kept.IsZero() || r.report.Verdict != VerdictFailed || ctx.Err() != nil {
		return
	}
	until := r.Now().Add(r.Keep)
	if !r.Deadline.IsZero() && until.After(r.Deadline) {
		until = r.Deadline
	}
	if !until.After(r.Now()) {
		return
	}
	r.kept = until
	p := Problem{
		Reason: fmt.Sprintf("the machine is kept until %s, because the run failed and keep_on_failure is set", until.UTC().Format("15:04 UTC")),
		Fix:    "log in and read: journalctl -u mayfly; to end it sooner: systemctl stop mayfly",
	}
	r.report.Notes = append(r.report.Notes, p)
	r.log.Warn(p.String())
}

// linger waits for as long as the machine is kept, or until ctx ends.
func (r *run) linger(ctx context.Context) {
	r.keep(ctx) // the mail itself may have been what failed
	if r.kept.IsZero() {
		return
	}
	timer := time.NewTimer(r.kept.Sub(r.Now()))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// panicked reports a panic of the run itself, outside of any job.
func (r *run) panicked(ctx context.Context, p any) {
	r.log.Error("the run panicked", KeyErr, fmt.Sprint(p), KeyStack, string(debug.Stack()))
	rep := r.report
	rep.Ended = r.Now().UTC()
	r.problem(VerdictFailed, "run", fmt.Errorf("it panicked: %v", p), "this is a bug in mayfly: please report it")
	r.keep(ctx)
	if r.lock != nil && rep.Published == PublishedOff { // not while it was being delivered
		r.deliver(ctx)
		return
	}
	rep.redact(r.Redact)
	if r.Publisher != nil && rep.Published != PublishedSent {
		r.publish(ctx)
	}
	r.tell(ctx, true) // they may have heard that it is complete
	r.print()
}
