// Package deploy brings a deployment about with CloudFormation as the engine,
// starts it outside its schedule, and takes it away again. Everything here may
// be cut off anywhere and done again: the same call goes on where the last one
// was.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/cloud"
	"mayfly/stack"
)

// Stacks are what is used of CloudFormation; cloud.Stacks is the real one.
type Stacks interface {
	Describe(ctx context.Context, stack string) (cloud.Stack, error)
	Resources(ctx context.Context, stack string) ([]cloud.Resource, error)
	Events(ctx context.Context, stack string, stop func(cloud.StackEvent) bool) ([]cloud.StackEvent, error)
	Create(ctx context.Context, in cloud.StackInput) (id string, err error)
	Update(ctx context.Context, in cloud.StackInput) (changed bool, err error)
	Delete(ctx context.Context, id string) error
}

// Groups are what is used of EC2 Auto Scaling; cloud.Groups is the real one.
type Groups interface {
	Describe(ctx context.Context, group string) (cloud.Group, error)
	Suspend(ctx context.Context, group string, processes ...string) error
	SetDesired(ctx context.Context, group string, n int) error
	Schedule(ctx context.Context, group string) ([]cloud.ScheduledAction, error)
	ScheduleOnce(ctx context.Context, group, name string, at time.Time, desired int) error
	ScheduleAgain(ctx context.Context, group string, a cloud.ScheduledAction) error
	DeleteScheduled(ctx context.Context, group, name string) error
	Activities(ctx context.Context, group string) ([]cloud.Activity, error)
}

var (
	_ Stacks = cloud.Stacks{}
	_ Groups = cloud.Groups{}
)

// An Engine does the work on one AWS account and region.
type Engine struct {
	Stacks Stacks
	Groups Groups
	Region string // for the commands in what is said
	// Now is the time; nil is time.Now.
	Now func() time.Time
	// Say is told what is happening, a line at a time, without a line break.
	Say func(format string, a ...any)
	// Poll is the pause between two looks at something that takes a while; 0
	// is 2 seconds.
	Poll time.Duration
}

// A Target is a deployment as it is to be.
type Target struct {
	Name     string // of the deployment, and of its stack
	Group    string // the Auto Scaling group that the template makes
	Template []byte
	// Scheduled says that the template has the parameter stack.ParameterArmed.
	Scheduled bool
	// Actions are the scheduled actions that the template makes, as
	// stack.Schedule has them.
	Actions []stack.Action
	// Deadline is how long a run takes at most.
	Deadline time.Duration
	// NewBucket says that the template makes a bucket which is not there yet:
	// then nothing can be uploaded before.
	NewBucket bool
	// Upload puts into the store what an instance fetches, and makes sure that
	// it is there. It is called when the bucket is there and before the
	// schedule is in force.
	Upload func(context.Context) error
}

// A Result is what came of it.
type Result struct {
	Created, Changed bool
	// Ills are what of the group keeps runs from happening. Nothing of it is
	// cured without being asked: somebody may have wanted a pause.
	Ills []Ill
	// Outputs are the stack's.
	Outputs map[string]string
}

// ErrForeign means that a stack of that name is not one of mayfly's, or not of
// this deployment.
var ErrForeign = errors.New("it was not made by mayfly for this deployment")

// Suspended are the processes that a group must not have: either would launch
// a second instance for one that has ended itself.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html
func Suspended() []string { return []string{"AZRebalance", "ReplaceUnhealthy"} }

// Deploy creates the deployment or brings it up to date. The schedule comes
// into force last, when the store holds what an instance fetches and the group
// replaces nothing.
func (e *Engine) Deploy(ctx context.Context, t Target) (Result, error) {
	now, err := e.settle(ctx, t.Name)
	if err != nil {
		return Result{}, err
	}
	var r Result
	switch {
	case now == nil:
		e.Say("Creating the stack %s:", t.Name)
		if err := e.create(ctx, t.input(false)); err != nil {
			return r, err
		}
		r.Created, r.Changed = true, true
	case t.NewBucket:
		if err := e.keepEnd(ctx, t, false); err != nil {
			return r, err
		}
		if r.Changed, err = e.update(ctx, *now, t.input(false)); err != nil {
			return r, err
		}
	}
	// Before anything can start by itself; an earlier call may have been cut.
	if err := e.Calm(ctx, t.Group); err != nil {
		return r, err
	}
	if err := t.Upload(ctx); err != nil {
		return r, err
	}
	if !r.Created || t.Scheduled {
		changed, err := e.arm(ctx, t, now == nil)
		r.Changed = r.Changed || changed
		if err != nil {
			return r, err
		}
	}
	// An update may have made a new group, or somebody may have resumed them.
	g, err := e.calm(ctx, t.Group)
	if err != nil {
		return r, err
	}
	d, err := e.Stacks.Describe(ctx, t.Name)
	if err != nil {
		return r, err
	}
	repaired, err := e.repair(ctx, t, d.ID, false)
	r.Changed, r.Ills, r.Outputs = r.Changed || repaired, Ills(g, e.Region), d.Outputs
	return r, err
}

// arm brings the stack up to date, with the schedule in force. A run at work
// keeps its end.
func (e *Engine) arm(ctx context.Context, t Target, created bool) (changed bool, err error) {
	d, err := e.Stacks.Describe(ctx, t.Name)
	if err != nil {
		return false, err
	}
	if created {
		e.Say("Putting the schedule in force:")
	} else {
		if err := e.keepEnd(ctx, t, true); err != nil {
			return false, err
		}
		if changed, err = e.repair(ctx, t, d.ID, true); err != nil {
			return changed, err
		}
	}
	updated, err := e.update(ctx, d, t.input(true))
	return changed || updated, err
}

func (t Target) input(arm bool) cloud.StackInput {
	in := cloud.StackInput{Name: t.Name, Template: t.Template, Tags: map[string]string{stack.TagKey: t.Name}}
	if t.Scheduled {
		in.Parameters = map[string]string{stack.ParameterArmed: fmt.Sprint(arm)}
	}
	return in
}

// create makes the stack, and takes what is left of it away when that fails.
func (e *Engine) create(ctx context.Context, in cloud.StackInput) error {
	id, err := e.Stacks.Create(ctx, in)
	if err != nil {
		return err
	}
	end, err := e.follow(ctx, id, "")
	if err != nil {
		return err
	}
	if end.status == "CREATE_COMPLETE" {
		return nil
	}
	failed := end.err("create the stack " + in.Name)
	if err := e.remove(ctx, id); err != nil {
		return errors.Join(failed, fmt.Errorf("what is left of it was not removed: %w", err))
	}
	return failed
}

// update changes the stack, if there is anything to change.
func (e *Engine) update(ctx context.Context, now cloud.Stack, in cloud.StackInput) (changed bool, err error) {
	last, err := e.newest(ctx, now.ID)
	if err != nil {
		return false, err
	}
	changed, err = e.Stacks.Update(ctx, in)
	if err != nil || !changed {
		return false, err
	}
	end, err := e.follow(ctx, now.ID, last)
	if err != nil {
		return true, err
	}
	if end.status != "UPDATE_COMPLETE" {
		return true, end.err("update the stack " + in.Name)
	}
	return true, nil
}

// Calm sees to it that the group's processes are suspended that would launch a
// second instance.
func (e *Engine) Calm(ctx context.Context, group string) error {
	_, err := e.calm(ctx, group)
	return err
}

// calm is Calm that returns the group as it then is.
func (e *Engine) calm(ctx context.Context, group string) (cloud.Group, error) {
	g, err := e.Groups.Describe(ctx, group)
	if errors.Is(err, cloud.ErrNotFound) {
		return g, fmt.Errorf("%w: the group %s is gone, and CloudFormation does not make again what somebody has deleted: mayfly destroy, which keeps the data, and then mayfly deploy", err, group)
	}
	if err != nil {
		return g, err
	}
	missing := Unsuspended(g)
	if len(missing) == 0 {
		return g, nil
	}
	if err := e.Groups.Suspend(ctx, group, missing...); err != nil {
		return g, err
	}
	if g, err = e.Groups.Describe(ctx, group); err != nil {
		return g, err
	}
	if missing := Unsuspended(g); len(missing) > 0 {
		return g, fmt.Errorf("suspend %v of the group %s: it was asked for, and they are not suspended: an instance that ends itself would be replaced: try again", missing, group)
	}
	return g, nil
}

// Unsuspended are the processes that a group has and must not have.
func Unsuspended(g cloud.Group) []string {
	is := map[string]bool{}
	for _, p := range g.Suspended {
		is[p] = true
	}
	var list []string
	for _, p := range Suspended() {
		if !is[p] {
			list = append(list, p)
		}
	}
	return list
}

// pause waits between two looks.
func (e *Engine) pause(ctx context.Context) error {
	d := e.Poll
	if d == 0 {
		d = 2 * time.Second
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
