package main

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"mayfly/internal/cloud"
	"mayfly/runner"
	"mayfly/stack"
	"mayfly/stack/deploy"
)

// tagKey is on everything of a deployment.
const tagKey = stack.TagKey

// An awsStatus is what AWS says of a deployment; part of status's JSON.
type awsStatus struct {
	Region string `json:"region"`
	Stack  string `json:"stack,omitempty"` // its state; "" when there is none
	// Armed says that the schedule is in force.
	Armed     bool             `json:"armed"`
	Desired   int              `json:"desired"`
	Instances []instanceStatus `json:"instances,omitempty"`
	Resumed   []string         `json:"not_suspended,omitempty"` // processes that should be suspended
	// Problems keep runs from happening, or from ending.
	Problems []problemStatus `json:"problems,omitempty"`
	// Unseen is what could not be asked, and why.
	Unseen    []string          `json:"unseen,omitempty"`
	Pending   []string          `json:"unconfirmed,omitempty"` // addresses
	LastError string            `json:"last_launch_error,omitempty"`
	Leftover  []leftover        `json:"leftover,omitempty"`
	Schedule  []scheduledStatus `json:"schedule,omitempty"`
	Hosts     []hostStatus      `json:"hosts,omitempty"` // that push

	group   string    // its name
	missing bool      // there is neither stack nor group
	changed time.Time // when the stack last was
	asked   bool      // the group's scheduled actions are known
	// scheduled says that the config has a start.
	scheduled bool
	in        map[string]bool // the group's instances
}

// A problemStatus is what is wrong, and what cures it.
type problemStatus struct {
	What string `json:"what"`
	Cure string `json:"cure"`
}

func (s *awsStatus) problem(what, cure string) {
	s.Problems = append(s.Problems, problemStatus{what, cure})
}

type instanceStatus struct {
	ID    string `json:"id"`
	Type  string `json:"type"`
	Zone  string `json:"zone"`
	State string `json:"state"`
}

type scheduledStatus struct {
	Name       string    `json:"name"`
	Recurrence string    `json:"recurrence,omitempty"`
	Zone       string    `json:"zone,omitempty"`
	At         time.Time `json:"at,omitzero"`
	Desired    int       `json:"desired"`
}

// A leftover costs money and serves nothing.
type leftover struct {
	What    string `json:"what"`
	Command string `json:"command"` // that removes it
}

// atAWS reports whether a config's deployment can be at AWS at all.
func atAWS(c *runner.Config, getenv func(string) string) bool {
	return c != nil && c.Store.IsS3() && c.Store.Endpoint == "" &&
		(getenv("AWS_ENDPOINT_URL_S3") == "" || getenv("AWS_ENDPOINT_URL") != "")
}

// askTimeAWS bounds all that status asks of AWS beside the store.
const askTimeAWS = time.Minute

// readAWS asks AWS about a deployment.
func (a *app) readAWS(ctx context.Context, c *runner.Config) (*awsStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeAWS)
	defer cancel()
	aws, err := newWorld(c, a.getenv).services(ctx)
	if err != nil {
		return nil, err
	}
	s := &awsStatus{Region: aws.Region(), group: cmp.Or(c.Group, string(c.Name)), in: map[string]bool{}, scheduled: !c.Schedule.Start.IsZero()}
	d, err := deploy.Mine(ctx, aws.stacks, string(c.Name))
	if err != nil && !errors.Is(err, deploy.ErrForeign) {
		return nil, err
	}
	if d != nil {
		s.Stack, s.Armed, s.changed = d.Status, d.Parameters[stack.ParameterArmed] == "true", d.Changed
		if strings.HasPrefix(d.Status, "UPDATE_") && strings.HasSuffix(d.Status, "FAILED") || strings.HasPrefix(d.Status, "UPDATE_ROLLBACK") && !deploy.InProgress(d.Status) {
			s.problem("the last change of the stack failed ("+d.Status+")", "mayfly deploy"+a.configFlag())
		}
	}
	looks := []func(context.Context, services, *runner.Config) error{s.leftovers, s.hosts}
	g, err := aws.groups.Describe(ctx, s.group)
	switch {
	case errors.Is(err, cloud.ErrNotFound):
		if s.missing = d == nil; !s.missing && !deploy.Unfinished(d.Status) && !deploy.InProgress(d.Status) {
			s.problem("the group "+s.group+" is gone: no run can start", "mayfly destroy"+a.configFlag()+", then mayfly deploy"+a.configFlag()+"; the data stays")
		}
	case err != nil:
		s.Unseen = append(s.Unseen, err.Error())
	default:
		s.Desired, s.Resumed = g.Desired, deploy.Unsuspended(g)
		for _, i := range g.Instances {
			s.in[i.ID] = true
			s.Instances = append(s.Instances, instanceStatus{i.ID, i.Type, i.Zone, i.State})
		}
		for _, ill := range deploy.Ills(g, aws.Region()) {
			s.problem(ill.What, ill.Cure)
		}
		looks = append(looks, s.schedule, s.activities)
	}
	if !s.missing {
		looks = append(looks, s.subscriptions)
	}
	for _, look := range looks {
		if err := look(ctx, aws, c); err != nil {
			s.Unseen = append(s.Unseen, err.Error())
		}
	}
	if s.asked && s.Armed && s.scheduled && d != nil {
		s.scheduleProblems(c, a.now(), a.configFlag())
	}
	return s, nil
}

func (s *awsStatus) schedule(ctx context.Context, aws services, _ *runner.Config) error {
	list, err := aws.groups.Schedule(ctx, s.group)
	s.asked = err == nil
	for _, act := range list {
		s.Schedule = append(s.Schedule, scheduledStatus{act.Name, act.Recurrence, act.Zone, act.At, act.Desired})
		if s.Stack == "" && act.Desired == 1 { // made by hand
			s.Armed = true
		}
		if act.Name == deploy.EndAction && s.Desired == 0 && len(s.in) == 0 {
			s.Leftover = append(s.Leftover, leftover{
				"the end of a run that was started by hand, at " + act.At.UTC().Format("2006-01-02 15:04 UTC") + ": what is at work then is ended", removeEnd(aws.Region(), s.group),
			})
		}
	}
	return err
}

// scheduleProblems finds starts and ends that the config has and the group has
// not.
func (s *awsStatus) scheduleProblems(c *runner.Config, now time.Time, flag string) {
	want, err := scheduleOf(c, now)
	if err != nil {
		return // which check and deploy say
	}
	var have []cloud.ScheduledAction
	for _, act := range s.Schedule {
		have = append(have, cloud.ScheduledAction{Recurrence: act.Recurrence, Zone: act.Zone, Desired: act.Desired})
	}
	for _, missing := range deploy.Unscheduled(want, have) {
		s.problem("the group has no "+missing+", which the config has", "mayfly deploy"+flag)
	}
}

// activities keeps the newest failure that nothing good came after.
func (s *awsStatus) activities(ctx context.Context, aws services, _ *runner.Config) error {
	list, err := aws.groups.Activities(ctx, s.group)
	if len(list) > 0 && list[0].Failed {
		s.LastError = list[0].Began.UTC().Format("2006-01-02 15:04 UTC") + ": " + list[0].Reason
	}
	return err
}

func (s *awsStatus) subscriptions(ctx context.Context, aws services, c *runner.Config) error {
	arn := string(c.Notify.Topic)
	if arn == "" {
		var err error
		if arn, err = aws.TopicARN(ctx, string(c.Name)); err != nil {
			return err
		}
	}
	list, err := aws.Topics().Subscriptions(ctx, arn)
	if errors.Is(err, cloud.ErrNotFound) {
		s.Pending = append(s.Pending, "(there is no topic "+arn+")")
		return nil
	}
	known := map[string]bool{}
	for _, sub := range list {
		known[strings.ToLower(sub.Endpoint)] = true
		if sub.Pending {
			s.Pending = append(s.Pending, sub.Endpoint)
		}
	}
	for _, e := range c.Notify.Email {
		if !known[strings.ToLower(string(e))] {
			s.Pending = append(s.Pending, string(e))
		}
	}
	return err
}

// overdueAfter is how long after a start its run is in the store at the latest:
// a start may be some minutes late, and then the machine boots.
const overdueAfter = 15 * time.Minute

// overdue adds a problem when the newest start has come to nothing; newest is
// when the newest run on an instance began.
func (s *awsStatus) overdue(c *runner.Config, newest, now time.Time) {
	if s.Stack == "" || !s.Armed || s.missing {
		return
	}
	start := c.Schedule.Start.Last(now.Add(-overdueAfter), c.Schedule.Timezone.Location())
	if start.IsZero() || !start.After(s.changed) || newest.After(start.Add(-slack)) {
		return
	}
	s.problem("no run has begun since the start at "+start.Format("Mon 2 Jan 2006 15:04 MST"), "the mails of then say why; to run it now: mayfly start")
}

// unready says that only deploy can go on from here.
func (s *awsStatus) unready() bool {
	return s.Stack != "" && (deploy.Unfinished(s.Stack) || s.scheduled && !s.Armed)
}
