package cloud

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// A Change is what an update would do to one resource.
type Change struct {
	Action         string // "Add", "Modify", "Remove"
	Resource, Type string // the name in the template
	// Replaced is "True", "False" or "Conditional": whether a resource that is
	// modified is made anew; "" else.
	Replaced   string
	Properties []string // that are modified, sorted
}

const (
	changeSetPause = time.Second
	changeSetTime  = 3 * time.Minute
	cleanupTime    = 20 * time.Second
)

// Changes has CloudFormation work out what an update of a stack that exists
// would do, by means of a change set, which is deleted again. None: there is
// nothing to update. ErrNotFound: there is no such stack.
func (s Stacks) Changes(ctx context.Context, in StackInput) (changes []Change, err error) {
	ctx, cancel := context.WithTimeout(ctx, changeSetTime)
	defer cancel()
	token := token()
	name := aws.String("mayfly-plan-" + *token)
	_, err = s.client.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{
		StackName: &in.Name, ChangeSetName: name, ChangeSetType: types.ChangeSetTypeUpdate,
		TemplateBody: in.template(), Parameters: in.parameters(), Tags: in.tags(), Capabilities: capabilities(),
		ClientToken: token, Description: aws.String("mayfly plan: may be deleted"),
	})
	if isNoUpdate(err) {
		return nil, nil
	}
	if err != nil && isAnswer(err) && ctx.Err() == nil {
		return nil, explainSetup(err, "cloudformation:CreateChangeSet", "stack "+in.Name)
	}
	// Without a reply it may be there all the same.
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		_, derr := s.client.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{StackName: &in.Name, ChangeSetName: name})
		if err == nil {
			err = explainSetup(derr, "cloudformation:DeleteChangeSet", "stack "+in.Name)
		}
	}()
	if err != nil {
		return nil, explainSetup(err, "cloudformation:CreateChangeSet", "stack "+in.Name)
	}
	return s.readChanges(ctx, in.Name, name)
}

// readChanges waits until a change set is there, and reads it.
func (s Stacks) readChanges(ctx context.Context, stack string, name *string) (changes []Change, err error) {
	const action = "cloudformation:DescribeChangeSet"
	input := &cloudformation.DescribeChangeSetInput{StackName: &stack, ChangeSetName: name}
	for {
		out, err := s.client.DescribeChangeSet(ctx, input)
		if err != nil {
			return nil, explainSetup(err, action, "stack "+stack)
		}
		switch said := aws.ToString(out.StatusReason); out.Status {
		case types.ChangeSetStatusFailed:
			if noUpdate(said) {
				return nil, nil
			}
			return nil, fmt.Errorf("work out what would change of stack %s: %s", stack, said)
		case types.ChangeSetStatusCreateComplete:
			for _, c := range out.Changes {
				if c.ResourceChange != nil {
					changes = append(changes, change(c.ResourceChange))
				}
			}
			if input.NextToken = out.NextToken; input.NextToken == nil {
				return changes, nil
			}
			continue
		}
		if err := wait(ctx, s.pause); err != nil {
			return nil, explainSetup(err, action, "stack "+stack)
		}
	}
}

func change(r *types.ResourceChange) Change {
	c := Change{
		Action: string(r.Action), Resource: aws.ToString(r.LogicalResourceId), Type: aws.ToString(r.ResourceType),
		Replaced: string(r.Replacement),
	}
	for _, d := range r.Details {
		if d.Target == nil {
			continue
		}
		what := aws.ToString(d.Target.Name)
		if what == "" {
			what = string(d.Target.Attribute)
		}
		c.Properties = append(c.Properties, what)
	}
	slices.Sort(c.Properties)
	c.Properties = slices.Compact(c.Properties)
	return c
}

// wait returns early, with an error, when ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
