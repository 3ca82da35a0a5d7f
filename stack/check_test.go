package stack

import (
	"strings"
	"testing"
	"time"
)

// Each mistake has an error that says what to do, and they are said at once.
func TestTemplateRefuses(t *testing.T) {
	t.Parallel()
	var all []func(*Options)
	for _, tt := range []struct {
		want   string
		change func(*Options)
	}{
		{`name: "Weekly" is not 2 to 32 lower-case letters`, func(o *Options) { o.Name = "Weekly" }},
		{`bucket: "B" is not a bucket's name`, func(o *Options) { o.Bucket.Name = "B" }},
		{`bucket: "/x/" cannot be a prefix: write it without slashes around it`, func(o *Options) { o.Bucket.Prefix = "/x/" }},
		{`bucket: "${x}" cannot be a prefix`, func(o *Options) { o.Bucket.Prefix = "${x}" }},
		{`bucket: old versions cannot go after -1 days`, func(o *Options) { o.Bucket.Noncurrent = -1 }},
		{`bucket: nothing about a bucket that exists is changed`, func(o *Options) { o.Bucket.Create, o.Bucket.Noncurrent = false, 9 }},
		{`bucket: it is in eu-central-1, and the check for missed runs, in eu-west-1, cannot look into it: skip the check`, func(o *Options) { o.Bucket.Region = "eu-central-1" }},
		{`topic: nobody would hear of a run that could not start: give an address`, func(o *Options) { o.Topic.Emails = nil }},
		{`topic: "weekly" is not the ARN of an SNS topic`, func(o *Options) { o.Topic = Topic{ARN: "weekly"} }},
		{`topic: one's own is not changed: subscribe the addresses to it oneself`, func(o *Options) { o.Topic.ARN = "arn:aws:sns:eu-west-1:123456789012:t" }},
		{`topic: it is in us-east-1, and the check for missed runs, in eu-west-1, cannot send to it`, func(o *Options) { o.Topic = Topic{ARN: "arn:aws:sns:us-east-1:123456789012:t"} }},
		{`role: its policy is not a policy document`, func(o *Options) { o.Role.Policy = []byte("{}") }},
		{`role: its trust is not a policy document`, func(o *Options) { o.Role.Trust = nil }},
		{`instance: no types: name one`, func(o *Options) { o.Instance.Types = nil }},
		{`instance: "nano" is not an instance type`, func(o *Options) { o.Instance.Types[0].Name = "nano" }},
		{`instance: t4g.nano has an architecture of "amd64": there is arm64 and x86_64`, func(o *Options) { o.Instance.Types[0].Arch = "amd64" }},
		{`instance: t4g.nano is named twice`, func(o *Options) { o.Instance.Types = append(o.Instance.Types, o.Instance.Types[0]) }},
		{`instance: "debian" is not an image: write ami-`, func(o *Options) { o.Instance.Images = []Image{{Arch: "arm64", ID: "debian"}} }},
		{`instance: image ami-1 has an architecture of ""`, func(o *Options) { o.Instance.Images = []Image{{ID: "ami-1"}} }},
		{`instance: a maximum price of -1 dollars buys nothing`, func(o *Options) { o.Instance.MaxPrice = -1 }},
		{`instance: a maximum price is for the spot market`, func(o *Options) { o.Instance.OnDemand, o.Instance.MaxPrice = OnDemandAlways, 1 }},
		{`instance: it is bought on demand always or as a fallback, not "sometimes"`, func(o *Options) { o.Instance.OnDemand = "sometimes" }},
		{`instance: a launch configuration cannot fall back from spot to on demand: buy on demand always`, func(o *Options) {
			o.Instance.OnDemand, o.Instance.LaunchConfiguration, o.Instance.MaxPrice = OnDemandFallback, true, 1
		}},
		{`topic: it is in us-east-1, and what falls back to on demand, in eu-west-1, cannot send to it: name a topic of that region`, func(o *Options) {
			o.Instance.OnDemand, o.SkipMissedRuns = OnDemandFallback, true
			o.Topic = Topic{ARN: "arn:aws:sns:us-east-1:123456789012:t"}
		}},
		{`instance: a launch configuration buys spot only at a maximum price: name one`, func(o *Options) { o.Instance.LaunchConfiguration = true }},
		{`instance: a root volume of -8 GiB is none`, func(o *Options) { o.Instance.RootGiB = -8 }},
		{`instance: user data has 16385 bytes: it needs 1 to 16384`, func(o *Options) { o.Instance.UserData = make([]byte, 16385) }},
		{`instance: user data has 0 bytes`, func(o *Options) { o.Instance.UserData = nil }},
		{`network: no VPC`, func(o *Options) { o.Network.VPC = "" }},
		{`network: no subnets: an instance needs one`, func(o *Options) { o.Network.Subnets = nil }},
		{`network: no subnet in eu-west-1c, where a volume is`, func(o *Options) { o.Network.Zones = []string{"eu-west-1a", "eu-west-1c"} }},
		{`network: 0 is not a port`, func(o *Options) { o.Network.Ingress = []Ingress{{0, []string{"203.0.113.0/24"}}} }},
		{`network: nobody may reach port 22: say from where`, func(o *Options) { o.Network.Ingress = []Ingress{{22, nil}} }},
		{`network: port 22: "203.0.113.1/24" is not a range of addresses`, func(o *Options) { o.Network.Ingress = []Ingress{{22, []string{"203.0.113.1/24"}}} }},
		{`schedule: there is no start that the rest could be for`, func(o *Options) { o.Schedule.Start = "" }},
		{`schedule: a run needs a deadline`, func(o *Options) { o.Schedule.Deadline = 0 }},
		{`schedule: its end is "15 19 * * FRI" and should be "15 20 * * FRI": make it with NewSchedule`, func(o *Options) { o.Schedule.Deadline = 3 * time.Hour }},
		{`schedule: there is no time zone "Mars"`, func(o *Options) { o.Schedule.Zone = "Mars" }},
		{`budget: -1 dollars are no limit`, func(o *Options) { o.Budget.USD = -1 }},
		{`budget: 11 addresses are more than the 10`, func(o *Options) { o.Budget = Budget{5, make([]string, 11)} }},
		{`recycle bin: snapshots can be kept for 1 to 365 days, not 366`, func(o *Options) { o.RecycleBin = 366 }},
	} {
		o := minimal()
		tt.change(&o)
		all = append(all, tt.change)
		_, err := Template(o)
		if err == nil {
			t.Errorf("%s: taken", tt.want)
			continue
		}
		if msg := err.Error(); !strings.Contains(msg, tt.want) || !strings.HasPrefix(msg, "stack template: ") || strings.Contains(msg, "\n") {
			t.Errorf("got %q, want %q", msg, tt.want)
		}
	}
	o := minimal()
	all[0](&o)
	all[len(all)-1](&o)
	if _, err := Template(o); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("two mistakes: %v", err)
	}
}

// What the check for missed runs cannot see is no mistake without it.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	o := minimal()
	o.Bucket, o.Topic = Bucket{Name: "elsewhere", Region: "eu-central-1"}, Topic{ARN: "arn:aws:sns:us-east-1:123456789012:t"}
	o.SkipMissedRuns = true
	render(t, o)
	o.SkipMissedRuns, o.Schedule = false, Schedule{}
	render(t, o)
	o = minimal()
	o.Region, o.Bucket.Region = "cn-north-1", "cn-north-1"
	if b := string(render(t, o)); !strings.Contains(b, `"arn:aws-cn:states:::sns:publish"`) || strings.Contains(b, `"arn:aws:states`) {
		t.Error("the state machine is not of the region's partition")
	}
}
