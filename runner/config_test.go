package runner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"mayfly/internal/secret"
	"mayfly/internal/strictyaml"
)

// toyConfig is a kind of job for these tests.
type toyConfig struct {
	Owners []string   `yaml:"owners,required" doc:"whose" example:"[octocat]"`
	Token  secret.Ref `yaml:"token" doc:"where the token is"`
	Match  []Glob     `yaml:"match" doc:"which"`
}

func (c *toyConfig) Validate() []Problem {
	var ps []Problem
	for _, o := range c.Owners {
		if o == "bad" {
			ps = append(ps, Problem{Item: "owners[0]", Reason: "is bad", Fix: "name a good one"})
		}
	}
	return ps
}
func (c *toyConfig) Needs() Needs         { return Needs{} }
func (c *toyConfig) New(Env) (Job, error) { return nil, nil }

func toyOptions(env ...string) ParseOptions {
	return ParseOptions{
		KindNames: []string{"toy"},
		Kinds: func(k string) JobConfig {
			if k == "toy" {
				return new(toyConfig)
			}
			return nil
		},
		Getenv: func(name string) string {
			for _, kv := range env {
				if k, v, _ := strings.Cut(kv, "="); k == name {
					return v
				}
			}
			return ""
		},
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	c, err := Parse("f", []byte(`
name: onlinebackup
region: eu-west-1
store: s3://bucket/some/prefix/
notify: {email: [you@example.com]}
schedule: {start: "0 17 * * FRI", timezone: Europe/Berlin, deadline: 2h}
instance: {types: [t4g.nano, u-6tb1.56xlarge], max_price: 0.02}
jobs:
  - name: one
    timeout: 1h59m
    toy: {owners: [octocat], token: ssm:/a/b, match: ["*/Scratch-*"]}
  - name: two
    prefix: deep/er
    toy: {owners: [hubot]}
`), toyOptions())
	if err != nil {
		t.Fatal(err)
	}
	bucket, prefix := c.Store.Bucket()
	if bucket != "bucket" || prefix != "some/prefix" || !c.Store.IsS3() || c.Store.Location().Dir != "" {
		t.Errorf("store: %+v", c.Store)
	}
	one := c.Jobs[0]
	if one.Prefix != "one" || one.Kind != "toy" || time.Duration(one.Timeout) != 119*time.Minute || c.Jobs[1].Prefix != "deep/er" {
		t.Errorf("jobs: %+v", c.Jobs)
	}
	toy := one.Config.(*toyConfig)
	if toy.Token != (secret.Ref{Scheme: "ssm", Name: "/a/b"}) || !toy.Match[0].Match("Me/SCRATCH-1") || toy.Match[0].Match("me/keep") {
		t.Errorf("toy: %+v", toy)
	}
	next := c.Schedule.Start.Next(time.Date(2026, 11, 20, 16, 30, 0, 0, time.UTC), c.Schedule.Timezone.Location(), 2)
	if got := next[0].Format(time.RFC3339) + " " + next[1].Format(time.RFC3339); got != "2026-11-27T17:00:00+01:00 2026-12-04T17:00:00+01:00" {
		t.Errorf("next: %s", got)
	}
}

func TestParseStoreForms(t *testing.T) {
	t.Parallel()
	jobs := "\njobs: [{name: j, toy: {owners: [o]}}]\n"
	for _, c := range []struct{ store, want string }{
		{"store: file:///var/backups", ""},
		{"store: {url: file:///var/backups}", ""},
		{"store: {url: s3://bucket, region: eu-west-1}", ""},
		{"store: {url: s3://bucket, endpoint: 'http://127.0.0.1:9000', path_style: true}", ""},
		{"store: s3://bucket", "f:2:8: store: the region of the bucket is not known"},
		{"store: file://var/backups", "f:2:8: store: not an absolute directory"},
		{"store: {url: file://var}", "f:2:14: store.url: not an absolute directory"},
		{"store: file:///", "f:2:8: store: the whole file system cannot be the store"},
		{"store: file:///a/../b", "f:2:8: store: the directory has .. in it"},
		{"store: /var/backups", "f:2:8: store: no scheme"},
		{"store: https://bucket", `f:2:8: store: unknown scheme "https"`},
		{"store: s3://Bucket", `f:2:8: store: "Bucket" cannot be a bucket`},
		{"store: s3://192.168.1.1", `f:2:8: store: "192.168.1.1" cannot be a bucket`},
		{"store: s3://a..b", `f:2:8: store: "a..b" cannot be a bucket`},
		{"store: s3:///p", "f:2:8: store: no bucket"},
		{"store: s3://bucket//p", "f:2:8: store: the prefix has an empty, . or .. part"},
		{"store: s3://bucket/a/../p", "f:2:8: store: the prefix has an empty, . or .. part"},
		{"store: \"s3://bucket/a b\"", "f:2:8: store: the prefix has characters that are not safe in every tool"},
		{"store: {endpoint: 'http://h'}", "f:2:8: store.url: missing"},
		{"store: {url: s3://bucket, endpoint: h:9000}", "f:2:37: store.endpoint: not an address of a service"},
		{"store: {url: s3://bucket, endpoint: 'http://u:p@h'}", "f:2:37: store.endpoint: not an address of a service"},
		{"store: {url: file:///x, region: eu-west-1}", "f:2:33: store.region: is for s3:// only"},
		{"store: [s3://bucket]", "f:2:8: store: must be text, is a list"},
	} {
		_, err := Parse("f", []byte("name: ab\n"+c.store+jobs), toyOptions())
		first, _, _ := strings.Cut(errText(err), "\n")
		if first != c.want {
			t.Errorf("%s: got %q, want %q", c.store, first, c.want)
		}
	}
	for _, env := range []string{"AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=x", "AWS_ENDPOINT_URL_S3=http://h", "AWS_ENDPOINT_URL=http://h"} {
		if _, err := Parse("f", []byte("name: ab\nstore: s3://bucket"+jobs), toyOptions(env)); err != nil {
			t.Errorf("%s: %v", env, err)
		}
	}
}

// What goes with a bucket is no mistake where the bucket's name is one.
func TestParseBadBucketIsOneMistake(t *testing.T) {
	t.Parallel()
	src := "name: ab\nstore: {url: s3://Bad_Bucket, endpoint: 'http://127.0.0.1:9000', region: eu-west-1, path_style: true}\njobs: [{name: j, toy: {owners: [o]}}]\n"
	_, err := Parse("f", []byte(src), toyOptions())
	var all strictyaml.Mistakes
	if !errors.As(err, &all) || len(all) != 1 || all[0].Path != "store" && all[0].Path != "store.url" {
		t.Errorf("%v", err)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Mistakes that need more than one key to be seen, each by its first line.
func TestParseCrossChecks(t *testing.T) {
	t.Parallel()
	head := "name: ab\nstore: file:///x\n"
	toy := "toy: {owners: [o]}"
	for _, c := range []struct {
		name, src string
		want      []string
	}{
		{"duplicate name", head + "jobs:\n- {name: a, " + toy + "}\n- {name: a, prefix: b, " + toy + "}\n", []string{"f:5:10: jobs[1].name: jobs[0] has this name too"}},
		{"same prefix", head + "jobs:\n- {name: a, " + toy + "}\n- {name: b, prefix: a, " + toy + "}\n", []string{"f:5:21: jobs[1].prefix: jobs[0] writes to a/ too"}},
		{"same but for case", head + "jobs:\n- {name: a, " + toy + "}\n- {name: b, prefix: A, " + toy + "}\n", []string{"f:5:21: jobs[1].prefix: jobs[0] writes to a/ too"}},
		{"nested prefix", head + "jobs:\n- {name: a, prefix: x/y, " + toy + "}\n- {name: x, " + toy + "}\n", []string{"f:5:10: jobs[1].name: lies within the prefix of jobs[0], or around it: x/ and x/y/"}},
		{"names that only begin alike", head + "jobs:\n- {name: a, prefix: x/y, " + toy + "}\n- {name: x-1, " + toy + "}\n", nil},
		{"reserved", head + "jobs:\n- {name: runs, " + toy + "}\n- {name: b, prefix: Admin/x, " + toy + "}\n", []string{"f:4:10: jobs[0].name: mayfly itself writes to runs/ in the store", "f:5:21: jobs[1].prefix: mayfly itself writes to admin/ in the store"}},
		{"reserved, renamed away", head + "jobs:\n- {name: runs, prefix: other, " + toy + "}\n", nil},
		{"bad prefix", head + "jobs:\n- {name: a, prefix: /x, " + toy + "}\n", []string{"f:4:21: jobs[0].prefix: not a prefix"}},
		{"dots", head + "jobs:\n- {name: a, prefix: x/../y, " + toy + "}\n", []string{"f:4:21: jobs[0].prefix: not a prefix"}},
		{"timeout", head + "schedule: {deadline: 1h}\njobs:\n- {name: a, timeout: 60m, " + toy + "}\n- {name: b, timeout: 0s, " + toy + "}\n", []string{"f:5:22: jobs[0].timeout: is not shorter than the deadline, 1h", "f:6:22: jobs[1].timeout: leaves no time"}},
		{"deadline", head + "schedule: {deadline: 0s}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:22: schedule.deadline: is too short"}},
		{"start without deadline", head + "schedule: {start: 0 1 * * *}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:1: schedule.deadline: missing"}},
		{"time zone without start", head + "schedule: {timezone: UTC, deadline: 1h}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:22: schedule.timezone: there is no start time that it could be for"}},
		{"email and topic", head + "region: eu-west-1\nnotify: {email: [a@b.example], topic: 'arn:aws:sns:eu-west-1:123456789012:t'}\njobs: [{name: a, " + toy + "}]\n", []string{"f:4:39: notify.topic: both email and topic are given"}},
		{"email without region", head + "notify: {email: [a@b.example]}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:10: notify.email: the region of the topic behind it is not known"}},
		{"no addresses", head + "notify: {email: []}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:10: notify.email: is an empty list"}},
		{"instance type", head + "instance: {types: [nano]}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:20: instance.types[0]: not an instance type"}},
		{"instance type twice", head + "instance: {types: [t4g.nano, t4g.nano]}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:30: instance.types[1]: is there twice"}},
		{"no instance types", head + "instance: {types: []}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:12: instance.types: is an empty list"}},
		{"root device of nothing", head + "instance: {root_device: /dev/sda1}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:25: instance.root_device: there is no image that it could be of"}},
		{"image and device", head + "instance: {image: debian, root_device: sda}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:19: instance.image: not an image", "f:3:40: instance.root_device: not a device"}},
		{"on demand with a price", head + "instance: {on_demand: always, max_price: 0.1}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:42: instance.max_price: is for spot instances, and on_demand is always"}},
		{"fallback with a price", head + "instance: {on_demand: fallback, max_price: 0.1}\njobs: [{name: a, " + toy + "}]\n", nil},
		{"fallback of a launch configuration", head + "instance: {types: [t3.nano], launch_configuration: true, on_demand: fallback}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:69: instance.on_demand: a launch configuration cannot fall back from spot to on demand"}},
		{"on demand, yes", head + "instance: {on_demand: true}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:23: instance.on_demand: is neither always nor fallback"}},
		{"on demand, no", head + "instance: {on_demand: false}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:23: instance.on_demand: is neither always nor fallback"}},
		{"launch configuration", head + "instance: {launch_configuration: true}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:34: instance.launch_configuration: launches one instance type, and there are 0", "f:3:34: instance.launch_configuration: buys spot instances only up to a price"}},
		{"subnets", head + "network: {subnets: [subnet-01234567, subnet-01234567]}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:38: network.subnets[1]: is there twice"}},
		{"no subnets", head + "network: {public_ip: true}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:1: network: names no subnet"}},
		{"disk", head + "instance: {disk: 0}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:18: instance.disk: the number is too small"}},
		{"disk of the image", head + "instance: {disk: 7}\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:18: instance.disk: is smaller than Amazon Linux's own root volume, 8 GiB"}},
		{"disk of another image", head + "instance: {disk: 7, image: ami-01234567}\njobs: [{name: a, " + toy + "}]\n", nil},
		{"budget", head + "budget: -1\njobs: [{name: a, " + toy + "}]\n", []string{"f:3:9: budget: the number is too small"}},
		{"address twice", head + "region: eu-west-1\nnotify: {email: [a@b.example, a@b.example]}\njobs: [{name: a, " + toy + "}]\n", []string{"f:4:31: notify.email[1]: is there twice"}},
		{"no jobs", head + "jobs: []\n", []string{"f:3:7: jobs: is an empty list"}},
		{"the kind's own", head + "jobs: [{name: a, toy: {owners: [bad]}}]\n", []string{"f:3:33: jobs[0].toy.owners[0]: is bad"}},
		{"bad glob", head + "jobs: [{name: a, toy: {owners: [o], match: ['[']}}]\n", []string{"f:3:45: jobs[0].toy.match[0]: not a pattern"}},
		{"all at once", "nam: x\nstor: file:///x\njobs: [{name: A, toy: {owner: [o]}}, {toy: 5}]\n", []string{
			"f:1:1: nam: unknown key", "f:2:1: stor: unknown key", "f:3:15: jobs[0].name: not a job's name",
			"f:3:24: jobs[0].toy.owner: unknown key", "f:3:38: jobs[1].name: missing", "f:3:44: jobs[1].toy: must be a mapping, is a number"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("f", []byte(c.src), toyOptions())
			var got []string
			var ms strictyaml.Mistakes
			if errors.As(err, &ms) {
				for _, m := range ms {
					first, _, _ := strings.Cut(m.String(), "\n")
					got = append(got, first)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// A token in the wrong place is not echoed, whatever the key.
func TestParseHidesTokens(t *testing.T) {
	t.Parallel()
	const token = "ghp_0123456789abcdefghij0123456789abcdef"
	for _, src := range []string{
		"name: " + token, "nmae: " + token, token + ": x", "jobs: [{name: x, toy: {owners: " + token + "}}]",
		"jobs: [{name: x, toy: {owners: [o], token: " + token + "}}]", "group: [" + token, "store: https://" + token + "@github.com/",
	} {
		_, err := Parse("f", []byte(src), toyOptions())
		if err == nil || strings.Contains(err.Error(), token[4:20]) {
			t.Errorf("%s: %v", src, err)
		}
	}
}

func TestParseNamesTheFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(name, nil, toyOptions()); err == nil || !strings.HasPrefix(err.Error(), name+": the file is empty") {
		t.Errorf("got %v", err)
	}
}
