package awstest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/smithy-go"

	"mayfly/internal/awstest"
)

// start returns a server with one group of one instance, and the SDK's client.
func start(t *testing.T, g awstest.Group) (*awstest.Server, *autoscaling.Client) {
	t.Helper()
	s, err := awstest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	g.Name, g.Instances = "g", []string{"i-0abc"}
	s.AddGroup(g)
	return s, autoscaling.New(autoscaling.Options{
		Region: awstest.Region, BaseEndpoint: &s.URL, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(awstest.AccessKey, awstest.SecretKey, ""),
	})
}

func terminate(ctx context.Context, c *autoscaling.Client, id string, decrement bool) error {
	_, err := c.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{
		InstanceId: &id, ShouldDecrementDesiredCapacity: &decrement,
	})
	return err
}

// What ends an instance and what replaces it: the group does as AWS's do.
func TestGroupReplacesWhatIsStillWanted(t *testing.T) {
	t.Parallel()
	one := awstest.Group{Max: 1, Desired: 1}
	held := awstest.Group{Max: 1, Desired: 1, Suspended: []string{"ReplaceUnhealthy"}}
	least := awstest.Group{Min: 1, Max: 1, Desired: 1}
	yes, no := true, false
	for name, c := range map[string]struct {
		group      awstest.Group
		decrement  *bool // nil: the group is not asked
		code       string
		desired    int
		relaunched int
	}{
		"leaves, then is gone":      {one, &yes, "", 0, 0},
		"is gone":                   {one, nil, "", 1, 1},
		"is gone, suspended":        {held, nil, "", 1, 0},
		"leaves without decrement":  {one, &no, "", 1, 1},
		"minimum, then it is gone":  {least, &yes, "ValidationError", 1, 1},
		"suspended does not matter": {held, &yes, "", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client := start(t, c.group)
			if c.decrement != nil {
				err := terminate(t.Context(), client, "i-0abc", *c.decrement)
				if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() != c.code || !ok && c.code != "" {
					t.Fatalf("got %v, want %q", err, c.code)
				}
			}
			s.InstanceGone("i-0abc")
			if g := s.Group("g"); g.Desired != c.desired || g.Relaunched != c.relaunched {
				t.Errorf("%+v", g)
			}
		})
	}
}

func TestGroupSizesAndProcesses(t *testing.T) {
	t.Parallel()
	s, c := start(t, awstest.Group{Max: 2, Desired: 1})
	ctx, name := t.Context(), aws.String("g")
	set := func(n int32) error {
		_, err := c.SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: name, DesiredCapacity: &n})
		return err
	}
	if err := set(3); err == nil {
		t.Error("more than the group's maximum")
	}
	if err := set(2); err != nil {
		t.Error(err)
	}
	in, err := c.DescribeAutoScalingInstances(ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{"i-0abc"}})
	if err != nil || len(in.AutoScalingInstances) != 1 || *in.AutoScalingInstances[0].AutoScalingGroupName != "g" {
		t.Errorf("%+v, %v", in, err)
	}
	if err := set(0); err != nil || len(s.Group("g").Instances) != 0 {
		t.Errorf("%+v, %v", s.Group("g"), err)
	}
	if _, err := c.SuspendProcesses(ctx, &autoscaling.SuspendProcessesInput{AutoScalingGroupName: name, ScalingProcesses: []string{"ReplaceUnhealthy", "AZRebalance"}}); err != nil {
		t.Error(err)
	}
	if _, err := c.ResumeProcesses(ctx, &autoscaling.ResumeProcessesInput{AutoScalingGroupName: name, ScalingProcesses: []string{"AZRebalance"}}); err != nil {
		t.Error(err)
	}
	gs, err := c.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"g"}})
	if err != nil || len(gs.AutoScalingGroups) != 1 {
		t.Fatalf("%+v, %v", gs, err)
	}
	g := gs.AutoScalingGroups[0]
	if *g.DesiredCapacity != 0 || *g.MaxSize != 2 || len(g.SuspendedProcesses) != 1 || *g.SuspendedProcesses[0].ProcessName != "ReplaceUnhealthy" {
		t.Errorf("%+v", g)
	}
}
