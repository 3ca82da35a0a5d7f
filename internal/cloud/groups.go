package cloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// Groups are those of Amazon EC2 Auto Scaling, in the region in use.
type Groups struct {
	client *autoscaling.Client
	pause  time.Duration // between two looks at something that goes on
}

const groupPause = 5 * time.Second

// Groups sends no request.
func (c *Cloud) Groups() (Groups, error) {
	endpoint := c.endpoint("AUTO_SCALING")
	region, err := c.region("", endpoint)
	if err != nil {
		return Groups{}, err
	}
	return Groups{autoscaling.NewFromConfig(c.cfg, func(o *autoscaling.Options) {
		o.Region = region
		o.BaseEndpoint = endpoint
		o.Retryer = retry.AddWithErrorCodes(c.newRetryer(), "ScalingActivityInProgress", "ResourceContention")
		o.RetryMaxAttempts = 0 // AWS_MAX_ATTEMPTS would overrule it
	}), min(groupPause, c.o.MaxBackoff)}, nil
}

// A Group is an Auto Scaling group as it is now.
type Group struct {
	Name              string
	Min, Max, Desired int
	Instances         []GroupInstance
	Suspended         []string // processes, sorted
	// Deleting says that the group is about to go.
	Deleting bool
}

// A GroupInstance is one in a group. State is its place in the life cycle:
// "Pending", "InService", "Terminating:Wait".
type GroupInstance struct {
	ID, Type, Zone, State, Health string
	Protected                     bool // from scale-in
}

// Describe asks for a group. ErrNotFound: there is none of that name.
func (g Groups) Describe(ctx context.Context, group string) (Group, error) {
	const action = "autoscaling:DescribeAutoScalingGroups"
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := g.client.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{group}})
	if err != nil {
		return Group{}, explainSetup(err, action, "group "+group)
	}
	if len(out.AutoScalingGroups) == 0 {
		return Group{}, notFound(action, "group "+group, ErrNotFound.Error(), "check its name, account and region")
	}
	d := out.AutoScalingGroups[0]
	found := Group{
		Name: aws.ToString(d.AutoScalingGroupName), Deleting: aws.ToString(d.Status) != "",
		Min: int(aws.ToInt32(d.MinSize)), Max: int(aws.ToInt32(d.MaxSize)), Desired: int(aws.ToInt32(d.DesiredCapacity)),
	}
	for _, i := range d.Instances {
		found.Instances = append(found.Instances, GroupInstance{
			ID: aws.ToString(i.InstanceId), Type: aws.ToString(i.InstanceType), Zone: aws.ToString(i.AvailabilityZone),
			State: string(i.LifecycleState), Health: aws.ToString(i.HealthStatus), Protected: aws.ToBool(i.ProtectedFromScaleIn),
		})
	}
	for _, p := range d.SuspendedProcesses {
		found.Suspended = append(found.Suspended, aws.ToString(p.ProcessName))
	}
	slices.Sort(found.Suspended)
	return found, nil
}

// Suspend stops processes of a group ("ReplaceUnhealthy"), whatever others are
// suspended.
func (g Groups) Suspend(ctx context.Context, group string, processes ...string) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := g.client.SuspendProcesses(ctx, &autoscaling.SuspendProcessesInput{AutoScalingGroupName: &group, ScalingProcesses: processes})
	return explainSetup(err, "autoscaling:SuspendProcesses", "group "+group)
}

// Resume undoes Suspend.
func (g Groups) Resume(ctx context.Context, group string, processes ...string) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := g.client.ResumeProcesses(ctx, &autoscaling.ResumeProcessesInput{AutoScalingGroupName: &group, ScalingProcesses: processes})
	return explainSetup(err, "autoscaling:ResumeProcesses", "group "+group)
}

// SetDesired sets the desired capacity, whatever the group did just before.
// With 0 the group terminates its instances, those that are protected from
// scale-in excepted. ErrBusy: it is still about something else.
func (g Groups) SetDesired(ctx context.Context, group string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := g.client.SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{
		AutoScalingGroupName: &group, DesiredCapacity: aws.Int32(int32(n)), HonorCooldown: aws.Bool(false),
	})
	return explainSetup(err, "autoscaling:SetDesiredCapacity", "group "+group)
}

// WaitEmpty waits until a group whose desired capacity is 0 has no instance any
// more, or is gone. A stack whose group has instances is deleted only when they
// have gone, and says nothing of them for up to an hour. look, which may be
// nil, sees the group at each look. When ctx ends first, the error names the
// instances.
func (g Groups) WaitEmpty(ctx context.Context, group string, look func(Group)) error {
	for {
		now, err := g.Describe(ctx, group)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case err != nil:
			return err
		}
		if look != nil {
			look(now)
		}
		if len(now.Instances) == 0 {
			return nil
		}
		if err := wait(ctx, g.pause); err != nil {
			return fmt.Errorf("wait until group %s is empty: %w: it still has %s", group, err, now.remaining())
		}
	}
}

// remaining says what is in the group, and what may hold it there.
func (g Group) remaining() string {
	var list []string
	protected := false
	for _, i := range g.Instances {
		list = append(list, i.ID+" ("+i.State+")")
		protected = protected || i.Protected
	}
	said := strings.Join(list, ", ")
	if slices.Contains(g.Suspended, "Terminate") {
		said += ": resume the group's process Terminate"
	}
	if protected {
		said += ": remove the protection from scale-in"
	}
	return said
}

// An Activity is something that a group has done, or failed to do.
type Activity struct {
	Began               time.Time
	What, Cause, Reason string // "Launching a new EC2 instance"; the reason says why it failed
	Failed              bool
}

// Activities lists the newest of a group, newest first, 100 at most.
func (g Groups) Activities(ctx context.Context, group string) ([]Activity, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := g.client.DescribeScalingActivities(ctx, &autoscaling.DescribeScalingActivitiesInput{
		AutoScalingGroupName: &group, MaxRecords: aws.Int32(100),
	})
	if err != nil {
		return nil, explainSetup(err, "autoscaling:DescribeScalingActivities", "group "+group)
	}
	var list []Activity
	for _, a := range out.Activities {
		list = append(list, Activity{
			Began: aws.ToTime(a.StartTime), What: aws.ToString(a.Description), Cause: aws.ToString(a.Cause),
			Reason: aws.ToString(a.StatusMessage), Failed: a.StatusCode == types.ScalingActivityStatusCodeFailed,
		})
	}
	return list, nil
}
