package deploy

import (
	"context"
	"time"
)

// EndAction is the name of the scheduled action that bounds a run which was
// started by hand.
const EndAction = "mayfly-start-end"

// An IllError says why nothing was started.
type IllError struct {
	Group string
	Ills  []Ill
}

func (e *IllError) Error() string {
	s := "nothing was started in the group " + e.Group + ":"
	for _, i := range e.Ills {
		s += "\n  " + i.What + ": " + i.Cure
	}
	return s
}

// Started takes the end away that Start set, once what it was for has ended: it
// would end the next run of the schedule if that is at work then.
func (e *Engine) Started(ctx context.Context, group string) error {
	return e.Groups.DeleteScheduled(ctx, group, EndAction)
}

// Start has the group launch an instance now. First of all it sees to it that
// the group gives the instance up at end, however the run goes: no other action
// of the schedule may come soon.
//
// A group in which that would not happen, or no instance would start, is
// refused: an IllError.
func (e *Engine) Start(ctx context.Context, group string, end time.Time) error {
	g, err := e.Groups.Describe(ctx, group)
	if err != nil {
		return err
	}
	if ills := Ills(g, e.Region); len(ills) > 0 {
		return &IllError{group, ills}
	}
	if err := e.Calm(ctx, group); err != nil {
		return err
	}
	if err := e.Groups.ScheduleOnce(ctx, group, EndAction, end, 0); err != nil {
		return err
	}
	return e.Groups.SetDesired(ctx, group, 1)
}
