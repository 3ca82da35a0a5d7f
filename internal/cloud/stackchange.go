package cloud

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// A StackInput is a stack as it is to be. Its template has TemplateMax bytes
// at most.
type StackInput struct {
	Name       string
	Template   []byte
	Parameters map[string]string
	Tags       map[string]string
}

// Create begins to create a stack and returns its id. What fails is rolled
// back, resources that are to be retained included: they are empty then.
// ErrExists: there is a stack of that name.
func (s Stacks) Create(ctx context.Context, in StackInput) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := s.client.CreateStack(ctx, &cloudformation.CreateStackInput{
		StackName: &in.Name, TemplateBody: aws.String(string(in.Template)),
		Parameters: in.parameters(), Tags: in.tags(), Capabilities: capabilities(),
		ClientRequestToken: token(), RetainExceptOnCreate: aws.Bool(true),
	})
	if err != nil {
		return "", explainSetup(err, "cloudformation:CreateStack", "stack "+in.Name)
	}
	return aws.ToString(out.StackId), nil
}

// Update begins to update a stack; changed says whether there is anything to
// update. ErrBusy: an update is at work already.
func (s Stacks) Update(ctx context.Context, in StackInput) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err = s.client.UpdateStack(ctx, &cloudformation.UpdateStackInput{
		StackName: &in.Name, TemplateBody: aws.String(string(in.Template)),
		Parameters: in.parameters(), Tags: in.tags(), Capabilities: capabilities(),
		ClientRequestToken: token(), RetainExceptOnCreate: aws.Bool(true),
	})
	if isNoUpdate(err) {
		return false, nil
	}
	return err == nil, explainSetup(err, "cloudformation:UpdateStack", "stack "+in.Name)
}

// Delete begins to delete a stack. ErrBusy: an update is at work on it.
func (s Stacks) Delete(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := s.client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &id, ClientRequestToken: token()})
	return explainSetup(err, "cloudformation:DeleteStack", "stack "+id)
}

// A Change is what an update would do to one resource.
type Change struct {
	Action         string // "Add", "Modify", "Remove"
	Resource, Type string
	// Replaced is "True", "False" or "Conditional": whether the resource is
	// made anew.
	Replaced   string
	Properties []string // that are modified
}

const (
	changeSetPause = time.Second
	changeSetTime  = 3 * time.Minute
	cleanupTime    = 20 * time.Second
)

// Changes has CloudFormation work out what an update of a stack that exists
// would do, by means of a change set, which is deleted again. None: there is
// nothing to update.
func (s Stacks) Changes(ctx context.Context, in StackInput) (changes []Change, err error) {
	ctx, cancel := context.WithTimeout(ctx, changeSetTime)
	defer cancel()
	resource := "stack " + in.Name
	name := aws.String("mayfly-plan-" + *token())
	made, err := s.client.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{
		StackName: &in.Name, ChangeSetName: name, ChangeSetType: types.ChangeSetTypeUpdate,
		TemplateBody: aws.String(string(in.Template)), Parameters: in.parameters(), Tags: in.tags(), Capabilities: capabilities(),
		Description: aws.String("mayfly plan: may be deleted"),
	})
	if isNoUpdate(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explainSetup(err, "cloudformation:CreateChangeSet", resource)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		_, derr := s.client.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{StackName: &in.Name, ChangeSetName: made.Id})
		if err == nil {
			err = explainSetup(derr, "cloudformation:DeleteChangeSet", resource)
		}
	}()
	input := &cloudformation.DescribeChangeSetInput{StackName: &in.Name, ChangeSetName: made.Id}
	for {
		out, err := s.client.DescribeChangeSet(ctx, input)
		if err != nil {
			return nil, explainSetup(err, "cloudformation:DescribeChangeSet", resource)
		}
		switch out.Status {
		case types.ChangeSetStatusFailed:
			if noUpdate(aws.ToString(out.StatusReason)) {
				return nil, nil
			}
			return nil, fmt.Errorf("work out what would change of %s: %s", resource, aws.ToString(out.StatusReason))
		case types.ChangeSetStatusCreateComplete:
			for _, c := range out.Changes {
				changes = append(changes, change(c.ResourceChange)...)
			}
			if input.NextToken = out.NextToken; input.NextToken == nil {
				return changes, nil
			}
			continue
		}
		select {
		case <-time.After(changeSetPause):
		case <-ctx.Done():
			return nil, explainSetup(ctx.Err(), "cloudformation:DescribeChangeSet", resource)
		}
	}
}

func change(r *types.ResourceChange) []Change {
	if r == nil {
		return nil
	}
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
	return []Change{c}
}

func (in StackInput) parameters() []types.Parameter {
	var list []types.Parameter
	for _, k := range slices.Sorted(maps.Keys(in.Parameters)) {
		list = append(list, types.Parameter{ParameterKey: aws.String(k), ParameterValue: aws.String(in.Parameters[k])})
	}
	return list
}

func (in StackInput) tags() []types.Tag {
	var list []types.Tag
	for _, k := range slices.Sorted(maps.Keys(in.Tags)) {
		list = append(list, types.Tag{Key: aws.String(k), Value: aws.String(in.Tags[k])})
	}
	return list
}

// capabilities lets a template make a role under a name of its own.
func capabilities() []types.Capability { return []types.Capability{types.CapabilityCapabilityNamedIam} }

// token makes a request that is sent twice, because the first reply was lost,
// count once.
func token() *string {
	b := make([]byte, 12)
	rand.Read(b) // never fails
	return aws.String(hex.EncodeToString(b))
}
