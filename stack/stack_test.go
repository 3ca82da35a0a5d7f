package stack

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// minimal is a deployment of which only what is needed is said.
func minimal() Options {
	return Options{
		Name:   "weekly",
		Region: "eu-west-1",
		Bucket: Bucket{Name: "onlinebackupbucket", Create: true},
		Topic:  Topic{Emails: []string{"you@example.com"}},
		Role: Role{
			Policy: []byte(`{"Version":"2012-10-17","Statement":[{"Sid":"Read","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::onlinebackupbucket/admin/*"}]}`),
			Trust:  []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
		},
		Instance: Instance{Types: []Type{{"t4g.nano", "arm64"}}, UserData: []byte("#!/bin/sh\npoweroff\n")},
		Network:  Network{VPC: "vpc-0123456789abcdef0", Subnets: []Subnet{{"subnet-0000000b", "eu-west-1b"}, {"subnet-0000000a", "eu-west-1a"}}, PublicAddress: true},
		Schedule: Schedule{Start: "0 17 * * FRI", End: "15 19 * * FRI", Zone: "Europe/Berlin", Deadline: 2 * time.Hour},
	}
}

// kinds are deployments of every kind, by the name of their golden file.
func kinds() map[string]Options {
	all := map[string]Options{}
	add := func(name string, change func(*Options)) {
		o := minimal()
		change(&o)
		all[name] = o
	}
	add("minimal", func(*Options) {})
	add("existing", func(o *Options) { // somebody's bucket, topic and subnets
		o.Bucket = Bucket{Name: "onlinebackupbucket", Prefix: "deep/er"}
		o.Topic = Topic{ARN: "arn:aws:sns:eu-west-1:123456789012:backups"}
		o.Network.PublicAddress = false
		o.Budget = Budget{USD: 2.5, Emails: []string{"you@example.com"}}
	})
	add("launchconfiguration", func(o *Options) {
		o.Instance.LaunchConfiguration, o.Instance.MaxPrice = true, 0.02
	})
	add("ondemand", func(o *Options) {
		o.Instance.OnDemand = OnDemandAlways
		o.Instance.Images = []Image{{Arch: "arm64", ID: "ami-0123456789abcdef0", RootDevice: "/dev/sda1"}}
		o.Instance.RootGiB = 12
		o.SkipMissedRuns = true
	})
	add("fallback", func(o *Options) {
		o.Instance.OnDemand, o.Instance.MaxPrice = OnDemandFallback, 0.02
		o.Instance.Types = append(o.Instance.Types, Type{"t3.nano", "x86_64"}, Type{"t4g.micro", "arm64"})
		o.Instance.Images = []Image{{Arch: "x86_64", ID: "ami-0123456789abcdef0"}}
		o.Topic = Topic{ARN: "arn:aws:sns:eu-west-1:123456789012:backups"}
	})
	add("fallbackalone", func(o *Options) { // without a schedule, so without a check for missed runs
		o.Instance.OnDemand, o.Schedule = OnDemandFallback, Schedule{}
	})
	add("architectures", func(o *Options) {
		o.Instance.Types = []Type{{"t4g.nano", "arm64"}, {"t3.nano", "x86_64"}, {"c7g.medium", "arm64"}, {"m7a.medium", "x86_64"}}
		o.Instance.MaxPrice = 0.02
		o.Notices = true
		o.Budget = Budget{USD: 5}
	})
	add("hosts", func(o *Options) {
		o.Name, o.Schedule = "hosts", Schedule{Start: "0 1 1,15 * MON", End: "15 5 1,15 * MON", Deadline: 4 * time.Hour}
		o.Network.Zones = []string{"eu-west-1b"}
		o.Network.Ingress = []Ingress{{22, []string{"203.0.113.0/24", "2001:db8::/32"}}}
		o.RecycleBin = 20
	})
	add("noschedule", func(o *Options) { o.Schedule = Schedule{} })
	return all
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs; -update rewrites it. Got:\n%s", name, got)
	}
}

func render(t *testing.T, o Options) []byte {
	t.Helper()
	b, err := Template(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, o := range kinds() {
		b := render(t, o)
		golden(t, name+".json", b)
		if string(render(t, o)) != string(b) {
			t.Errorf("%s: not the same twice", name)
		}
	}
}

// parsed is a template as the tests look at it.
type parsed struct {
	Parameters, Mappings, Conditions map[string]any
	Resources                        map[string]struct {
		Type, Condition, DeletionPolicy, UpdateReplacePolicy string
		DependsOn                                            []string
		UpdatePolicy                                         map[string]any
		Properties                                           map[string]any
	}
	Outputs map[string]map[string]any
}

func parse(t *testing.T, b []byte) parsed {
	t.Helper()
	var p parsed
	dec := json.NewDecoder(strings.NewReader(string(b)))
	if err := dec.Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p
}
