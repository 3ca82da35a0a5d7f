package cloud

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"
)

// TemplateMax is how many bytes of template a request may carry.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
const TemplateMax = 51200

// Stacks are those of AWS CloudFormation, in the region in use.
type Stacks struct {
	client *cloudformation.Client
	pause  time.Duration // between two looks at something that goes on
}

// Stacks sends no request.
func (c *Cloud) Stacks() (Stacks, error) {
	endpoint := c.endpoint("CLOUDFORMATION")
	region, err := c.region("", endpoint)
	if err != nil {
		return Stacks{}, err
	}
	return Stacks{cloudformation.NewFromConfig(c.cfg, func(o *cloudformation.Options) {
		o.Region = region
		o.BaseEndpoint = endpoint
	}), min(changeSetPause, c.o.MaxBackoff)}, nil
}

// A Stack is what CloudFormation says of one.
type Stack struct {
	ID, Name                  string
	Status, Reason            string // "UPDATE_COMPLETE"; the reason is that of the status
	Parameters, Outputs, Tags map[string]string
	Changed                   time.Time // when it was created or last updated
}

// Describe asks for a stack by its name, or by its id, by which it is found
// even when it has been deleted. ErrNotFound: there is none.
func (s Stacks) Describe(ctx context.Context, stack string) (Stack, error) {
	const action = "cloudformation:DescribeStacks"
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := s.client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &stack})
	if err != nil {
		return Stack{}, explainSetup(err, action, "stack "+stack)
	}
	if len(out.Stacks) == 0 {
		return Stack{}, notFound(action, "stack "+stack, ErrNotFound.Error(), "check its name, account and region")
	}
	d := out.Stacks[0]
	found := Stack{
		ID: aws.ToString(d.StackId), Name: aws.ToString(d.StackName), Status: string(d.StackStatus), Reason: aws.ToString(d.StackStatusReason),
		Parameters: map[string]string{}, Outputs: map[string]string{}, Tags: map[string]string{},
		Changed: aws.ToTime(cmp.Or(d.LastUpdatedTime, d.CreationTime)).UTC(),
	}
	for _, p := range d.Parameters {
		found.Parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	for _, o := range d.Outputs {
		found.Outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	for _, t := range d.Tags {
		found.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return found, nil
}

// A Resource is one of a stack's: the name that the template gives it, its own
// id or name, its type ("AWS::SNS::Topic").
type Resource struct{ Name, ID, Type, Status string }

// Resources lists those that a stack has now.
func (s Stacks) Resources(ctx context.Context, stack string) ([]Resource, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	var list []Resource
	pages := cloudformation.NewListStackResourcesPaginator(s.client, &cloudformation.ListStackResourcesInput{StackName: &stack})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explainSetup(err, "cloudformation:ListStackResources", "stack "+stack)
		}
		for _, r := range page.StackResourceSummaries {
			if r.ResourceStatus == types.ResourceStatusDeleteComplete {
				continue
			}
			list = append(list, Resource{
				Name: aws.ToString(r.LogicalResourceId), ID: aws.ToString(r.PhysicalResourceId),
				Type: aws.ToString(r.ResourceType), Status: string(r.ResourceStatus),
			})
		}
	}
	return list, nil
}

// Template is the text that a stack was made from.
func (s Stacks) Template(ctx context.Context, stack string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := s.client.GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: &stack, TemplateStage: types.TemplateStageOriginal})
	if err != nil {
		return nil, explainSetup(err, "cloudformation:GetTemplate", "stack "+stack)
	}
	return []byte(aws.ToString(out.TemplateBody)), nil
}

// Validate has CloudFormation look at a template's form: not at whether the
// properties are right.
func (s Stacks) Validate(ctx context.Context, template []byte) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := s.client.ValidateTemplate(ctx, &cloudformation.ValidateTemplateInput{TemplateBody: aws.String(string(template))})
	return explainSetup(err, "cloudformation:ValidateTemplate", "the template")
}

// A StackEvent is one line of a stack's history.
type StackEvent struct {
	ID                  string
	At                  time.Time
	Resource, Type      string // the name in the template; of the stack itself, its name
	Status, Reason      string
	PhysicalID, StackID string
}

// OfStack reports whether the event is about the stack as a whole.
func (e StackEvent) OfStack() bool { return e.PhysicalID == e.StackID }

// Events reads a stack's history from now back to the first event for which
// stop is true, and returns what came after that one, oldest first. nil stops
// nowhere: AWS keeps 90 days.
func (s Stacks) Events(ctx context.Context, stack string, stop func(StackEvent) bool) ([]StackEvent, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	var list []StackEvent
	pages := cloudformation.NewDescribeStackEventsPaginator(s.client, &cloudformation.DescribeStackEventsInput{StackName: &stack})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explainSetup(err, "cloudformation:DescribeStackEvents", "stack "+stack)
		}
		for _, e := range page.StackEvents {
			event := StackEvent{
				ID: aws.ToString(e.EventId), At: aws.ToTime(e.Timestamp),
				Resource: aws.ToString(e.LogicalResourceId), Type: aws.ToString(e.ResourceType),
				Status: string(e.ResourceStatus), Reason: aws.ToString(e.ResourceStatusReason),
				PhysicalID: aws.ToString(e.PhysicalResourceId), StackID: aws.ToString(e.StackId),
			}
			if stop != nil && stop(event) {
				slices.Reverse(list)
				return list, nil
			}
			list = append(list, event)
		}
	}
	slices.Reverse(list)
	return list, nil
}

// isRepeated reports whether a request was turned down because its token, a
// random one of this request, is known: it was accepted before, and the reply
// lost.
func isRepeated(err error) bool {
	_, ok := errors.AsType[*types.TokenAlreadyExistsException](err)
	return ok
}

// isNoUpdate reports whether CloudFormation has found nothing to change: only
// the text says so.
func isNoUpdate(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorCode() == "ValidationError" && noUpdate(api.ErrorMessage())
}

func noUpdate(said string) bool {
	return strings.Contains(said, "No updates are to be performed") || strings.Contains(said, "didn't contain changes")
}
