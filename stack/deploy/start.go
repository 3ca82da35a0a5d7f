package deploy

import (
	"context"
	"time"
)

// EndAction is the name of the scheduled action that bounds a run which was
// started by hand.
const EndAction = "mayfly-start-end"

// Start has the group launch an instance now. First of all it sees to it that
// the group gives the instance up at end, however the run goes: no other action
// of the schedule may come soon.
func (e *Engine) Start(ctx context.Context, group string, end time.Time) error {
	if err := e.Calm(ctx, group); err != nil {
		return err
	}
	if err := e.Groups.ScheduleOnce(ctx, group, EndAction, end, 0); err != nil {
		return err
	}
	return e.Groups.SetDesired(ctx, group, 1)
}
