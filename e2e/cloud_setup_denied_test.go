//go:build e2e

package e2e

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloud"
)

// setupDenied has a user who may do nothing ask for everything.
func setupDenied(t *testing.T, m *moto, _ *cloud.Cloud) {
	m.aws("iam", "create-user", "--user-name", "nobody")
	var key struct {
		AccessKey struct{ AccessKeyId, SecretAccessKey string }
	}
	m.answer(&key, "iam", "create-access-key", "--user-name", "nobody")
	resp, err := http.Post(m.server+"/moto-api/reset-auth", "text/plain", strings.NewReader("0"))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("have IAM enforced: %v, %v", resp, err)
	}
	resp.Body.Close()
	c := m.cloud(t, map[string]string{"AWS_ACCESS_KEY_ID": key.AccessKey.AccessKeyId, "AWS_SECRET_ACCESS_KEY": key.AccessKey.SecretAccessKey})
	ctx := t.Context()
	if who, err := c.Caller(ctx); err != nil || who.ARN != "arn:aws:iam::"+motoAccount+":user/nobody" {
		t.Errorf("%+v, %v", who, err)
	}
	stacks, err1 := c.Stacks()
	groups, err2 := c.Groups()
	ec2, err3 := c.EC2()
	roles, err4 := c.Roles()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	in := stackInput(t, "one", false)
	_, create := stacks.Create(ctx, in)
	_, changes := stacks.Changes(ctx, in)
	_, group := groups.Describe(ctx, "g")
	_, network := ec2.DefaultNetwork(ctx)
	_, spotRole := roles.EnsureSpotRole(ctx)
	_, exists := c.Parameters().Exists(ctx, "/t")
	_, subscriptions := c.Topics().Subscriptions(ctx, m.topic())
	_, look := c.Buckets().Look(ctx, "here", motoAccount)
	for want, err := range map[string]error{
		"grant cloudformation:CreateStack on stack weekly":                    create,
		"grant cloudformation:CreateChangeSet on stack weekly":                changes,
		"grant cloudformation:DeleteStack on stack weekly":                    stacks.Delete(ctx, "weekly"),
		"grant autoscaling:DescribeAutoScalingGroups on group g":              group,
		"grant autoscaling:SuspendProcesses on group g":                       groups.Suspend(ctx, "g", "AZRebalance"),
		"grant autoscaling:PutScheduledUpdateGroupAction on group g":          groups.ScheduleOnce(ctx, "g", "end", time.Now().Add(time.Hour), 0),
		"grant ec2:DescribeVpcs on the default VPC":                           network,
		"grant iam:CreateServiceLinkedRole on the role of spot.amazonaws.com": spotRole,
		"grant ssm:GetParameter on /t":                                        exists,
		"grant ssm:PutParameter on /t":                                        c.Parameters().Put(ctx, "/t", "v", true),
		"grant sns:ListSubscriptionsByTopic on " + m.topic():                  subscriptions,
		"grant sns:Subscribe on " + m.topic():                                 c.Topics().Subscribe(ctx, m.topic(), "you@example.com"),
		"choose another name for it, or grant s3:ListBucket on it":            look,
	} {
		if !errors.Is(err, cloud.ErrDenied) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	wrong := m.cloud(t, map[string]string{"AWS_ACCESS_KEY_ID": key.AccessKey.AccessKeyId, "AWS_SECRET_ACCESS_KEY": "wrong"})
	if _, err := wrong.Caller(ctx); err == nil || !strings.Contains(err.Error(), "the credentials are not accepted") {
		t.Errorf("a wrong key: %v", err)
	}
}
