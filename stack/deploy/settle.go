package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mayfly/internal/cloud"
	"mayfly/stack"
)

// rounds bounds how often a stack is looked at anew before it stands still.
const rounds = 8

// Mine returns the stack of a deployment, nil when there is none. One of that
// name that is not the deployment's is ErrForeign.
func Mine(ctx context.Context, s Stacks, name string) (*cloud.Stack, error) {
	d, err := s.Describe(ctx, name)
	if errors.Is(err, cloud.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if owner := d.Tags[stack.TagKey]; owner != name {
		return nil, fmt.Errorf("stack %s: %w (tag %s is %q): give the deployment another name in the config", name, ErrForeign, stack.TagKey, owner)
	}
	if d.Status == "DELETE_COMPLETE" {
		return nil, nil
	}
	return &d, nil
}

// settle returns the deployment's stack in a state from which it can be
// updated, or nil when one can be created. It waits for what is at work on it,
// and takes away what a creation that failed has left.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
func (e *Engine) settle(ctx context.Context, name string) (*cloud.Stack, error) {
	for range rounds {
		d, err := Mine(ctx, e.Stacks, name)
		if err != nil || d == nil {
			return nil, err
		}
		switch {
		case Unfinished(d.Status):
			e.Say("The stack %s was left unfinished (%s); removing it:", name, d.Status)
			if err := e.remove(ctx, d.ID); err != nil {
				return nil, err
			}
		case InProgress(d.Status):
			e.Say("Waiting for what is at work on the stack %s (%s):", name, d.Status)
			last, err := e.newest(ctx, d.ID)
			if err != nil {
				return nil, err
			}
			if _, err := e.follow(ctx, d.ID, last); err != nil {
				return nil, err
			}
		case Stuck(*d, e.Region) != nil:
			return nil, Stuck(*d, e.Region)
		default:
			return d, nil
		}
	}
	return nil, fmt.Errorf("stack %s: it does not come to rest; somebody else is at work on it: try again later", name)
}

// Unfinished reports whether a stack in that state can only be removed. A stack
// in review is one for which nothing but a change set was made.
func Unfinished(status string) bool {
	switch status {
	case "REVIEW_IN_PROGRESS", "CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED":
		return true
	}
	return false
}

// Stuck is an error about a stack to which nothing can be done before somebody
// has looked at it: AWS refuses updates and change sets. nil for others.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-continueupdaterollback.html
func Stuck(s cloud.Stack, region string) error {
	if s.Status != "UPDATE_ROLLBACK_FAILED" {
		return nil
	}
	return fmt.Errorf("stack %s: an update failed, and so did taking it back (%s): %s; see to that, then aws cloudformation continue-update-rollback --region %s --stack-name %s, and try again",
		s.Name, s.Status, orSay(s.Reason, "look at its events"), region, s.Name)
}

// InProgress reports whether CloudFormation is at work on a stack.
func InProgress(status string) bool { return strings.HasSuffix(status, "_IN_PROGRESS") }

// remove deletes a stack and waits for it to be gone.
func (e *Engine) remove(ctx context.Context, id string) error {
	last, err := e.newest(ctx, id)
	if err != nil {
		return err
	}
	if err := e.Stacks.Delete(ctx, id); err != nil {
		return err
	}
	end, err := e.follow(ctx, id, last)
	if err != nil {
		return err
	}
	if end.status != "DELETE_COMPLETE" {
		return end.err("delete the stack")
	}
	return nil
}

func orSay(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}
