//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"mayfly/iam"
	"mayfly/runner"
	"mayfly/stack"
)

// TestTemplatesLint holds templates of every kind against cfn-lint, which knows
// CloudFormation's own schemas of resources, and the States Language: no
// errors, no warnings, no remarks.
func TestTemplatesLint(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../stack/testdata/*.json")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d templates: %v", len(files), err)
	}
	large := filepath.Join(t.TempDir(), "large.json")
	if err := os.WriteFile(large, template(t, largest(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, large) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			args := []string{
				"--include-checks", "I", "--non-zero-exit-code", "informational", "--format", "parseable",
				"--regions", "eu-west-1", "us-east-1", "eu-central-1", "ap-southeast-2",
			}
			if strings.Contains(file, "launchconfiguration") {
				// "in maintenance mode": it is there for those who have them.
				args = append(args, "--ignore-checks", "W3697")
			}
			cmd := exec.CommandContext(t.Context(), filepath.Join(moduleRoot(t), ".e2e", "venv", "bin", "cfn-lint"), append(args, "-t", file)...)
			cmd.Env = append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true")
			if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// largest is a deployment with everything, and with a policy as package iam
// makes it.
func largest(t *testing.T) stack.Options {
	t.Helper()
	at := iam.Place{Bucket: runBucket, Prefix: "deep/er", Job: "git"}
	var p iam.Policy
	p.Add(at, runner.Permissions()...)
	p.Add(at, iam.WriteOnce("{job}Segments", "*.zip")...)
	p.Add(at, iam.Publish(iam.TopicARN("everything")), iam.LeaveGroup("everything"), iam.ReadParameters(parameter))
	policy, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	schedule, err := stack.NewSchedule("0 1 1,15 * MON", "Europe/Berlin", 4*time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 16384)
	rand.New(rand.NewSource(1)).Read(data)
	return stack.Options{
		Name: "everything", Region: "eu-west-1",
		Bucket: stack.Bucket{Name: runBucket, Prefix: "deep/er", Create: true, Noncurrent: 90},
		Topic:  stack.Topic{Emails: []string{"a@example.com", "b@example.com"}},
		Role:   stack.Role{Policy: policy, Trust: iam.Trust("")},
		Instance: stack.Instance{
			Types:    []stack.Type{{Name: "t4g.nano", Arch: "arm64"}, {Name: "t3.nano", Arch: "x86_64"}},
			MaxPrice: 0.02, OnDemand: stack.OnDemandFallback, RootGiB: 12, UserData: data,
		},
		Network: stack.Network{
			VPC: "vpc-0123456789abcdef0", Subnets: []stack.Subnet{{ID: "subnet-0123456789abcdef0", Zone: "eu-west-1a"}},
			Zones: []string{"eu-west-1a"}, PublicAddress: true, Ingress: []stack.Ingress{{Port: 22, From: []string{"203.0.113.0/24"}}},
		},
		Schedule: schedule, Budget: stack.Budget{USD: 5}, Notices: true, RecycleBin: 20,
	}
}

func template(t *testing.T, o stack.Options) []byte {
	t.Helper()
	b, err := stack.Template(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestMissedRuns executes the state machine of a template, with JSONata of the
// version that Step Functions has, against the store as it may be when the end
// action has come.
func TestMissedRuns(t *testing.T) {
	t.Parallel()
	o := largest(t)
	schedule, err := stack.NewSchedule("0 17 * * FRI", "Europe/Berlin", 2*time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o.Schedule = schedule
	machine := machineOf(t, o, "MissedRuns")
	start := time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC) // 17:00 in Berlin
	end := start.Add(2*time.Hour + stack.EndMargin)
	run := func(after time.Duration, files ...string) (keys []string) {
		for _, f := range append([]string{"started.json"}, files...) {
			keys = append(keys, "deep/er/runs/"+runner.NewRunID(start.Add(after), "i-0abc")+"/"+f)
		}
		return keys
	}
	reported := []string{"report.json", "report.txt"}
	foreign := []string{"deep/er/runs/20261120T160300Z-i-0def/started.json@hosts", "deep/er/runs/20261120T160300Z-i-0def/report.json"}
	laptop := []string{"deep/er/runs/20261120T160300Z-my-laptop/started.json", "deep/er/runs/20261120T160300Z-my-laptop/report.json", "deep/er/runs/20261120T160300Z-hi-i-0abc-z/started.json"}
	var logs []string
	for n := range 1500 {
		logs = append(logs, fmt.Sprintf("log/%05d.txt", n))
	}
	others := []string{"deep/er/runs/lock.json", "deep/er/admin/config-1.yaml", "deep/er/git/octo/site/20261120T170000Z/0000-full.zip", "runs/20261120T170000Z-i-0/report.json"}
	for _, tt := range []struct {
		name  string
		keys  []string
		fails int
		want  string // of the subject; "" is no mail
		body  string
	}{
		{name: "a run", keys: run(2*time.Minute, reported...)},
		{name: "a late run", keys: run(2*time.Hour+10*time.Minute, reported...)},
		{name: "a run with much to say", keys: run(2*time.Minute, slices.Concat(logs, reported)...)},
		{name: "two runs, one reported", keys: slices.Concat(run(2*time.Minute, "log/00001.txt"), run(time.Hour, reported...))},
		{name: "one reported, another at work", keys: slices.Concat(run(2*time.Minute, reported...), run(2*time.Hour))},
		{name: "nothing", want: "failed, no run began", body: "No run has begun since 2026-11-20T16:00:00.000Z"},
		{name: "the run of the week before", keys: run(-7*24*time.Hour+2*time.Minute, reported...), want: "failed, no run began"},
		{name: "a run by hand before", keys: run(-time.Minute, reported...), want: "failed, no run began"},
		{name: "no report", keys: slices.Concat(run(2*time.Minute, logs[:3]...), run(-time.Hour, reported...)), want: "failed, a run began and did not report", body: "\n  20261120T160200Z-i-0abc\n"},
		{name: "only the text", keys: run(2*time.Minute, "report.txt"), want: "failed, a run began and did not report"},
		{name: "two without", keys: slices.Concat(run(2*time.Minute), run(time.Hour)), want: "failed, a run began and did not report", body: "\n  20261120T160200Z-i-0abc\n  20261120T170000Z-i-0abc\n"},
		{name: "of another deployment", keys: foreign, want: "failed, no run began"},
		{name: "of another deployment, and one's own", keys: slices.Concat(foreign, run(time.Hour, reported...))},
		{name: "of another deployment, and one's own without a report", keys: slices.Concat(foreign, run(time.Hour)), want: "failed, a run began and did not report", body: "\n  20261120T170000Z-i-0abc\n\n"},
		{name: "on a laptop", keys: laptop, want: "failed, no run began"},
		{name: "only a log", keys: run(2*time.Minute, "log/00001.txt")[1:], want: "failed, no run began"},
		{name: "denied in between", keys: run(2*time.Minute, reported...), fails: 3, want: "it is not known whether it ran", body: "S3.S3Exception: Access Denied"},
		{name: "denied", fails: 1, want: "it is not known whether it ran", body: "S3.S3Exception: Access Denied"},
		{name: "denied later", keys: run(2*time.Minute, reported...), fails: 2, want: "it is not known whether it ran", body: "S3.S3Exception: Access Denied"},
	} {
		for _, sparse := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, sparse %v", tt.name, sparse), func(t *testing.T) {
				t.Parallel()
				got := execute(t, machine, end, slices.Concat(tt.keys, others), tt.fails, sparse)
				if got.Status != "SUCCEEDED" || got.Waited < 120 {
					t.Fatalf("%+v", got)
				}
				for _, l := range got.Lists {
					if l.Bucket != "BUCKET" || !strings.HasPrefix(l.Prefix, "deep/er/runs/") {
						t.Errorf("%+v is listed, which the role may not", l)
					}
				}
				if tt.want == "" {
					if len(got.Mails) > 0 {
						t.Errorf("there are mails: %+v", got.Mails)
					}
					return
				}
				if len(got.Mails) != 1 {
					t.Fatalf("%d mails, want one", len(got.Mails))
				}
				m := got.Mails[0]
				if m.Subject != "mayfly everything: "+tt.want || len(m.Subject) > 99 || m.TopicArn != "TOPIC" || !strings.Contains(m.Message, tt.body) || strings.Contains(m.Message, "$") {
					t.Errorf("the mail is %+v", m)
				}
			})
		}
	}
}

// All through the year, a run that came in time is found, and the one before
// it is not taken for it.
func TestMissedRunsAcrossClockChanges(t *testing.T) {
	t.Parallel()
	o := largest(t)
	schedule, err := stack.NewSchedule("30 1 * * SUN", "Europe/Berlin", 3*time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o.Schedule = schedule
	machine := machineOf(t, o, "MissedRuns")
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	starts, ends := parsed(t, schedule.Start), parsed(t, schedule.End)
	start := starts.Next(time.Date(2026, 10, 1, 0, 0, 0, 0, zone))
	keys := func(starts ...time.Time) (list []string) {
		for _, at := range starts {
			run := "deep/er/runs/" + runner.NewRunID(at, "i-0abc")
			list = append(list, run+"/started.json", run+"/report.json")
		}
		return list
	}
	for start.Before(time.Date(2027, 4, 15, 0, 0, 0, 0, zone)) {
		end := ends.Next(start)
		before := start.AddDate(0, 0, -7)
		if got := execute(t, machine, end, keys(before, start.Add(time.Minute)), 0, true); len(got.Mails) != 0 {
			t.Errorf("the start at %s: %+v", start, got.Mails)
		}
		if got := execute(t, machine, end, keys(before), 0, true); len(got.Mails) != 1 {
			t.Errorf("the start at %s that did not come: %+v", start, got.Mails)
		}
		start = starts.Next(start)
	}
}

func parsed(t *testing.T, s string) cron.Schedule {
	t.Helper()
	c, err := cron.ParseStandard(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// machineOf is a state machine in a template, after CloudFormation has put in
// what it is to put in.
func machineOf(t *testing.T, o stack.Options, name string) json.RawMessage {
	t.Helper()
	var doc struct {
		Resources map[string]struct {
			Properties struct{ Definition json.RawMessage }
		}
	}
	if err := json.Unmarshal(template(t, o), &doc); err != nil {
		t.Fatal(err)
	}
	s := string(doc.Resources[name].Properties.Definition)
	return json.RawMessage(strings.NewReplacer("${Bucket}", "BUCKET", "${Topic}", "TOPIC", "${Group}", "GROUP", "${Region}", "REGION").Replace(s))
}

// An execution is what machine.mjs says of one.
type execution struct {
	Mails   []struct{ TopicArn, Subject, Message string }
	Lists   []struct{ Bucket, Prefix string }
	Updates []groupUpdate
	Waited  int // seconds
	Status  string
	Error   map[string]string
}

func execute(t *testing.T, machine json.RawMessage, scheduled time.Time, keys []string, fails int, sparse bool) execution {
	t.Helper()
	return executeWith(t, map[string]any{
		"definition": machine, "input": map[string]string{"scheduled": scheduled.UTC().Format(time.RFC3339)},
		"keys": keys, "fails": fails, "sparse": sparse,
	})
}

// executeWith gives machine.mjs what it takes.
func executeWith(t *testing.T, input map[string]any) execution {
	t.Helper()
	in, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "machine.mjs")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got execution
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return got
}
