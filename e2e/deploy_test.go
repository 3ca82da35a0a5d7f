//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/gittest"
)

// TestDeploy is a deployment's life, from nothing to nothing, as the person
// types it, at an AWS that checks every request.
func TestDeploy(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.world.repo("small", gittest.Normal)
	config := l.deployment("weekly", "budget: 5")

	// What would be, without anything being made.
	r := l.do("plan", "-c", config, "--binaries", l.binaries)
	if r.code != 0 {
		t.Fatalf("plan: %s", r)
	}
	has(t, "the plan", r.out, "Creates the stack weekly with", "weekly-bucket: private, versioned", "15 19 * * FRI Europe/Berlin",
		"The secret ssm:/weekly/token is not there yet", "An instance may", "s3:PutObject", "Starts", "17:00 C", "public IPv4 address", "total",
		"Next: mayfly deploy -c "+config)
	for _, kind := range [][]string{{"cloudformation", "describe-stacks"}, {"sns", "list-topics"}, {"s3api", "list-buckets"}, {"ssm", "describe-parameters"}} {
		if got := string(l.aws(append(kind, "--output", "text")...)); strings.Contains(got, "weekly") {
			t.Errorf("plan made %s", got)
		}
	}
	r = l.do("plan", "-c", config, "--binaries", l.binaries, "--template")
	if !json.Valid([]byte(r.out)) || r.code != 0 {
		t.Errorf("plan --template: %s", r)
	}

	l.examples()

	// From nothing to the next start.
	r = l.deploy("weekly", config)
	has(t, "deploy", r.out, "Deployed weekly in "+motoRegion, "Next start: Fri ", "Next: mayfly start")
	has(t, "deploy", r.err, "Put the secret ssm:/weekly/token", "Uploaded s3://weekly-bucket/admin/mayfly-", "Putting the schedule in force")
	if all := r.out + r.err; strings.Contains(all, runToken) {
		t.Error("the token is shown")
	}
	l.whole("weekly")
	want := []string{"0 at 15 19 * * FRI Europe/Berlin", "1 at 0 17 * * FRI Europe/Berlin"}
	if got := l.schedule("weekly"); !slices.Equal(got, want) {
		t.Errorf("schedule %q, want %q", got, want)
	}
	_, _, before := l.outputs("weekly")

	// Again: nothing changes.
	r = l.do("deploy", "--yes", "-c", config, "--binaries", l.binaries)
	has(t, "deploy, again", r.out, "Changes nothing of the stack weekly", "is up to date; nothing was changed")
	if _, _, after := l.outputs("weekly"); r.code != 0 || after != before {
		t.Errorf("changed at %s, before at %s: %s", after, before, r)
	}

	l.startAndFollow(config)

	// Another start.
	config = l.deployment("weekly", "budget: 5", `schedule: {start: "30 2 * * *", timezone: Europe/Berlin, deadline: 3h}`)
	r = l.do("deploy", "--yes", "-c", config, "--binaries", l.binaries)
	has(t, "deploy with another start", r.out, "Changes of the stack weekly", "StartAction", "Updated weekly")
	want = []string{"0 at 45 5 * * * Europe/Berlin", "1 at 30 2 * * * Europe/Berlin"}
	if got := l.schedule("weekly"); r.code != 0 || !slices.Equal(got, want) {
		t.Errorf("schedule %q, want %q: %s", got, want, r)
	}
	l.whole("weekly")

	// Somebody lets the group replace instances again; deploy stops that.
	l.aws("autoscaling", "resume-processes", "--auto-scaling-group-name", "weekly", "--scaling-processes", "ReplaceUnhealthy")
	has(t, "status", l.do("status", "-c", config).out, "DANGER:", "ReplaceUnhealthy not suspended", "mayfly deploy -c "+config)
	if r = l.do("deploy", "--yes", "-c", config, "--binaries", l.binaries); r.code != 0 {
		t.Errorf("deploy: %s", r)
	}
	l.whole("weekly")

	l.leftovers(config)
	l.destroyAndBack(config)
	l.checkPolicy()
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// examples lints the template of every config in the documentation that can be
// deployed.
func (l *laptop) examples() {
	t := l.t
	t.Helper()
	found := 0
	for _, doc := range []string{"README.md", "docs/by-hand.md", "docs/deploy.md", "docs/hosts.md"} {
		b, err := os.ReadFile(filepath.Join(moduleRoot(t), doc))
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlock.FindAllSubmatch(b, -1) {
			text := string(block[1])
			if !strings.Contains(text, "schedule:") || !strings.Contains(text, "jobs:") {
				continue
			}
			found++
			// These subnets are nobody's, and there is a mayfly for x86 only here.
			text = regexp.MustCompile(`(?m)^(network|instance):.*\n`).ReplaceAllString(text, "")
			text = regexp.MustCompile(`(?m)^( +address): .*`).ReplaceAllString(text, "$1: {store: true}")
			text = regexp.MustCompile(`volume: vol-[0-9a-f]+`).ReplaceAllString(text, "size: 10")
			config := filepath.Join(t.TempDir(), "mayfly.yaml")
			if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			r := l.do("plan", "--template", "-c", config, "--binaries", l.binaries)
			template := filepath.Join(t.TempDir(), "template.json")
			if err := os.WriteFile(template, []byte(r.out), 0o644); err != nil || r.code != 0 {
				t.Fatalf("a config of %s: %v %s:\n%s", doc, err, r, text)
			}
			if lint := l.command(l.env(l.server, nil), l.venv("cfn-lint"), "-r", motoRegion, "-t", template); lint.code != 0 || lint.out != "" {
				t.Errorf("the template of a config in %s: %s:\n%s", doc, lint, text)
			}
		}
	}
	if found < 3 {
		t.Errorf("only %d configs were found in the documentation", found)
	}
}

// startAndFollow starts a run, plays the instance, and reads what start says.
func (l *laptop) startAndFollow(config string) {
	t := l.t
	t.Helper()
	p := l.begin("start", "-c", config)
	l.world.eventually(time.Minute, "the group has an instance", func() bool { return len(l.group("weekly").Instances) == 1 })
	if again := l.do("start", "-c", config); again.code != 2 || !strings.Contains(again.err, "is at work already") {
		t.Errorf("a second start: %s", again)
	}
	instance := l.group("weekly").Instances[0].InstanceId
	if a := l.handEnd("weekly"); len(a) != 1 || a[0].DesiredCapacity != 0 || time.Until(a[0].StartTime) < 2*time.Hour || time.Until(a[0].StartTime) > 136*time.Minute {
		t.Errorf("what would end it: %+v", a)
	}
	status := l.do("status", "-c", config)
	has(t, "status while it boots", status.out, instance, "Ends:", "since it was started by hand")
	if run := l.instancePart("weekly", config); run.code != 0 || !strings.Contains(run.out, "weekly complete.") {
		t.Fatalf("the run on the instance: %s", run)
	}
	r := p.wait()
	if r.code != 0 {
		t.Errorf("start: %s", r)
	}
	has(t, "start", r.err, "Asked the group weekly for an instance; whatever happens, it gives it up at", instance+" (", "The machine has ended.")
	has(t, "start", r.out, "-"+instance+": complete, 1 repository, 1 changed")
	if a := l.handEnd("weekly"); len(a) > 0 {
		t.Errorf("what would have ended it is still there: %+v", a)
	}
	l.illness(config)
	status = l.do("status", "-c", config)
	has(t, "status after the run", status.out, "complete", "octo/small", "Next start:", "deployed in "+motoRegion, "none is running", "Left over:           nothing")
	if strings.Contains(status.out, "DANGER") || status.code != 0 {
		t.Errorf("status: %s", status)
	}
	var asJSON struct {
		AWS struct {
			Stack string
			Armed bool
		}
		Runs []struct{ Run, State string }
	}
	if err := json.Unmarshal([]byte(l.do("status", "--json", "-c", config).out), &asJSON); err != nil || !asJSON.AWS.Armed || len(asJSON.Runs) != 1 {
		t.Errorf("status --json: %+v, %v", asJSON, err)
	}
}

// leftovers makes what nobody removes by itself, and removes it by the commands
// that status gives.
func (l *laptop) leftovers(config string) {
	t := l.t
	t.Helper()
	tag := "ResourceType=%s,Tags=[{Key=mayfly:deployment,Value=weekly}]"
	l.aws("ec2", "create-volume", "--size", "8", "--availability-zone", motoRegion+"a", "--tag-specifications", fmt.Sprintf(tag, "volume"))
	l.aws("ec2", "run-instances", "--image-id", "ami-12c6146b", "--instance-type", "t3.nano", "--tag-specifications", fmt.Sprintf(tag, "instance"))
	r := l.do("status", "-c", config)
	has(t, "status", r.out, "instance i-", "aws ec2 terminate-instances --region "+motoRegion+" --instance-ids i-", "volume vol-", "8 GiB, of no instance")
	for line := range strings.Lines(r.out) {
		if args, ok := strings.CutPrefix(strings.TrimSpace(line), "aws "); ok {
			l.aws(strings.Fields(args)...)
		}
	}
	if r = l.do("status", "-c", config); !strings.Contains(r.out, "Left over:           nothing") {
		t.Errorf("after its commands: %s", r)
	}
}

// destroyAndBack takes the deployment away, and sets it up again on the bucket
// that has stayed.
func (l *laptop) destroyAndBack(config string) {
	t := l.t
	t.Helper()
	if r := l.do("destroy", "-c", config); r.code != 2 || !strings.Contains(r.err, "add --yes") {
		t.Errorf("destroy without a yes: %s", r)
	}
	r := l.do("destroy", "--yes", "-c", config)
	if r.code != 0 {
		t.Fatalf("destroy: %s", r)
	}
	has(t, "destroy", r.out, "Goes", "- Group (AutoScaling::AutoScalingGroup)", "Stays", "the bucket weekly-bucket", "ssm:/weekly/token", "is gone")
	if got := string(l.aws("cloudformation", "describe-stacks", "--output", "text")); strings.Contains(got, "weekly") {
		t.Errorf("the stack is there: %s", got)
	}
	if got := string(l.aws("sns", "list-topics", "--output", "text")); strings.Contains(got, "weekly") {
		t.Errorf("the topic is there: %s", got)
	}
	list := l.do("list", "--store", "s3://weekly-bucket")
	has(t, "list", list.out, "github/octo/small")
	has(t, "status", l.do("status", "-c", config).out, "not deployed in "+motoRegion)
	if r = l.do("destroy", "--yes", "-c", config); r.code != 0 || !strings.Contains(r.out, "There is no deployment weekly") {
		t.Errorf("destroy, again: %s", r)
	}
	if r = l.do("start", "-c", config); r.code != 2 || !strings.Contains(r.err, "there is no deployment weekly") {
		t.Errorf("start of nothing: %s", r)
	}
	r = l.do("deploy", "--yes", "-c", config, "--binaries", l.binaries)
	has(t, "deploy on the bucket that stayed", r.out, "The bucket weekly-bucket is there already and stays as it is", "Deployed weekly")
	l.whole("weekly")
}

// checkPolicy compares what was asked of AWS with the policy in the
// documentation: every action of mayfly's own is in it, and it holds no others.
func (l *laptop) checkPolicy() {
	t := l.t
	t.Helper()
	b, err := os.ReadFile(filepath.Join(moduleRoot(t), "docs", "deployer-policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Statement []struct {
			Sid    string
			Action []string
		}
	}
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	// Needed where moto did not make it necessary: an instance that ends
	// without a run, an upload that fails, an image of one's own.
	used := map[string]bool{"ec2:GetConsoleOutput": true, "s3:AbortMultipartUpload": true, "sns:Subscribe": true, "ec2:DescribeImages": true}
	// For hosts, see TestDeployHosts.
	for _, a := range []string{"ec2:CreateVolume", "ec2:CreateTags", "ec2:ModifyVolume", "ec2:DescribeVolumesModifications", "ec2:DescribeAddresses", "route53:GetHostedZone"} {
		used[a] = true
	}
	l.calls.mu.Lock()
	for action := range l.calls.actions {
		used[action] = true
	}
	l.calls.mu.Unlock()
	// Of the instance, and what needs no permission.
	delete(used, "autoscaling:TerminateInstanceInAutoScalingGroup")
	delete(used, "sts:GetCallerIdentity")
	granted := map[string]bool{}
	for _, s := range p.Statement {
		if !slices.IsSorted(s.Action) {
			t.Errorf("the actions of %s are not in order", s.Sid)
		}
		if s.Sid == "WhatCloudFormationMakes" || s.Sid == "RolesForTheServicesOfTheStack" { // moto makes them without asking
			continue
		}
		for _, a := range s.Action {
			granted[a] = true
			if !used[a] {
				t.Errorf("docs/deployer-policy.json grants %s, which nothing has used", a)
			}
		}
	}
	for a := range used {
		if !granted[a] {
			t.Errorf("docs/deployer-policy.json lacks %s", a)
		}
	}
}

// TestDeployKilled kills deploy with SIGKILL at ten of its requests, before AWS
// gets them or after it has answered, and calls it again.
func TestDeployKilled(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	var mu sync.Mutex
	requests := 0
	l.seen = func(_ *http.Request, answered bool) bool {
		mu.Lock()
		defer mu.Unlock()
		if !answered {
			requests++
		}
		return true
	}
	l.deploy("counted", l.deployment("counted"))
	all := requests
	if all < 20 {
		t.Fatalf("deploy took %d requests only", all)
	}
	for i := range 10 {
		name := fmt.Sprintf("killed%d", i)
		at, after := 1+i*(all-1)/9, i%2 == 1
		config := l.deployment(name)
		count := 0
		var p *running
		var last *http.Request
		ready := make(chan struct{})
		l.seen = func(r *http.Request, answered bool) bool {
			<-ready
			mu.Lock()
			defer mu.Unlock()
			if !answered {
				if count++; count == at {
					last = r
				}
			}
			if r == last && answered == after {
				p.cmd.Process.Kill()
				return answered
			}
			return true
		}
		p = l.begin("deploy", "--yes", "-c", config, "--binaries", l.binaries, "--secret", "ssm:/"+name+"/token=env:GITHUB_TOKEN")
		close(ready)
		if r := p.wait(); r.code != -1 {
			t.Errorf("at request %d of %d it was not killed: %s", at, all, r)
		}
		l.seen = nil
		l.deploy(name, config)
		l.whole(name)
	}
}

// A handEnd is the end of a run that was started by hand.
type handEnd struct {
	ScheduledActionName string
	StartTime           time.Time
	DesiredCapacity     int
}

func (l *laptop) handEnd(group string) []handEnd {
	l.t.Helper()
	var actions struct{ ScheduledUpdateGroupActions []handEnd }
	l.answer(&actions, "autoscaling", "describe-scheduled-actions", "--auto-scaling-group-name", group, "--scheduled-action-names", "mayfly-start-end")
	return actions.ScheduledUpdateGroupActions
}

// illness is what status says, and start refuses, when the group cannot start
// or end anything any more; and what the commands that status names do about
// it.
func (l *laptop) illness(config string) {
	t := l.t
	t.Helper()
	l.aws("autoscaling", "suspend-processes", "--auto-scaling-group-name", "weekly", "--scaling-processes", "Launch", "Terminate", "ScheduledActions")
	l.aws("autoscaling", "update-auto-scaling-group", "--auto-scaling-group-name", "weekly", "--max-size", "0")
	r := l.do("status", "-c", config)
	has(t, "status of a sick group", r.out, "PROBLEM:", "Launch is suspended", "Terminate is suspended", "ScheduledActions is suspended", "maximum size is 0")
	started := l.do("start", "-c", config)
	if started.code != 2 || !strings.Contains(started.err, "nothing was started in the group weekly") || !strings.Contains(started.err, "aws autoscaling resume-processes --region "+motoRegion+" --auto-scaling-group-name weekly --scaling-processes Launch") {
		t.Errorf("start in a sick group: %s", started)
	}
	if len(l.handEnd("weekly")) > 0 || l.group("weekly").DesiredCapacity != 0 {
		t.Error("something was started in a sick group")
	}
	for line := range strings.Lines(r.out) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "aws autoscaling "); ok {
			l.aws(append([]string{"autoscaling"}, strings.Fields(command)...)...)
		}
	}
	if r = l.do("status", "-c", config); strings.Contains(r.out, "PROBLEM") {
		t.Errorf("after the commands of status: %s", r)
	}
}
