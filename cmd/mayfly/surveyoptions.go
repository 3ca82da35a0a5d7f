package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mayfly/iam"
	"mayfly/internal/cloud"
	"mayfly/stack"
	"mayfly/userdata"
)

// make makes options, user data and template.
func (s *survey) make(a *app) {
	c := s.config
	bucket, prefix := c.Store.Bucket()
	at := iam.Place{Partition: s.caller.Partition, Region: s.region, Account: s.caller.Account}
	policy, err := permissions(c, at).JSON()
	if err != nil {
		s.problems = append(s.problems, err)
		return
	}
	v := a.userdataValues(c, s.source, s.programs, userdataOptions{})
	v.Region = s.region
	delete(v.Environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT") // this machine's: an instance has its own
	for _, name := range slices.Sorted(maps.Keys(v.Environment)) {
		s.notes = append(s.notes, fmt.Sprintf("from the environment, instances get %s=%s", name, v.Environment[name]))
	}
	if s.userData, err = userdata.Render(v); err != nil {
		s.problems = append(s.problems, err)
		return
	}
	n := &s.options
	n.Name, n.Region = string(c.Name), s.region
	n.Bucket = stack.Bucket{Name: bucket, Prefix: prefix, Region: string(c.Store.Region), Create: s.bucketIsIn || s.newBucket}
	n.Topic.ARN = string(c.Notify.Topic)
	for _, e := range c.Notify.Email {
		n.Topic.Emails = append(n.Topic.Emails, string(e))
	}
	n.Role = stack.Role{Policy: policy, Trust: iam.Trust(s.caller.Partition)}
	n.Instance.MaxPrice, n.Instance.OnDemand = c.Instance.MaxPrice, stack.OnDemand(c.Instance.OnDemand)
	n.Instance.LaunchConfiguration, n.Instance.RootGiB = c.Instance.LaunchConfiguration, c.Instance.Disk
	n.Instance.UserData = s.userData
	n.ConfigSum, n.Deadline = sumOf(s.source), time.Duration(c.Schedule.Deadline)
	n.Notices = c.Notify.Launches
	n.SkipMissedRuns = !c.Notify.MissedRuns() || s.elsewhere()
	n.Budget = stack.Budget{USD: c.Budget, Emails: n.Topic.Emails}
	for _, j := range c.Jobs {
		needs := j.Config.Needs()
		for _, in := range needs.Ingress {
			n.Network.Ingress = append(n.Network.Ingress, stack.Ingress{Port: in.Port, From: in.From})
		}
		n.Network.Zones = append(n.Network.Zones, needs.Zones...)
	}
	slices.Sort(n.Network.Zones)
	n.Network.Zones = slices.Compact(n.Network.Zones)
	if !c.Schedule.Start.IsZero() {
		if n.Schedule, err = scheduleOf(c, a.now()); err != nil {
			s.problems = append(s.problems, err)
			return
		}
		s.noteFirstStart(a)
	}
	if s.template, err = stack.Template(*n); err != nil {
		s.problems = append(s.problems, err)
	}
}

// noteFirstStart says that the check for missed runs cannot know that the
// schedule came into force after a start whose end is still to come.
func (s *survey) noteFirstStart(a *app) {
	if s.now != nil && !s.unarmed() || s.options.SkipMissedRuns {
		return
	}
	c, now := s.config.Schedule, a.now()
	last := c.Start.Last(now, c.Timezone.Location())
	if !last.IsZero() && now.Before(last.Add(time.Duration(c.Deadline)+stack.EndMargin)) {
		s.notes = append(s.notes, fmt.Sprintf("the start at %s has passed: a mail will say that there was no run then, unless mayfly start%s begins one", last.Format("15:04 MST"), a.configFlag()))
	}
}

// elsewhere reports whether store or topic are where the check for missed runs
// cannot reach: a state machine calls the services of its own region.
func (s *survey) elsewhere() bool {
	c := s.config
	if c.Store.Endpoint != "" {
		return true // which is noted
	}
	far := func(what, region string) bool {
		if region == "" || region == s.region {
			return false
		}
		if c.Notify.MissedRuns() && !c.Schedule.Start.IsZero() {
			s.notes = append(s.notes, fmt.Sprintf("%s is in %s and the deployment in %s: nobody looks for runs that never happened", what, region, s.region))
		}
		return true
	}
	topic := strings.Split(s.topic(), ":")
	return far("the bucket", string(c.Store.Region)) || far("the topic", topic[min(3, len(topic)-1)])
}

// input is the stack as it is to be.
func (s *survey) input() cloud.StackInput {
	in := cloud.StackInput{Name: s.options.Name, Template: s.template, Tags: map[string]string{stack.TagKey: s.options.Name}}
	if s.options.Schedule.Start != "" {
		in.Parameters = map[string]string{stack.ParameterArmed: "true"}
	}
	return in
}
