package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
)

// groupXML is what DescribeAutoScalingGroups says of one with these instances.
func groupXML(instances, rest string) reply {
	return reply{body: "<AutoScalingGroups><member><AutoScalingGroupName>g</AutoScalingGroupName><MinSize>0</MinSize><MaxSize>1</MaxSize><DesiredCapacity>1</DesiredCapacity><Instances>" +
		instances + "</Instances>" + rest + "</member></AutoScalingGroups>"}
}

const oneInstance = `<member><InstanceId>i-0abc</InstanceId><InstanceType>t4g.nano</InstanceType><AvailabilityZone>eu-west-1b</AvailabilityZone><LifecycleState>Terminating:Wait</LifecycleState><HealthStatus>Unhealthy</HealthStatus><ProtectedFromScaleIn>true</ProtectedFromScaleIn></member>`

func TestGroupDescribe(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	groups := must(c.Groups())
	s.on("DescribeAutoScalingGroups", groupXML(oneInstance, "<Status>Delete in progress</Status><SuspendedProcesses><member><ProcessName>ReplaceUnhealthy</ProcessName></member><member><ProcessName>AZRebalance</ProcessName></member></SuspendedProcesses>"))
	got, err := groups.Describe(t.Context(), "g")
	same(t, got, cloud.Group{
		Name: "g", Max: 1, Desired: 1, Deleting: true, Suspended: []string{"AZRebalance", "ReplaceUnhealthy"},
		Instances: []cloud.GroupInstance{{ID: "i-0abc", Type: "t4g.nano", Zone: "eu-west-1b", State: "Terminating:Wait", Health: "Unhealthy", Protected: true}},
	}, err)
	s.on("DescribeAutoScalingGroups", reply{body: "<AutoScalingGroups></AutoScalingGroups>"})
	_, err = groups.Describe(t.Context(), "g")
	saysAll(t, err, "autoscaling:DescribeAutoScalingGroups group g: it does not exist")
	if !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("%v is no ErrNotFound", err)
	}
}

// TestGroupProcessesAndSize uses the group of the AWS in awstest, which knows
// what suspending and sizes do.
func TestGroupProcessesAndSize(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	s.AddGroup(awstest.Group{Name: "g", Max: 1, Suspended: []string{"ReplaceUnhealthy"}})
	groups := must(c.Groups())
	ctx := t.Context()
	for _, err := range []error{
		groups.Suspend(ctx, "g", "ReplaceUnhealthy", "AZRebalance"), groups.Resume(ctx, "g", "ReplaceUnhealthy"), groups.SetDesired(ctx, "g", 1),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if g := s.Group("g"); g.Desired != 1 || len(g.Instances) != 1 || len(g.Suspended) != 1 || g.Suspended[0] != "AZRebalance" {
		t.Errorf("%+v", g)
	}
	saysAll(t, groups.SetDesired(ctx, "g", 2), "autoscaling:SetDesiredCapacity group g: not accepted", "above max value 1")
	err := groups.Suspend(ctx, "other", "AZRebalance")
	saysAll(t, err, "autoscaling:SuspendProcesses group other: it does not exist")
	if !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("%v is no ErrNotFound", err)
	}
	if err := groups.SetDesired(ctx, "g", 0); err != nil || len(s.Group("g").Instances) != 0 {
		t.Errorf("%+v, %v", s.Group("g"), err)
	}
}

func TestGroupBusy(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"ScalingActivityInProgress", "ResourceContention"} {
		s, c := newStub(t)
		busy := fails(code, "said so")
		s.on("SetDesiredCapacity", busy, busy, reply{})
		if err := must(c.Groups()).SetDesired(t.Context(), "g", 1); err != nil {
			t.Error(err)
		}
		if f := s.last("SetDesiredCapacity").form; f.Get("HonorCooldown") != "false" || f.Get("DesiredCapacity") != "1" {
			t.Errorf("asked for %v", f)
		}
		s.on("SetDesiredCapacity", busy)
		err := must(c.Groups()).SetDesired(t.Context(), "g", 1)
		saysAll(t, err, "another operation is at work on it ("+code+": said so): try again when it has ended")
		if !errors.Is(err, cloud.ErrBusy) {
			t.Errorf("%v is no ErrBusy", err)
		}
	}
}

func TestGroupWaitEmpty(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]reply{"empty": groupXML("", ""), "gone": {body: "<AutoScalingGroups></AutoScalingGroups>"}} {
		s, c := newStub(t)
		s.on("DescribeAutoScalingGroups", groupXML(oneInstance, ""), groupXML(oneInstance, ""), last)
		looks := 0
		if err := must(c.Groups()).WaitEmpty(t.Context(), "g", func(cloud.Group) { looks++ }); err != nil || looks < 2 || len(s.requests("DescribeAutoScalingGroups")) != 3 {
			t.Errorf("%s: %d looks, %v", name, looks, err)
		}
	}
	s, c := newStub(t)
	s.on("DescribeAutoScalingGroups", groupXML(oneInstance, "<SuspendedProcesses><member><ProcessName>Terminate</ProcessName></member></SuspendedProcesses>"))
	ctx, cancel := context.WithCancel(t.Context())
	err := must(c.Groups()).WaitEmpty(ctx, "g", func(cloud.Group) { cancel() })
	saysAll(t, err, "wait until group g is empty: ", "it still has i-0abc (Terminating:Wait)", "resume the group's process Terminate", "remove the protection from scale-in")
	s.on("DescribeAutoScalingGroups", reply{status: 403, code: "AccessDenied", said: "no"})
	saysAll(t, must(c.Groups()).WaitEmpty(t.Context(), "g", nil), "grant autoscaling:DescribeAutoScalingGroups on group g")
}

func TestGroupSchedule(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	groups := must(c.Groups())
	action := func(name, rest string) string {
		return "<member><ScheduledActionName>" + name + "</ScheduledActionName>" + rest + "</member>"
	}
	s.on("DescribeScheduledActions",
		reply{body: "<ScheduledUpdateGroupActions>" + action("start", "<Recurrence>0 17 * * 5</Recurrence><TimeZone>Europe/Berlin</TimeZone><DesiredCapacity>1</DesiredCapacity><StartTime>2026-11-20T16:00:00Z</StartTime>") + "</ScheduledUpdateGroupActions><NextToken>2</NextToken>"},
		reply{body: "<ScheduledUpdateGroupActions>" + action("max", "<MaxSize>1</MaxSize><MinSize>0</MinSize>") + "</ScheduledUpdateGroupActions>"})
	got, err := groups.Schedule(t.Context(), "g")
	same(t, got, []cloud.ScheduledAction{
		{Name: "start", Recurrence: "0 17 * * 5", Zone: "Europe/Berlin", At: time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC), Desired: 1, Min: -1, Max: -1},
		{Name: "max", Desired: -1, Min: 0, Max: 1},
	}, err)

	s.on("PutScheduledUpdateGroupAction", reply{})
	at := time.Date(2026, 11, 20, 18, 0, 0, 999, time.FixedZone("", 3600))
	if err := groups.ScheduleOnce(t.Context(), "g", "end", at, 0); err != nil {
		t.Error(err)
	}
	f := s.last("PutScheduledUpdateGroupAction").form
	if f.Get("StartTime") != "2026-11-20T17:00:00Z" || f.Get("DesiredCapacity") != "0" || f.Has("MinSize") || f.Has("Recurrence") || f.Get("ScheduledActionName") != "end" {
		t.Errorf("asked for %v", f)
	}
	s.on("PutScheduledUpdateGroupAction", fails("ValidationError", "Given start time is in the past"))
	saysAll(t, groups.ScheduleOnce(t.Context(), "g", "end", at, 0), "group g: not accepted", "in the past")
}

// What the action was before has no part in what it is: a request would leave
// alone what it does not name.
func TestGroupScheduleAgain(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	s.on("DeleteScheduledAction", reply{})
	s.on("PutScheduledUpdateGroupAction", reply{})
	again := cloud.ScheduledAction{Name: "start", Recurrence: "0 17 * * FRI", Zone: "Europe/Berlin", Desired: 1}
	if err := must(c.Groups()).ScheduleAgain(t.Context(), "g", again); err != nil {
		t.Fatal(err)
	}
	if f := s.last("DeleteScheduledAction").form; f.Get("ScheduledActionName") != "start" {
		t.Errorf("deleted %v", f)
	}
	f := s.last("PutScheduledUpdateGroupAction").form
	if f.Get("Recurrence") != "0 17 * * FRI" || f.Get("TimeZone") != "Europe/Berlin" || f.Get("DesiredCapacity") != "1" || f.Has("StartTime") || f.Has("MinSize") {
		t.Errorf("asked for %v", f)
	}
	s.on("DeleteScheduledAction", reply{status: 403, code: "AccessDenied", said: "no"})
	saysAll(t, must(c.Groups()).ScheduleAgain(t.Context(), "g", again), "grant autoscaling:DeleteScheduledAction on group g")
}

func TestGroupDeleteScheduled(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	for _, r := range []reply{{}, fails("ValidationError", "Scheduled action name not found"), fails("ValidationError", "AutoScalingGroup name not found - AutoScalingGroup 'g' not found")} {
		s.on("DeleteScheduledAction", r)
		if err := must(c.Groups()).DeleteScheduled(t.Context(), "g", "end"); err != nil {
			t.Error(err)
		}
	}
	if f := s.last("DeleteScheduledAction").form; f.Get("ScheduledActionName") != "end" || f.Get("AutoScalingGroupName") != "g" {
		t.Errorf("asked for %v", f)
	}
}

func TestGroupActivities(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	activity := "<member><Description>Launching a new EC2 instance</Description><Cause>scheduled</Cause><StatusCode>%s</StatusCode><StatusMessage>%s</StatusMessage><StartTime>2026-11-20T16:00:00Z</StartTime></member>"
	s.on("DescribeScalingActivities", reply{body: "<Activities>" + fmt.Sprintf(activity, "Failed", "no capacity") + fmt.Sprintf(activity, "Successful", "") + "</Activities><NextToken>2</NextToken>"})
	at := time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC)
	const launching = "Launching a new EC2 instance"
	got, err := must(c.Groups()).Activities(t.Context(), "g")
	same(t, got, []cloud.Activity{
		{Began: at, What: launching, Cause: "scheduled", Reason: "no capacity", Failed: true},
		{Began: at, What: launching, Cause: "scheduled"},
	}, err)
}
