package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
)

var (
	nameForm   = regexp.MustCompile(`^[a-z][a-z0-9-]{1,31}$`)
	bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	prefixForm = regexp.MustCompile(`^[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*$`)
	topicForm  = regexp.MustCompile(`^arn:[a-z-]+:sns:([a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]+$`)
	imageForm  = regexp.MustCompile(`^(ami-[0-9a-f]+|resolve:ssm:/\S+)$`)
	typeForm   = regexp.MustCompile(`^[a-z][a-z0-9-]*\.[a-z0-9-]+$`)
)

// Limits of what a template is made of.
const (
	maxBudgetEmails = 10    // https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_NotificationWithSubscribers.html, beside one topic
	maxUserData     = 16384 // bytes before base64, https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
	maxRecycleBin   = 365   // days, https://docs.aws.amazon.com/ebs/latest/userguide/recycle-bin-concepts.html
)

// problems collects what is wrong, so that everything is said at once.
type problems []error

func (p *problems) add(wrong bool, format string, args ...any) {
	if wrong {
		*p = append(*p, fmt.Errorf(format, args...))
	}
}

func (o Options) check() error {
	var p problems
	p.add(!nameForm.MatchString(o.Name), "name: %q is not 2 to 32 lower-case letters, digits and hyphens, beginning with a letter", o.Name)
	o.Bucket.check(&p)
	o.Topic.check(&p)
	o.Role.check(&p)
	o.Instance.check(&p)
	o.Network.check(&p)
	o.Schedule.check(&p)
	p.add(o.Budget.USD < 0, "budget: %v dollars are no limit: leave it out, or write a positive number", o.Budget.USD)
	p.add(len(o.Budget.Emails) > maxBudgetEmails, "budget: %d addresses are more than the %d that a warning can be sent to: subscribe them to the topic instead", len(o.Budget.Emails), maxBudgetEmails)
	p.add(o.RecycleBin < 0 || o.RecycleBin > maxRecycleBin, "recycle bin: snapshots can be kept for 1 to %d days, not %d", maxRecycleBin, o.RecycleBin)
	o.checkMissedRuns(&p)
	o.checkFallback(&p)
	return errors.Join(p...)
}

func (b Bucket) check(p *problems) {
	p.add(!bucketForm.MatchString(b.Name), "bucket: %q is not a bucket's name", b.Name)
	p.add(b.Prefix != "" && !prefixForm.MatchString(b.Prefix), "bucket: %q cannot be a prefix: write it without slashes around it, in letters, digits and -_.!*'()", b.Prefix)
	p.add(b.Noncurrent < 0, "bucket: old versions cannot go after %d days: write 1 or more", b.Noncurrent)
	p.add(b.Noncurrent > 0 && !b.Create, "bucket: nothing about a bucket that exists is changed: leave out after how many days old versions go")
}

func (t Topic) check(p *problems) {
	switch {
	case t.ARN != "":
		p.add(!topicForm.MatchString(t.ARN), "topic: %q is not the ARN of an SNS topic", t.ARN)
		p.add(len(t.Emails) > 0, "topic: one's own is not changed: subscribe the addresses to it oneself, or leave out its ARN")
	default:
		p.add(len(t.Emails) == 0, "topic: nobody would hear of a run that could not start: give an address, or the ARN of a topic")
	}
}

func (r Role) check(p *problems) {
	for _, d := range []struct {
		what string
		doc  []byte
	}{{"policy", r.Policy}, {"trust", r.Trust}} {
		var o map[string]any
		p.add(json.Unmarshal(d.doc, &o) != nil || o["Statement"] == nil, "role: its %s is not a policy document in JSON", d.what)
	}
}

func (i Instance) check(p *problems) {
	p.add(len(i.Types) == 0, "instance: no types: name one, like t4g.nano")
	seen := map[string]bool{}
	for _, t := range i.Types {
		p.add(!typeForm.MatchString(t.Name), "instance: %q is not an instance type: write it like t4g.nano", t.Name)
		p.add(!isArch(t.Arch), "instance: %s has an architecture of %q: there is arm64 and x86_64", t.Name, t.Arch)
		p.add(seen[t.Name], "instance: %s is named twice", t.Name)
		seen[t.Name] = true
	}
	for _, m := range i.Images {
		p.add(!isArch(m.Arch), "instance: image %s has an architecture of %q: there is arm64 and x86_64", m.ID, m.Arch)
		p.add(!imageForm.MatchString(m.ID), `instance: %q is not an image: write ami-… or resolve:ssm:/PARAMETER`, m.ID)
	}
	p.add(i.MaxPrice < 0, "instance: a maximum price of %v dollars buys nothing", i.MaxPrice)
	p.add(i.OnDemand != "" && i.OnDemand != OnDemandAlways && i.OnDemand != OnDemandFallback, "instance: it is bought on demand always or as a fallback, not %q", i.OnDemand)
	p.add(i.OnDemand == OnDemandAlways && i.MaxPrice > 0, "instance: a maximum price is for the spot market: leave it out, or buy spot")
	p.add(i.LaunchConfiguration && i.OnDemand == OnDemandFallback, "instance: a launch configuration cannot fall back from spot to on demand: buy on demand always, or use a launch template")
	p.add(i.LaunchConfiguration && i.OnDemand == "" && i.MaxPrice == 0, "instance: a launch configuration buys spot only at a maximum price: name one, or use a launch template")
	p.add(i.RootGiB < 0, "instance: a root volume of %d GiB is none", i.RootGiB)
	n := len(i.UserData)
	p.add(n == 0 || n > maxUserData, "instance: user data has %d bytes: it needs 1 to %d", n, maxUserData)
}

func isArch(s string) bool { return s == "arm64" || s == "x86_64" }

func (n Network) check(p *problems) {
	p.add(n.VPC == "", "network: no VPC")
	p.add(len(n.Subnets) == 0, "network: no subnets: an instance needs one with a way out")
	for _, z := range n.Zones {
		p.add(!slices.ContainsFunc(n.Subnets, func(s Subnet) bool { return s.Zone == z }),
			"network: no subnet in %s, where a volume is: make one there, with a way out", z)
	}
	for _, in := range n.Ingress {
		p.add(in.Port < 1 || in.Port > 65535, "network: %d is not a port", in.Port)
		p.add(len(in.From) == 0, "network: nobody may reach port %d: say from where, like 203.0.113.0/24", in.Port)
		for _, from := range in.From {
			prefix, err := netip.ParsePrefix(from)
			p.add(err != nil || prefix != prefix.Masked(), "network: port %d: %q is not a range of addresses: write it like 203.0.113.0/24", in.Port, from)
		}
	}
}

func (s Schedule) check(p *problems) {
	if s.Start == "" {
		p.add(s != Schedule{}, "schedule: there is no start that the rest could be for")
		return
	}
	after, err := EndAfter(s.Start, s.Zone, s.Deadline)
	if err == nil && s.Deadline <= 0 {
		err = errors.New("a run needs a deadline")
	}
	var end string
	if err == nil {
		end, err = EndCron(s.Start, after)
	}
	p.add(err != nil, "schedule: %w", err)
	p.add(err == nil && end != s.End, "schedule: its end is %q and should be %q: make it with NewSchedule", s.End, end)
}

// checkMissedRuns refuses what the check for missed runs cannot see: it is in
// the stack's region, and Step Functions calls services of its own only.
func (o Options) checkMissedRuns(p *problems) {
	if o.Schedule.Start == "" || o.SkipMissedRuns || o.Region == "" {
		return
	}
	p.add(o.Bucket.Region != "" && o.Bucket.Region != o.Region,
		"bucket: it is in %s, and the check for missed runs, in %s, cannot look into it: skip the check, or deploy in the bucket's region", o.Bucket.Region, o.Region)
	p.add(o.Topic.far(o.Region),
		"topic: it is in %s, and the check for missed runs, in %s, cannot send to it: skip the check, or name a topic of that region", o.Topic.region(), o.Region)
}

// checkFallback refuses a topic that the fallback could not send to.
func (o Options) checkFallback(p *problems) {
	p.add(o.Instance.OnDemand == OnDemandFallback && o.Topic.far(o.Region),
		"topic: it is in %s, and what falls back to on demand, in %s, cannot send to it: name a topic of that region, or buy on demand always", o.Topic.region(), o.Region)
}

// region is that of a topic of one's own, "" of another.
func (t Topic) region() string {
	if m := topicForm.FindStringSubmatch(t.ARN); m != nil {
		return m[1]
	}
	return ""
}

// far reports whether a topic of one's own is in another region, as far as
// both are known.
func (t Topic) far(region string) bool {
	return t.region() != "" && region != "" && t.region() != region
}
