package runner

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ExitCode is what the process exits with: 0 complete, 1 failed, 3 partial,
// 4 interrupted. 2 is a StartupError's.
func (v Verdict) ExitCode() int {
	switch v {
	case VerdictComplete:
		return 0
	case VerdictPartial:
		return 3
	case VerdictInterrupted:
		return 4
	default:
		return 1
	}
}

// worse returns the worse of two verdicts; one that is not known is the worst.
func (v Verdict) worse(o Verdict) Verdict {
	if rank(o) > rank(v) {
		return o
	}
	return v
}

func rank(v Verdict) int {
	switch v {
	case VerdictComplete:
		return 0
	case VerdictPartial:
		return 1
	case VerdictInterrupted:
		return 2
	default:
		return 3
	}
}

// A StartupError says that the run did not start and that nothing was written:
// exit code 2.
type StartupError struct {
	Doing string // "take the lock", "read secret ssm:/x"
	Err   error
}

func (e *StartupError) Error() string { return e.Doing + ": " + e.Err.Error() }
func (e *StartupError) Unwrap() error { return e.Err }

// ErrDeadline is the cause of a run that was cut short by its deadline.
var ErrDeadline = errors.New("the deadline of the run was reached: the next run goes on; give it a later deadline if that happens often")

// A TimeoutError is the cause of a job that used up its own time.
type TimeoutError struct {
	Job   string
	After time.Duration
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("job %s used up its timeout of %s: raise it, or give the job less to do", e.Job, FormatDuration(e.After))
}

// causeOf says in words why ctx ended, "" while it has not.
func causeOf(ctx context.Context) string {
	switch err := context.Cause(ctx); err {
	case nil:
		return ""
	case context.Canceled: // itself: a signal's cause only matches it
		return "cancelled"
	default:
		return err.Error()
	}
}

// tally counts items by outcome.
type tally map[Outcome]int

func tallyOf(items []ItemReport) tally {
	t := tally{}
	for _, it := range items {
		t[it.Outcome]++
	}
	return t
}

// tally counts a job's items, named or not.
func (jr JobReport) tally() tally {
	t := tallyOf(jr.Items)
	for o, n := range jr.Counted {
		t[o] += n
	}
	return t
}

func (t tally) sum() (all int) {
	for _, n := range t {
		all += n
	}
	return all
}

func (t tally) good() int { return t[Done] + t[Changed] + t[Unchanged] + t[Empty] }
func (t tally) bad() int  { return t[Partial] + t[Failed] + t[Interrupted] }

// judge derives the verdict of a job from what it recorded, the error it
// returned and the cause that cut it short, and completes jr with it. A job is
// complete only when it said how many items there are, each of them ended well
// or was excluded, and it returned no error.
func judge(jr JobReport, err error) JobReport {
	t := jr.tally()
	counted := jr.Expected == t.sum() && t.bad() == 0
	switch {
	case err == nil && counted:
		jr.Verdict = VerdictComplete
		jr.Cause = "" // it came after the last item
		return jr
	case jr.Cause != "":
		jr.Verdict = VerdictInterrupted
	case err != nil:
		jr.Verdict = VerdictFailed
	case t.good()+t[Partial] > 0:
		jr.Verdict = VerdictPartial
	default:
		jr.Verdict = VerdictFailed
	}
	switch {
	case err != nil && !(jr.Cause != "" && echo(err, jr.Cause)):
		jr.Error = err.Error()
	case jr.Cause != "":
	case jr.Expected < 0:
		jr.Error = "the job ended without saying how many items there are: its listing did not complete"
	case jr.Expected != t.sum():
		jr.Error = fmt.Sprintf("the job listed %d items but handled %d", jr.Expected, t.sum())
	}
	return jr
}

// echo reports whether a job's error only repeats that its context ended.
func echo(err error, cause string) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || err.Error() == cause
}
