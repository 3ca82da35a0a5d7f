package cloud

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/smithy-go"
)

const (
	// groupAnswer is how long one request to Auto Scaling may go unanswered:
	// short, for whoever leaves a group has half a minute for all of it.
	groupAnswer     = 8 * time.Second
	groupMaxBackoff = 4 * time.Second
)

// ErrNoGroup means that an instance is in no Auto Scaling group.
var ErrNoGroup = errors.New("it is in no Auto Scaling group")

// LeaveGroup ends an instance through its Auto Scaling group, with the desired
// capacity decremented: no other instance takes its place. It is never asked
// without the decrement, which would order a replacement.
//
// Throttling, activities in progress, contention, server errors and silence are
// tried again until ctx ends. ErrNoGroup means that there is nothing to leave;
// with ErrDenied, or when the group's minimum size is its desired one, trying
// again is of no use. Sources: TerminateInstanceInAutoScalingGroup in the Auto
// Scaling API reference.
//
// The request names the instance only, AWS knows the group: so neither a
// Describe permission nor instance tags are needed. group is what to call it in
// an error.
func (c *Cloud) LeaveGroup(ctx context.Context, instance, group string) error {
	const action = "autoscaling:TerminateInstanceInAutoScalingGroup"
	endpoint := c.endpoint("AUTO_SCALING")
	region, err := c.region("", endpoint)
	if err != nil {
		return err
	}
	client := autoscaling.NewFromConfig(c.cfg, func(o *autoscaling.Options) {
		o.Region = region
		o.BaseEndpoint = endpoint
		o.Retryer = c.groupRetryer()
		o.RetryMaxAttempts = 0 // AWS_MAX_ATTEMPTS would overrule it
		if c.o.HTTPClient == nil {
			o.HTTPClient = boundedClient(groupAnswer)
		}
	})
	_, err = client.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{
		InstanceId:                     aws.String(instance),
		ShouldDecrementDesiredCapacity: aws.Bool(true),
	})
	return explainGroup(err, action, instance, group)
}

// explainGroup tells the ValidationErrors apart: only their text does.
func explainGroup(err error, action, instance, group string) error {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "ValidationError" {
		e := &actionError{action: action, resource: instance, err: err}
		switch said := api.ErrorMessage(); {
		case strings.Contains(said, "No managed instance found"):
			e.kind, e.reason = ErrNoGroup, ErrNoGroup.Error()
			return e
		case strings.Contains(said, "minSize"):
			e.reason = "the group's minimum size keeps it (" + said + ")"
			e.fix = "let no scheduled action set the minimum size of group " + group + " above 0"
			return e
		}
	}
	return Explain(err, action, "group "+group)
}

// groupRetryer goes on until the context ends, also after what the SDK takes
// for final.
func (c *Cloud) groupRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = math.MaxInt32 // the SDK takes 0 for 3
		o.MaxBackoff = min(groupMaxBackoff, c.o.MaxBackoff)
		o.RateLimiter = ratelimit.None
		o.Retryables = append(o.Retryables, retry.RetryableErrorCode{Codes: map[string]struct{}{
			"ScalingActivityInProgress": {}, "ResourceContention": {},
		}})
	})
}
