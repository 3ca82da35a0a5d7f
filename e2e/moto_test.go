//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/gittest"
)

// TestMotoRole runs the binary under a role that has the policy which mayfly
// itself computes, at an AWS that checks it, and then takes one action after
// the other out of the policy: each time something else comes out, and what is
// said names the permission that is missing.
func TestMotoRole(t *testing.T) {
	t.Parallel()
	m := newMoto(t)
	m.world.repo("small", gittest.Normal)
	if err := gittest.Big(m.world.bare("large"), 6<<20, 1); err != nil {
		t.Fatal(err)
	}
	m.prepare()

	// What comes out with the whole policy, and what without the action.
	scenarios := []motoScenario{
		{action: "s3:GetObject", with: "complete", without: "exit code 2", says: "grant s3:GetObject"},
		{action: "s3:PutObject", with: "complete", without: "exit code 2", says: "grant s3:PutObject"},
		{action: "s3:ListBucket", with: "complete", without: "failed", says: "grant s3:ListBucket on"},
		{action: "ssm:GetParameter", with: "complete", without: "exit code 2", says: "grant ssm:GetParameter on /moto/token"},
		{action: "secretsmanager:GetSecretValue", with: "complete", without: "exit code 2", says: "grant secretsmanager:GetSecretValue on moto-token"},
		{action: "cloudwatch:PutMetricData", with: "complete", without: "exit code 3, partial", says: "grant cloudwatch:PutMetricData on mayfly"},
		{action: "sns:Publish", with: "complete", without: "failed", says: "grant sns:Publish on " + m.topic()},
		{
			action: "s3:AbortMultipartUpload", with: "failed, 0 unfinished uploads", without: "failed, 1 unfinished uploads",
			says: "grant s3:AbortMultipartUpload on", fault: &motoFault{refusePart: true},
		},
		{
			action: "s3:ListBucketMultipartUploads", with: "failed, 0 unfinished uploads", without: "failed, 1 unfinished uploads",
			says: "grant s3:ListBucketMultipartUploads on", fault: &motoFault{refusePart: true, loseReply: true},
		},
		{
			action: "autoscaling:TerminateInstanceInAutoScalingGroup", with: "desired capacity 0", without: "desired capacity 1",
			says: "grant autoscaling:TerminateInstanceInAutoScalingGroup on", leave: true,
		},
	}
	var tested []string
	for _, s := range scenarios {
		tested = append(tested, s.action)
	}
	slices.Sort(tested)
	if actions := m.policy("s3://"+runBucket+"/all", "").actions(); !slices.Equal(actions, tested) {
		t.Errorf("the policy has the actions %q, there are scenarios for %q", actions, tested)
	}
	for i, s := range scenarios {
		t.Run(s.action, func(t *testing.T) {
			for _, less := range []string{"", s.action} {
				want := s.with
				if less != "" {
					want = s.without
				}
				store := fmt.Sprintf("s3://%s/%d-%d", runBucket, i, len(less))
				got, said := m.play(t, s, store, less)
				if !strings.Contains(got, want) {
					t.Errorf("without %q: %s, want %s:\n%s", less, got, want, said)
				}
				if less != "" {
					has(t, "what was said", said, s.says)
				}
			}
		})
	}
}

type motoScenario struct {
	action        string
	with, without string // part of what comes out
	says          string // without the action
	fault         *motoFault
	leave         bool // the group is left; nothing is run
}

// play gives the role its policy without one action and lets the scenario
// happen. It returns what came out, and all that was said about it.
func (m *moto) play(t *testing.T, s motoScenario, store, less string) (outcome, said string) {
	t.Helper()
	m.policy(store, less).put()
	if s.leave {
		err := m.leave(t)
		var out struct {
			AutoScalingGroups []struct{ DesiredCapacity int }
		}
		m.answer(&out, "autoscaling", "describe-auto-scaling-groups")
		return fmt.Sprintf("desired capacity %d", out.AutoScalingGroups[0].DesiredCapacity), fmt.Sprint(err)
	}
	m.setFault(s.fault)
	defer m.setFault(nil)
	before := len(m.messages())
	r := m.run(store)
	said = r.out + r.err
	outcome = fmt.Sprintf("exit code %d", r.code)
	for _, v := range []string{"complete", "partial", "failed"} {
		if strings.HasPrefix(r.out, "moto "+v) {
			outcome += ", " + v
		}
	}
	if s.fault != nil {
		var out struct{ Uploads []struct{ Key string } }
		m.answer(&out, "s3api", "list-multipart-uploads", "--bucket", runBucket, "--prefix", strings.TrimPrefix(store, "s3://"+runBucket+"/"))
		outcome += fmt.Sprintf(", %d unfinished uploads", len(out.Uploads))
	}
	sent := m.messages()[before:]
	if less == "" {
		if len(sent) != 1 || !strings.Contains(sent[0], r.out[:40]) {
			t.Errorf("sent %d messages: %q", len(sent), sent)
		}
	}
	return outcome, said
}
