package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mayfly/internal/cloud"
)

// An ending is how an operation on a stack ended.
type ending struct {
	status string // of the stack, at rest
	reason string
	failed []cloud.StackEvent // resources, in order
}

// err says what went wrong, the first cause first.
func (e ending) err(doing string) error {
	var causes []string
	for _, f := range e.failed {
		// What was given up for another's sake is no cause.
		if f.Reason == "" || strings.Contains(f.Reason, "cancelled") || f.OfStack() {
			continue
		}
		causes = append(causes, fmt.Sprintf("%s (%s): %s", f.Resource, f.Type, strings.TrimSpace(f.Reason)))
	}
	if len(causes) == 0 {
		causes = append(causes, orSay(e.reason, "CloudFormation does not say why"))
	}
	return fmt.Errorf("%s: it ended as %s: %s", doing, e.status, strings.Join(causes, "; "))
}

// newest is the id of the newest event of a stack, after which those of an
// operation to come follow.
func (e *Engine) newest(ctx context.Context, id string) (string, error) {
	newest := ""
	_, err := e.Stacks.Events(ctx, id, func(ev cloud.StackEvent) bool {
		newest = ev.ID
		return true
	})
	return newest, err
}

// follow tells the events of a stack after one, "" for all, until it is at
// rest. Being cancelled stops the telling, not CloudFormation.
func (e *Engine) follow(ctx context.Context, id, last string) (ending, error) {
	var end ending
	for {
		// The state first: what led to it is in the events by then.
		d, err := e.Stacks.Describe(ctx, id)
		switch {
		case errors.Is(err, cloud.ErrNotFound):
			end.status = "DELETE_COMPLETE"
			return end, nil
		case err != nil:
			return end, err
		}
		events, err := e.Stacks.Events(ctx, id, func(ev cloud.StackEvent) bool { return ev.ID == last })
		if err != nil && !errors.Is(err, cloud.ErrNotFound) {
			return end, err
		}
		for _, ev := range events {
			last = ev.ID
			if strings.HasSuffix(ev.Status, "_FAILED") {
				end.failed = append(end.failed, ev)
			}
			e.tell(ev)
		}
		if !InProgress(d.Status) {
			end.status, end.reason = d.Status, d.Reason
			return end, nil
		}
		if err := e.pause(ctx); err != nil {
			return end, fmt.Errorf("wait for the stack: %w: CloudFormation goes on by itself, and the same command goes on from there", err)
		}
	}
}

// tell says what became of a resource.
func (e *Engine) tell(ev cloud.StackEvent) {
	if ev.OfStack() {
		return
	}
	kind := strings.TrimPrefix(ev.Type, "AWS::")
	for suffix, word := range map[string]string{
		"CREATE_COMPLETE": "created", "UPDATE_COMPLETE": "updated", "DELETE_COMPLETE": "deleted", "DELETE_SKIPPED": "kept",
	} {
		if ev.Status == suffix {
			e.Say("  %-8s %s (%s)", word, ev.Resource, kind)
		}
	}
	if strings.HasSuffix(ev.Status, "_FAILED") {
		e.Say("  %-8s %s (%s): %s", "FAILED", ev.Resource, kind, strings.TrimSpace(ev.Reason))
	}
}
