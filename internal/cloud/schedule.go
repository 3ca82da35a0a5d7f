package cloud

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
)

// A ScheduledAction sets a group's desired capacity at a time, or again and
// again.
type ScheduledAction struct {
	Name       string
	Recurrence string    // cron's five fields; "" for once
	Zone       string    // IANA name; "" is UTC
	At         time.Time // the next time, where AWS says it; zero: see Recurrence
	Until      time.Time // when it comes for the last time; zero: it goes on
	Desired    int       // -1: it leaves the desired capacity alone
	Min, Max   int       // -1: it leaves the size alone
}

// Schedule lists a group's scheduled actions. ErrNotFound: there is no such
// group.
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
				At: aws.ToTime(a.StartTime), Until: aws.ToTime(a.EndTime),
				Desired: sizeOr(a.DesiredCapacity, -1), Min: sizeOr(a.MinSize, -1), Max: sizeOr(a.MaxSize, -1),
			}
			list = append(list, found)
		}
	}
	return list, nil
}

// ScheduleOnce sets the desired capacity once, at a time to come; AWS may be two
// minutes late. An action of that name gets the new time: let it be none that
// recurs, for what a request leaves out stays as it was. The sizes are left
// alone. When it has happened, the action is gone.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutScheduledUpdateGroupAction.html
func (g Groups) ScheduleOnce(ctx context.Context, group, name string, at time.Time, desired int) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := g.client.PutScheduledUpdateGroupAction(ctx, &autoscaling.PutScheduledUpdateGroupActionInput{
		AutoScalingGroupName: &group, ScheduledActionName: &name, StartTime: aws.Time(at.UTC().Truncate(time.Second)),
		DesiredCapacity: aws.Int32(int32(desired)),
	})
	return explainSetup(err, "autoscaling:PutScheduledUpdateGroupAction", "group "+group)
}

// ScheduleAgain makes an action that sets the desired capacity again and again:
// its Name, Recurrence, Zone and Desired. One of that name is taken away first,
// for what a request leaves out would stay as it was.
func (g Groups) ScheduleAgain(ctx context.Context, group string, a ScheduledAction) error {
	if err := g.DeleteScheduled(ctx, group, a.Name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	in := &autoscaling.PutScheduledUpdateGroupActionInput{
		AutoScalingGroupName: &group, ScheduledActionName: &a.Name, Recurrence: &a.Recurrence, DesiredCapacity: aws.Int32(int32(a.Desired)),
	}
	if a.Zone != "" {
		in.TimeZone = &a.Zone
	}
	_, err := g.client.PutScheduledUpdateGroupAction(ctx, in)
	return explainSetup(err, "autoscaling:PutScheduledUpdateGroupAction", "group "+group)
}

// DeleteScheduled takes a scheduled action away. One that is not there, or
// whose group is not, is as good as taken away.
func (g Groups) DeleteScheduled(ctx context.Context, group, name string) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := g.client.DeleteScheduledAction(ctx, &autoscaling.DeleteScheduledActionInput{AutoScalingGroupName: &group, ScheduledActionName: &name})
	if err = explainSetup(err, "autoscaling:DeleteScheduledAction", "group "+group); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func sizeOr(n *int32, none int) int {
	if n == nil {
		return none
	}
	return int(*n)
}
