package github

import (
	"context"
	"fmt"
	"time"

	"mayfly/internal/archive"
	"mayfly/runner"
)

// clockSlack is how far two machines' clocks may differ and nobody is told.
const clockSlack = time.Minute

// after is when a segment was made that follows one of the given time: at the
// run's start, unless this machine's clock, or the other's, is wrong. What is
// written last has to be the newest: else the next run would go on from, and
// restore bring, what was there before.
func (t *task) after(last time.Time) time.Time {
	if t.env.Start.Truncate(time.Second).After(last) {
		return t.env.Start
	}
	if by := last.Sub(t.env.Start); by > clockSlack {
		t.job.behind.Do(func() {
			t.warn(runner.Problem{
				Reason: fmt.Sprintf("this machine's clock is %s behind the newest archives, those of %s for one: new ones get a time after theirs", runner.FormatDuration(by), t.r.fullName),
				Fix:    "set the clock of this machine; if it is right, that of the machine which made those archives was wrong",
			})
		})
	}
	return last.Truncate(time.Second).Add(time.Second)
}

// madeLast is when the newest archive was made that is there: what its manifest
// says, or if that cannot be read, at least when its chain was begun.
func (t *task) madeLast(ctx context.Context) time.Time {
	last, began := time.Time{}, t.listed.Began()
	made, err := archive.LastMade(ctx, t.env.Store, t.env.Prefix, t.r.owner(), t.r.name(), t.listed.Full)
	if err != nil {
		t.rec.Log().Info("when the newest archive was made cannot be read", "repository", t.r.fullName, "error", t.env.Redact(err.Error()))
	} else {
		last = made.At
	}
	if last.Before(began) {
		return began
	}
	return last
}
