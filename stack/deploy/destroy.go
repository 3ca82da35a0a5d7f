package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mayfly/internal/cloud"
)

// emptyTime is how long an instance has to leave its group: a run that is told
// to stop has 20 seconds for its jobs, and a minute to report.
const emptyTime = 15 * time.Minute

// Destroy ends what is running and deletes the deployment's stack. What the
// template says to keep stays. found is false when there is no stack.
func (e *Engine) Destroy(ctx context.Context, name string) (found bool, err error) {
	d, err := e.Rest(ctx, name)
	if err != nil || d == nil {
		return false, err
	}
	resources, err := e.Stacks.Resources(ctx, d.ID)
	if err != nil && !errors.Is(err, cloud.ErrNotFound) {
		return true, err
	}
	if group := GroupOf(resources); group != "" {
		if err := e.empty(ctx, group); err != nil {
			return true, err
		}
	}
	e.Say("Deleting the stack %s:", name)
	return true, e.remove(ctx, d.ID)
}

// GroupOf is the name of the group among a stack's resources, "" when it has
// none. A group of the deployment's name is not the stack's for that: one that
// the stack could not make, because there was another, is not its either.
func GroupOf(resources []cloud.Resource) string {
	for _, r := range resources {
		if r.Type == "AWS::AutoScaling::AutoScalingGroup" && r.Status != "CREATE_FAILED" && !strings.HasPrefix(r.Status, "DELETE_COMPLETE") {
			return r.ID
		}
	}
	return ""
}

// Rest waits until nothing is at work on the deployment's stack, and returns
// it; nil when there is none, or it was being deleted.
func (e *Engine) Rest(ctx context.Context, name string) (*cloud.Stack, error) {
	for range rounds {
		d, err := Mine(ctx, e.Stacks, name)
		if err != nil || d == nil || !InProgress(d.Status) || Unfinished(d.Status) {
			return d, err
		}
		e.Say("Waiting for what is at work on the stack %s (%s):", name, d.Status)
		last, err := e.newest(ctx, d.ID)
		if err != nil {
			return nil, err
		}
		if _, err := e.follow(ctx, d.ID, last); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("stack %s: it does not come to rest; somebody else is at work on it: try again later", name)
}

// empty ends the instances of a group: a group that has any is not deleted.
func (e *Engine) empty(ctx context.Context, group string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, emptyTime, fmt.Errorf("its instances were still there after %s", emptyTime))
	defer cancel()
	told := false
	for {
		g, err := e.Groups.Describe(ctx, group)
		if errors.Is(err, cloud.ErrNotFound) || err == nil && g.Deleting {
			return nil
		}
		if err != nil {
			return err
		}
		if g.Desired > 0 {
			if err := e.Groups.SetDesired(ctx, group, 0); err != nil {
				return err
			}
		}
		if len(g.Instances) == 0 {
			return nil
		}
		if !told {
			told = true
			for _, i := range g.Instances {
				e.Say("Ending the instance %s (%s).", i.ID, i.State)
			}
		}
		if err := e.pause(ctx); err != nil {
			return fmt.Errorf("end the instances of the group %s: %w", group, err)
		}
	}
}
