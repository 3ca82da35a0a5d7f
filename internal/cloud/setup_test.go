package cloud_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
)

// setupCalls are all requests of the clients that set a deployment up: the
// permission that each needs, and the resource that its errors name.
func setupCalls(c *cloud.Cloud) []setupCall {
	topic := awstest.TopicARN("t")
	stacks, groups, ec2, roles := must(c.Stacks()), must(c.Groups()), must(c.EC2()), must(c.Roles())
	in := cloud.StackInput{Name: "weekly"}
	return []setupCall{
		{"cloudformation:DescribeStacks", "stack weekly", func(ctx context.Context) error { _, err := stacks.Describe(ctx, "weekly"); return err }},
		{"cloudformation:ListStackResources", "stack weekly", func(ctx context.Context) error { _, err := stacks.Resources(ctx, "weekly"); return err }},
		{"cloudformation:GetTemplate", "stack weekly", func(ctx context.Context) error { _, err := stacks.Template(ctx, "weekly"); return err }},
		{"cloudformation:ValidateTemplate", "the template", func(ctx context.Context) error { return stacks.Validate(ctx, []byte("{}")) }},
		{"cloudformation:DescribeStackEvents", "stack weekly", func(ctx context.Context) error { _, err := stacks.Events(ctx, "weekly", nil); return err }},
		{"cloudformation:CreateStack", "stack weekly", func(ctx context.Context) error { _, err := stacks.Create(ctx, in); return err }},
		{"cloudformation:UpdateStack", "stack weekly", func(ctx context.Context) error { _, err := stacks.Update(ctx, in); return err }},
		{"cloudformation:DeleteStack", "stack weekly", func(ctx context.Context) error { return stacks.Delete(ctx, "weekly") }},
		{"cloudformation:CreateChangeSet", "stack weekly", func(ctx context.Context) error { _, err := stacks.Changes(ctx, in); return err }},
		{"autoscaling:DescribeAutoScalingGroups", "group g", func(ctx context.Context) error { _, err := groups.Describe(ctx, "g"); return err }},
		{"autoscaling:SuspendProcesses", "group g", func(ctx context.Context) error { return groups.Suspend(ctx, "g", "AZRebalance") }},
		{"autoscaling:ResumeProcesses", "group g", func(ctx context.Context) error { return groups.Resume(ctx, "g", "AZRebalance") }},
		{"autoscaling:SetDesiredCapacity", "group g", func(ctx context.Context) error { return groups.SetDesired(ctx, "g", 1) }},
		{"autoscaling:DescribeScheduledActions", "group g", func(ctx context.Context) error { _, err := groups.Schedule(ctx, "g"); return err }},
		{"autoscaling:PutScheduledUpdateGroupAction", "group g", func(ctx context.Context) error { return groups.ScheduleOnce(ctx, "g", "end", time.Now(), 0) }},
		{"autoscaling:DeleteScheduledAction", "group g", func(ctx context.Context) error { return groups.DeleteScheduled(ctx, "g", "end") }},
		{"autoscaling:DescribeScalingActivities", "group g", func(ctx context.Context) error { _, err := groups.Activities(ctx, "g"); return err }},
		{"ec2:DescribeVpcs", "the default VPC", func(ctx context.Context) error { _, err := ec2.DefaultNetwork(ctx); return err }},
		{"ec2:DescribeSubnets", "subnets subnet-1", func(ctx context.Context) error { _, err := ec2.Subnets(ctx, []string{"subnet-1"}); return err }},
		{"ec2:DescribeInstanceTypes", "instance types t4g.nano", func(ctx context.Context) error { _, err := ec2.InstanceTypes(ctx, []string{"t4g.nano"}); return err }},
		{"ec2:DescribeSpotPriceHistory", "the spot price", func(ctx context.Context) error { _, err := ec2.SpotPrices(ctx, []string{"t4g.nano"}); return err }},
		{"ec2:GetConsoleOutput", "instance i-0abc", func(ctx context.Context) error { _, err := ec2.Console(ctx, "i-0abc"); return err }},
		{"ec2:DescribeInstances", "the instances of weekly", func(ctx context.Context) error { _, err := ec2.Instances(ctx, "mayfly", "weekly"); return err }},
		{"ec2:DescribeVolumes", "the volumes of weekly", func(ctx context.Context) error { _, err := ec2.Volumes(ctx, "mayfly", "weekly"); return err }},
		{"ec2:DescribeSnapshots", "the snapshots of weekly", func(ctx context.Context) error { _, err := ec2.Snapshots(ctx, "mayfly", "weekly"); return err }},
		{"iam:GetRole", "role r", func(ctx context.Context) error { _, err := roles.RoleExists(ctx, "r"); return err }},
		{"iam:GetInstanceProfile", "instance profile p", func(ctx context.Context) error { _, err := roles.ProfileExists(ctx, "p"); return err }},
		{"ssm:GetParameter", "/t/token", func(ctx context.Context) error { _, err := c.Parameters().Exists(ctx, "/t/token"); return err }},
		{"ssm:PutParameter", "/t/token", func(ctx context.Context) error { return c.Parameters().Put(ctx, "/t/token", "ghp_secret", true) }},
		{"ssm:DeleteParameter", "/t/token", func(ctx context.Context) error { return c.Parameters().Remove(ctx, "/t/token") }},
		{"sns:GetTopicAttributes", topic, func(ctx context.Context) error { _, err := c.Topics().TopicExists(ctx, topic); return err }},
		{"sns:ListSubscriptionsByTopic", topic, func(ctx context.Context) error { _, err := c.Topics().Subscriptions(ctx, topic); return err }},
		{"sns:Subscribe", topic, func(ctx context.Context) error { return c.Topics().Subscribe(ctx, topic, "you@example.com") }},
		{"sns:Publish", topic, func(ctx context.Context) error { return c.Topics().Publish(ctx, topic, "s", "b") }},
	}
}

type setupCall struct {
	action, resource string
	do               func(context.Context) error
}

func (s setupCall) name() string { return s.action[strings.Index(s.action, ":")+1:] }

// TestEverySetupCall has each of them throttled twice and then answered with
// what any of them can be answered with.
func TestEverySetupCall(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	for _, call := range setupCalls(c) {
		t.Run(call.action, func(t *testing.T) {
			throttled, denied := "Throttling", "AccessDenied"
			switch service, _, _ := strings.Cut(call.action, ":"); service {
			case "ec2":
				throttled, denied = "RequestLimitExceeded", "UnauthorizedOperation"
			case "ssm":
				throttled, denied = "ThrottlingException", "AccessDeniedException"
			case "sns":
				throttled, denied = "Throttled", "AuthorizationError"
			}
			throttle := fails(throttled, "Rate exceeded")
			who := "User: arn:aws:iam::123456789012:user/me is not authorized to perform: " + call.action
			encoded := ". Encoded authorization failure message: " + strings.Repeat("x", 500)

			s.on(call.name(), throttle, throttle, reply{status: 403, code: denied, said: who + encoded})
			err := call.do(t.Context())
			saysAll(t, err, call.action+" "+call.resource+": access denied ("+denied+": "+who, "grant "+call.action+" on "+call.resource)
			if !errors.Is(err, cloud.ErrDenied) {
				t.Errorf("%v is no ErrDenied", err)
			}
			if denied == "UnauthorizedOperation" && len(err.Error()) > 400 {
				t.Errorf("%d characters: %v", len(err.Error()), err)
			}
			if n := len(s.requests(call.name())); n != 3 {
				t.Errorf("%d requests, want 3", n)
			}

			s.on(call.name(), throttle)
			saysAll(t, call.do(t.Context()), "throttled 5 times in a row", "try again later")

			s.on(call.name(), reply{status: 403, code: "ExpiredToken", said: "The security token included in the request is expired"})
			saysAll(t, call.do(t.Context()), call.action+" "+call.resource, "the AWS credentials have expired", "log in again")

			s.on(call.name(), reply{lose: true})
			saysAll(t, call.do(t.Context()), call.action+" "+call.resource)

			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			saysAll(t, call.do(ctx), call.action+" "+call.resource, "cancelled")
		})
	}
}

// Without a login, every call says how to log in, not only the first.
func TestEverySetupCallWithoutCredentials(t *testing.T) {
	t.Parallel()
	s, _ := newStub(t)
	env := s.env()
	env["AWS_ACCESS_KEY_ID"] = ""
	for _, call := range setupCalls(load(t, env)) {
		err := call.do(t.Context())
		saysAll(t, err, call.action+" "+call.resource+": no AWS credentials were found", "aws sso login")
		if !errors.Is(err, cloud.ErrNoCredentials) {
			t.Errorf("%v is no ErrNoCredentials", err)
		}
	}
}

func TestSetupWithoutRegion(t *testing.T) {
	t.Parallel()
	c := load(t, map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"})
	_, stacks := c.Stacks()
	_, groups := c.Groups()
	_, ec2 := c.EC2()
	_, roles := c.Roles()
	_, exists := c.Parameters().Exists(t.Context(), "/x")
	_, look := c.Buckets().Look(t.Context(), "b", "")
	_, unfinished := c.Buckets().Unfinished(t.Context(), "b", "", "")
	for _, err := range []error{
		stacks, groups, ec2, roles, exists, look, unfinished,
		c.Parameters().Put(t.Context(), "/x", "v", false), c.Parameters().Remove(t.Context(), "/x"),
	} {
		saysAll(t, err, "no AWS region is known: set region in the config, or AWS_REGION")
	}
}

// What AWS says that Explain does not know, or takes for something else.
func TestSetupCodes(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	stacks := must(c.Stacks())
	for _, x := range []struct {
		code, said string
		want       string
		is         error
	}{
		{"OptInRequired", "not subscribed", "does not accept the credentials in this region (OptInRequired: not subscribed): check the region", nil},
		{"AuthFailure", "not able to validate", "check the region; some have to be enabled", nil},
		{"LimitExceededException", "200 stacks", "a quota of the account is used up (LimitExceededException: 200 stacks): remove", nil},
		{"VcpuLimitExceeded", "16 vCPUs", "a quota of the account is used up", nil},
		{"ValidationError", "Template format error: unsupported structure.", "not accepted (ValidationError: Template format error: unsupported structure.)", nil},
		{"ValidationError", "Stack:arn:x is in REVIEW_IN_PROGRESS state and can not be updated.", "not accepted (ValidationError: Stack:arn:x is in REVIEW", nil},
		{"ValidationError", "Stack:arn:x is in UPDATE_ROLLBACK_IN_PROGRESS state and can not be updated.", "try again when it has ended", cloud.ErrBusy},
		{"ValidationError", "Stack [weekly] does not exist", "check its name, account and region", cloud.ErrNotFound},
		{"OperationInProgressException", "busy", "another operation is at work on it", cloud.ErrBusy},
		{"AlreadyExistsException", "Stack [weekly] already exists", "it exists already (AlreadyExistsException", cloud.ErrExists},
	} {
		s.on("UpdateStack", fails(x.code, x.said))
		_, err := stacks.Update(t.Context(), cloud.StackInput{Name: "weekly"})
		saysAll(t, err, "cloudformation:UpdateStack stack weekly: ", x.want)
		for _, kind := range []error{cloud.ErrBusy, cloud.ErrNotFound, cloud.ErrExists, cloud.ErrDenied} {
			if errors.Is(err, kind) != (kind == x.is) {
				t.Errorf("%v: %v is %v", err, kind, kind != x.is)
			}
		}
		if strings.Contains(err.Error(), "check the name or ARN") {
			t.Errorf("%v: it is neither", err)
		}
	}
}
