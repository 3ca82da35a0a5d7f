//go:build e2e

package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDeployRefused gives deploy what cannot be deployed. Each time the error
// says where and what to do, the exit code is 2, and AWS has not been changed.
func TestDeployRefused(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	foreign := filepath.Join(t.TempDir(), "foreign.json")
	if err := os.WriteFile(foreign, []byte(`{"Resources": {"T": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "unrelated"}}}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	l.aws("cloudformation", "create-stack", "--stack-name", "foreign", "--template-body", "file://"+foreign)
	l.aws("sns", "create-topic", "--name", "topical")
	l.aws("autoscaling", "create-launch-configuration", "--launch-configuration-name", "grouped", "--image-id", "ami-12c6146b", "--instance-type", "t3.nano")
	l.aws("autoscaling", "create-auto-scaling-group", "--auto-scaling-group-name", "grouped", "--launch-configuration-name", "grouped",
		"--min-size", "0", "--max-size", "1", "--availability-zones", motoRegion+"a")
	before := l.made()
	for _, c := range []struct {
		name  string
		lines []string
		args  []string
		env   map[string]string // "" removes
		says  []string
	}{
		{name: "nobody", env: map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, says: []string{"no AWS credentials were found", "aws sso login"}},
		{name: "profile", env: map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "nosuch"}, says: []string{"nosuch", "AWS_PROFILE"}},
		{name: "wrongkey", env: map[string]string{"AWS_SECRET_ACCESS_KEY": "wrong"}, says: []string{"sts:GetCallerIdentity"}},
		{name: "region", lines: []string{"region: Ireland"}, says: []string{"region: not a region", "eu-west-1"}},
		{name: "others", lines: []string{"store: s3://" + othersBucket}, says: []string{othersBucket, "another account", "choose another name"}},
		{name: "foreign", says: []string{"stack foreign: it was not made by mayfly for this deployment", "another name"}},
		{name: "topical", says: []string{"there is a topic named topical", "notify.topic"}},
		{name: "grouped", says: []string{"there is an Auto Scaling group named grouped", "another name"}},
		{name: "zone", lines: []string{`schedule: {start: "0 17 * * FRI", timezone: Europe/Berln, deadline: 2h}`}, says: []string{"schedule.timezone: no such time zone", "Europe/Berlin"}},
		{name: "interval", lines: []string{`schedule: {start: "0 17 * * *", timezone: Europe/Berlin, deadline: 24h}`}, says: []string{"a run may take 24h", "shorten the deadline, or start less often"}},
		{name: "timeout", lines: []string{`schedule: {start: "0 17 * * FRI", deadline: 2h}`, `jobs: [{name: github, timeout: 3h, github: {owners: [octo]}}]`}, says: []string{"jobs[0].timeout: is not shorter than the deadline, 2h"}},
		{name: "cron", lines: []string{`schedule: {start: "0 12,23 1 * *", timezone: UTC, deadline: 2h}`}, says: []string{"schedule:", "start"}},
		{name: "notype", lines: []string{"instance: {types: [t9.nano]}"}, says: []string{"instance.types:", "t9.nano"}},
		{name: "arch", lines: []string{"instance: {types: [t3.nano, t4g.nano]}"}, says: []string{"instance.types: t4g.nano is for arm64, and there is no mayfly for it", "--binaries"}},
		{name: "image", lines: []string{"instance: {types: [t3.nano], image: ami-0123456789abcdef0}"}, says: []string{"instance.image:", "ami-0123456789abcdef0", "check instance.image"}},
		{name: "imagename", lines: []string{"instance: {types: [t3.nano], image: 'resolve:ssm:/no/image'}"}, says: []string{"instance.image:", "/no/image", "does not exist"}},
		{name: "imagedisk", lines: []string{"instance: {types: [t3.nano], image: ami-12c6146b, disk: 1}"}, says: []string{"instance.root_device: that of the image ami-12c6146b is /dev/sda1, not /dev/xvda", "instance.disk: the root volume of the image ami-12c6146b has 15 GiB"}},
		{name: "oldzone", lines: []string{`schedule: {start: "0 17 * * FRI", timezone: US/Eastern, deadline: 2h}`}, says: []string{"schedule.timezone: an old name", "write America/New_York"}},
		{name: "subnets", lines: []string{"network: {subnets: [subnet-01234567]}"}, says: []string{"network:", "subnet-01234567"}},
		{name: "ownTopic", lines: []string{"name: own-topic", "notify: {topic: 'arn:aws:sns:" + motoRegion + ":" + motoAccount + ":nowhere'}"}, says: []string{"notify.topic:", "does not exist"}},
		{name: "group", lines: []string{"group: mine"}, says: []string{"group: mine would be a group made by hand", "remove group"}},
		{name: "secret", args: []string{"--secret", "ssm:/secret/token=" + runToken}, says: []string{"--secret"}},
		{name: "unread", args: []string{"--secret", "ssm:/other=env:GITHUB_TOKEN"}, says: []string{"the config does not name ssm:/other"}},
		{name: "missing", args: []string{"--secret", "ssm:/missing/token=env:NOT_SET"}, says: []string{"NOT_SET", "nothing was deployed"}},
		{name: "untold", args: []string{}, says: []string{"ssm:/untold/token is not in Systems Manager", "--secret ssm:/untold/token=env:VARIABLE"}},
		{name: "binaries", args: []string{"--binaries", os.TempDir()}, says: []string{"holds neither mayfly-linux-amd64 nor mayfly-linux-arm64"}},
		{name: "directory", lines: []string{"store: file:///var/backups"}, says: []string{"would be a directory of the instance"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := l.deployment(strings.ToLower(c.name), c.lines...)
			args := []string{"deploy", "--yes", "-c", config}
			if !slices.Contains(c.args, "--binaries") {
				args = append(args, "--binaries", l.binaries)
			}
			if c.args == nil {
				args = append(args, "--secret", "ssm:/"+strings.ToLower(c.name)+"/token=env:GITHUB_TOKEN")
			}
			if c.name == "timeout" { // its job reads no secret
				args = args[:len(args)-2]
			}
			env := l.environment()
			for k, v := range c.env {
				env[k] = v
			}
			maps.DeleteFunc(env, func(_, v string) bool { return v == "" })
			r := l.command(env, mayflyBinary(t), append(args, c.args...)...)
			if r.code != 2 {
				t.Errorf("want exit code 2: %s", r)
			}
			has(t, "the error", r.err, c.says...)
			if strings.Contains(r.out+r.err, runToken) {
				t.Error("the token is shown")
			}
			after := l.made()
			if after != before {
				t.Errorf("AWS had\n%s\nand has\n%s", before, after)
			}
			before = after
		})
	}
}

// made is all that is in AWS of the kinds that deploy makes.
func (l *laptop) made() string {
	l.t.Helper()
	resp, err := http.Get(l.server + "/moto-api/data.json")
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	var all map[string]map[string]json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		l.t.Fatal(err)
	}
	kinds := map[string]any{"buckets": all["s3"]["FakeBucket"], "roles": all["iam"]["Role"]}
	for _, service := range []string{"cloudformation", "sns", "ssm", "autoscaling"} {
		kinds[service] = all[service]
	}
	b, err := json.MarshalIndent(kinds, "", " ")
	if err != nil {
		l.t.Fatal(err)
	}
	if !strings.Contains(string(b), "unrelated") {
		l.t.Errorf("moto does not say what there is: %s", b)
	}
	return string(b)
}
