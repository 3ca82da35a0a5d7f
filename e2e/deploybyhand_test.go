//go:build e2e

package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDeployByHand deploys after somebody has changed or deleted by hand what a
// deployment consists of.
func TestDeployByHand(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	config := l.deployment("manual")
	again := func() result { return l.do("deploy", "--yes", "-c", config, "--binaries", l.binaries) }
	l.deploy("manual", config)
	want := l.schedule("manual")

	// The schedule: one action is gone, and the other ends nothing any more.
	l.aws("autoscaling", "delete-scheduled-action", "--auto-scaling-group-name", "manual", "--scheduled-action-name", "manual-StartAction")
	l.aws("autoscaling", "put-scheduled-update-group-action", "--auto-scaling-group-name", "manual", "--scheduled-action-name", "manual-EndAction",
		"--recurrence", "0 0 1 1 *", "--desired-capacity", "1", "--max-size", "3")
	r := again()
	has(t, "deploy", r.err, "Putting StartAction back, which was gone: 0 17 * * FRI Europe/Berlin", "Putting EndAction back, which had been changed: 15 19 * * FRI Europe/Berlin")
	if got := l.schedule("manual"); r.code != 0 || !slices.Equal(got, want) || strings.Contains(r.out, "nothing was changed") {
		t.Errorf("schedule %q, want %q: %s", got, want, r)
	}
	if r = again(); r.code != 0 || !strings.Contains(r.out, "is up to date; nothing was changed") {
		t.Errorf("deploy, again: %s", r)
	}

	// What may be a pause.
	l.aws("autoscaling", "suspend-processes", "--auto-scaling-group-name", "manual", "--scaling-processes", "Launch", "ScheduledActions")
	l.aws("autoscaling", "update-auto-scaling-group", "--auto-scaling-group-name", "manual", "--max-size", "0")
	has(t, "plan", l.do("plan", "-c", config, "--binaries", l.binaries).out, "PROBLEM: the group's process Launch is suspended: no instance starts")
	r = again()
	if r.code != 1 || strings.Contains(r.out, "up to date") || strings.Contains(r.out, "Next start") {
		t.Errorf("deploy of a pause: %s", r)
	}
	for line := range strings.Lines(r.out) {
		if _, command, ok := strings.Cut(strings.TrimSpace(line), "if nobody wanted that: aws "); ok {
			l.aws(strings.Fields(command)...)
		}
	}
	if r = again(); r.code != 0 {
		t.Errorf("deploy after the commands it gave: %s", r)
	}
	l.whole("manual")

	// A run at work, whose end another schedule takes away.
	l.aws("autoscaling", "set-desired-capacity", "--auto-scaling-group-name", "manual", "--desired-capacity", "1")
	config = l.deployment("manual", `schedule: {start: "30 2 * * *", timezone: Europe/Berlin, deadline: 3h}`)
	r = again()
	has(t, "deploy during a run", r.err, "A run is at work, or waits for its instance.", "whatever happens, it ends at")
	if got := l.handEnd("manual"); r.code != 0 || len(got) != 1 || got[0].DesiredCapacity != 0 {
		t.Errorf("what ends the run is %v: %s", got, r)
	}
	l.aws("autoscaling", "set-desired-capacity", "--auto-scaling-group-name", "manual", "--desired-capacity", "0")

	// The deployment's own topic in the place of the addresses.
	topic := "arn:aws:sns:" + motoRegion + ":" + motoAccount + ":manual"
	r = l.do("deploy", "--yes", "-c", l.deployment("manual", "notify: {topic: '"+topic+"'}"), "--binaries", l.binaries)
	if r.code != 2 || !strings.Contains(r.err, "it would be deleted: keep notify.email") {
		t.Errorf("with its own topic: %s", r)
	}
	config = l.deployment("manual")
	if r = again(); r.code != 0 {
		t.Errorf("deploy: %s", r)
	}

	// What is gone does not come back: that is said before anything is done.
	gone := func(what string) {
		t.Helper()
		r := again()
		if r.code != 2 || !strings.Contains(r.err, what) || !strings.Contains(r.err, "mayfly destroy") || !strings.Contains(r.err, "nothing was") {
			t.Errorf("without its %s: %s", what, r)
		}
		if out, _, _ := l.outputs("manual"); out["Armed"] != "true" {
			t.Errorf("without its %s the schedule is not in force any more", what)
		}
	}
	l.aws("autoscaling", "delete-auto-scaling-group", "--auto-scaling-group-name", "manual", "--force-delete")
	gone("AutoScaling::AutoScalingGroup manual of the stack has been deleted")
	l.aws("sns", "delete-topic", "--topic-arn", topic)
	gone("SNS::Topic " + topic + " of the stack has been deleted")
	l.aws("s3", "rb", "--force", "s3://manual-bucket")
	gone("the bucket manual-bucket, which this deployment made, has been deleted")
}

// TestDeployUnfinished asks before it removes a stack that was never finished.
func TestDeployUnfinished(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	config := l.deployment("review")
	template := filepath.Join(t.TempDir(), "review.json")
	if err := os.WriteFile(template, []byte(`{"Resources": {"T": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "unmade"}}}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	l.aws("cloudformation", "create-change-set", "--stack-name", "review", "--change-set-name", "theirs", "--change-set-type", "CREATE",
		"--template-body", "file://"+template, "--tags", "Key=mayfly:deployment,Value=review")
	r := l.do("deploy", "-c", config, "--binaries", l.binaries, "--secret", "ssm:/review/token=env:GITHUB_TOKEN")
	_, status, _ := l.outputs("review")
	if r.code != 2 || !strings.Contains(r.err, "nothing was done: add --yes") || status != "REVIEW_IN_PROGRESS" {
		t.Errorf("deploy without a yes, of the stack in %s: %s", status, r)
	}
	l.deploy("review", config)
	l.whole("review")
}

// TestDestroyLeavesOthersGroupsAlone takes away a stack without a group, while
// somebody has a group of its name.
func TestDestroyLeavesOthersGroupsAlone(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	config := l.deployment("nogroup")
	template := filepath.Join(t.TempDir(), "nogroup.json")
	if err := os.WriteFile(template, []byte(`{"Resources": {"T": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "nogroup"}}}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	l.aws("cloudformation", "create-stack", "--stack-name", "nogroup", "--template-body", "file://"+template, "--tags", "Key=mayfly:deployment,Value=nogroup")
	l.aws("autoscaling", "create-launch-configuration", "--launch-configuration-name", "theirs", "--image-id", "ami-12c6146b", "--instance-type", "t3.nano")
	l.aws("autoscaling", "create-auto-scaling-group", "--auto-scaling-group-name", "nogroup", "--launch-configuration-name", "theirs",
		"--min-size", "0", "--max-size", "1", "--desired-capacity", "1", "--availability-zones", motoRegion+"a")
	before := l.group("nogroup").Instances
	r := l.do("destroy", "--yes", "-c", config)
	has(t, "destroy", r.out, "nogroup in "+motoRegion+", account "+motoAccount+" (you are arn:aws:iam::"+motoAccount+":user/you)")
	if after := l.group("nogroup").Instances; r.code != 0 || len(before) != 1 || !slices.Equal(after, before) || strings.Contains(r.out, before[0].InstanceId) {
		t.Errorf("the instances were %v and are %v: %s", before, after, r)
	}
}

// TestDeployEnvironment tells what of this machine's environment reaches the
// instances, and keeps from them what is this machine's own.
func TestDeployEnvironment(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	config := l.deployment("passing")
	env := l.environment()
	plan := func(more map[string]string, args ...string) string {
		all := maps.Clone(env)
		maps.Copy(all, more)
		r := l.command(all, mayflyBinary(t), append([]string{"plan", "-c", config, "--binaries", l.binaries}, args...)...)
		if r.code != 0 {
			t.Fatalf("plan: %s", r)
		}
		return r.out
	}
	metadata := map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1338"}
	said := plan(metadata)
	has(t, "plan", said, "Note: from the environment, instances get AWS_ENDPOINT_URL="+env["AWS_ENDPOINT_URL"])
	if strings.Contains(said, "METADATA") || plan(metadata, "--template") != plan(nil, "--template") {
		t.Errorf("the address of this machine's metadata reaches the instances: %s", said)
	}
}
