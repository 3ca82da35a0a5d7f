package deploy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"mayfly/internal/cloud"
	"mayfly/stack"
)

// repair puts scheduled actions of the stack back as the template has them.
// CloudFormation does not look at what it has made: one that somebody has
// deleted or changed stays like that until its template changes, and if it has
// been deleted, that update fails. goneOnly leaves those alone that are there.
func (e *Engine) repair(ctx context.Context, t Target, stackID string, goneOnly bool) (repaired bool, err error) {
	if len(t.Actions) == 0 {
		return false, nil
	}
	resources, err := e.Stacks.Resources(ctx, stackID)
	if err != nil {
		return false, err
	}
	there, err := e.Groups.Schedule(ctx, t.Group)
	if err != nil {
		return false, err
	}
	for _, a := range t.Actions {
		name := ""
		for _, r := range resources {
			if r.Name == a.Resource && !strings.HasPrefix(r.Status, "DELETE") {
				name = actionName(r.ID, t.Group)
			}
		}
		if name == "" { // not in force
			continue
		}
		i := slices.IndexFunc(there, func(s cloud.ScheduledAction) bool { return s.Name == name })
		if i >= 0 && (goneOnly || isAction(there[i], a)) {
			continue
		}
		what := "was gone"
		if i >= 0 {
			what = "had been changed"
		}
		e.Say("Putting %s back, which %s: %s", a.Resource, what, strings.TrimSpace(a.Recurrence+" "+a.Zone))
		again := cloud.ScheduledAction{Name: name, Recurrence: a.Recurrence, Zone: a.Zone, Desired: a.Desired}
		if err := e.Groups.ScheduleAgain(ctx, t.Group, again); err != nil {
			return repaired, err
		}
		repaired = true
	}
	return repaired, nil
}

// actionName is the name of a scheduled action in its stack. CloudFormation's
// id of a resource that has two parts is both, with | between them.
func actionName(id, group string) string {
	for _, part := range strings.Split(id, "|") {
		if part != group {
			return part
		}
	}
	return id
}

// isAction reports whether a scheduled action is as the template has it.
func isAction(s cloud.ScheduledAction, a stack.Action) bool {
	utc := func(zone string) string {
		if zone == "UTC" || zone == "Etc/UTC" {
			return ""
		}
		return zone
	}
	return s.Recurrence == a.Recurrence && utc(s.Zone) == utc(a.Zone) && s.Desired == a.Desired &&
		s.Min == -1 && s.Max == -1 && s.Until.IsZero()
}

// keepEnd sees to it that a run at work has an end when the update to come
// changes or takes away the action that would have ended it. The time is that
// of the old end action where it comes before the next start; or else the
// deadline and its margin from now on.
func (e *Engine) keepEnd(ctx context.Context, t Target, arm bool) error {
	g, err := e.Groups.Describe(ctx, t.Group)
	if errors.Is(err, cloud.ErrNotFound) {
		return nil
	}
	if err != nil || g.Desired == 0 && len(g.Instances) == 0 {
		return err
	}
	there, err := e.Groups.Schedule(ctx, t.Group)
	if err != nil {
		return err
	}
	now := e.now()
	var start, end time.Time // the next of the schedule
	next := func(of *time.Time, at time.Time) {
		if at.After(now) && (of.IsZero() || at.Before(*of)) {
			*of = at
		}
	}
	for _, s := range there {
		switch {
		case s.Desired == 0 && s.Recurrence == "" && s.At.After(now):
			e.sayEnd(s.At)
			return nil
		case s.Desired == 0:
			next(&end, s.At)
		case s.Desired > 0:
			next(&start, s.At)
		}
		for _, a := range t.Actions {
			if arm && a.Desired == 0 && isAction(s, a) {
				return nil // it stays
			}
		}
	}
	at := now.Add(t.Deadline + stack.EndMargin)
	if !end.IsZero() && (start.IsZero() || end.Before(start)) {
		// Two actions of a group cannot have the same time.
		at = end.Add(time.Minute + time.Second)
	}
	if err := e.Groups.ScheduleOnce(ctx, t.Group, EndAction, at, 0); err != nil {
		return err
	}
	e.sayEnd(at)
	return nil
}

func (e *Engine) sayEnd(at time.Time) {
	e.Say("A run is at work, or waits for its instance. It goes on as it was deployed; whatever happens, it ends at %s.", at.UTC().Format("Mon 2 Jan 2006 15:04 UTC"))
}

func (e *Engine) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}
