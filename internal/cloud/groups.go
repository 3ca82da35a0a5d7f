package cloud

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// Groups are those of Amazon EC2 Auto Scaling, in the region in use.
type Groups struct{ client *autoscaling.Client }

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
	})}, nil
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
type GroupInstance struct{ ID, Type, Zone, State, Health string }

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
		return Group{}, &actionError{action: action, resource: "group " + group, kind: ErrNotFound, reason: ErrNotFound.Error(), err: ErrNotFound}
	}
	d := out.AutoScalingGroups[0]
	found := Group{
		Name: aws.ToString(d.AutoScalingGroupName), Deleting: aws.ToString(d.Status) != "",
		Min: int(aws.ToInt32(d.MinSize)), Max: int(aws.ToInt32(d.MaxSize)), Desired: int(aws.ToInt32(d.DesiredCapacity)),
	}
	for _, i := range d.Instances {
		found.Instances = append(found.Instances, GroupInstance{
			ID: aws.ToString(i.InstanceId), Type: aws.ToString(i.InstanceType), Zone: aws.ToString(i.AvailabilityZone),
			State: string(i.LifecycleState), Health: aws.ToString(i.HealthStatus),
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
func (g Groups) SetDesired(ctx context.Context, group string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := g.client.SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{
		AutoScalingGroupName: &group, DesiredCapacity: aws.Int32(int32(n)), HonorCooldown: aws.Bool(false),
	})
	return explainSetup(err, "autoscaling:SetDesiredCapacity", "group "+group)
}

// A ScheduledAction sets a group's desired capacity at a time, or again and
// again.
type ScheduledAction struct {
	Name       string
	Recurrence string    // cron's five fields; "" for once
	Zone       string    // IANA name; "" is UTC
	At         time.Time // the next time, where AWS says it; zero: see Recurrence
	Desired    int       // -1: it leaves the desired capacity alone
}

// Schedule lists a group's scheduled actions.
func (g Groups) Schedule(ctx context.Context, group string) ([]ScheduledAction, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	var list []ScheduledAction
	pages := autoscaling.NewDescribeScheduledActionsPaginator(g.client, &autoscaling.DescribeScheduledActionsInput{AutoScalingGroupName: &group})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explainSetup(err, "autoscaling:DescribeScheduledActions", "group "+group)
		}
		for _, a := range page.ScheduledUpdateGroupActions {
			found := ScheduledAction{
				Name: aws.ToString(a.ScheduledActionName), Recurrence: aws.ToString(a.Recurrence), Zone: aws.ToString(a.TimeZone),
				At: aws.ToTime(a.StartTime), Desired: -1,
			}
			if a.DesiredCapacity != nil {
				found.Desired = int(*a.DesiredCapacity)
			}
			list = append(list, found)
		}
	}
	return list, nil
}

// ScheduleOnce sets the desired capacity once, at a time to come. An action of
// that name is replaced. The sizes are left alone.
func (g Groups) ScheduleOnce(ctx context.Context, group, name string, at time.Time, desired int) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := g.client.PutScheduledUpdateGroupAction(ctx, &autoscaling.PutScheduledUpdateGroupActionInput{
		AutoScalingGroupName: &group, ScheduledActionName: &name, StartTime: aws.Time(at.UTC().Truncate(time.Second)),
		DesiredCapacity: aws.Int32(int32(desired)),
	})
	return explainSetup(err, "autoscaling:PutScheduledUpdateGroupAction", "group "+group)
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
