package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
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
	Armed     bool              `json:"armed"`
	Desired   int               `json:"desired"`
	Instances []instanceStatus  `json:"instances,omitempty"`
	Resumed   []string          `json:"not_suspended,omitempty"` // processes that should be suspended
	Pending   []string          `json:"unconfirmed,omitempty"`   // addresses
	LastError string            `json:"last_launch_error,omitempty"`
	Leftover  []leftover        `json:"leftover,omitempty"`
	Schedule  []scheduledStatus `json:"schedule,omitempty"`

	group   string // its name
	missing bool   // there is neither stack nor group
	// scheduled says that the config has a start.
	scheduled bool
	in        map[string]bool // the group's instances
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
		s.Stack, s.Armed = d.Status, d.Parameters[stack.ParameterArmed] == "true"
	}
	g, err := aws.groups.Describe(ctx, s.group)
	if errors.Is(err, cloud.ErrNotFound) {
		s.missing = d == nil
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s.Desired, s.Resumed = g.Desired, deploy.Unsuspended(g)
	for _, i := range g.Instances {
		s.in[i.ID] = true
		s.Instances = append(s.Instances, instanceStatus{i.ID, i.Type, i.Zone, i.State})
	}
	for _, look := range []func(context.Context, services, *runner.Config) error{s.schedule, s.activities, s.subscriptions, s.leftovers} {
		if err := look(ctx, aws, c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *awsStatus) schedule(ctx context.Context, aws services, _ *runner.Config) error {
	list, err := aws.groups.Schedule(ctx, s.group)
	for _, act := range list {
		s.Schedule = append(s.Schedule, scheduledStatus{act.Name, act.Recurrence, act.Zone, act.At, act.Desired})
		if s.Stack == "" && act.Desired == 1 { // made by hand
			s.Armed = true
		}
	}
	return err
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

// leftovers finds what nobody will remove by itself.
func (s *awsStatus) leftovers(ctx context.Context, aws services, c *runner.Config) error {
	name, region := string(c.Name), " --region "+aws.Region()
	machines, err := aws.ec2.Instances(ctx, tagKey, name)
	if err != nil {
		return err
	}
	for _, i := range machines {
		if s.in[i.ID] || i.State == "shutting-down" {
			continue
		}
		s.Leftover = append(s.Leftover, leftover{
			fmt.Sprintf("instance %s, %s, %s since %s", i.ID, i.Type, i.State, i.Launched.UTC().Format("2006-01-02 15:04 UTC")),
			"aws ec2 terminate-instances" + region + " --instance-ids " + i.ID,
		})
	}
	volumes, err := aws.ec2.Volumes(ctx, tagKey, name)
	if err != nil {
		return err
	}
	for _, v := range volumes {
		if v.State != "available" || v.Tags[hostTag] != "" { // a host's is data
			continue
		}
		s.Leftover = append(s.Leftover, leftover{
			fmt.Sprintf("volume %s, %d GiB, of no instance", v.ID, v.GiB), "aws ec2 delete-volume" + region + " --volume-id " + v.ID,
		})
	}
	bucket, prefix := c.Store.Bucket()
	if prefix != "" {
		prefix += "/"
	}
	uploads, err := aws.Buckets().Unfinished(ctx, bucket, prefix, string(c.Store.Region))
	if err != nil {
		return err
	}
	for _, u := range uploads {
		// The next run drops those from before it, a run at work needs its own.
		if len(s.Instances) > 0 || time.Since(u.Began) < uploadAge {
			continue
		}
		s.Leftover = append(s.Leftover, leftover{
			fmt.Sprintf("unfinished upload of %s since %s", u.Key, u.Began.UTC().Format("2006-01-02 15:04 UTC")),
			fmt.Sprintf("aws s3api abort-multipart-upload --bucket %s --key %s --upload-id %s", bucket, u.Key, u.ID),
		})
	}
	return nil
}

// hostTag is on volumes that hold a host's data.
const hostTag = "mayfly:host"

// uploadAge is after how long an upload that is not finished is taken for one
// that never will be.
const uploadAge = 24 * time.Hour

// print shows it to a person.
func (s *awsStatus) print(w io.Writer, config string) {
	line := func(label, format string, a ...any) { fmt.Fprintf(w, "%-20s %s\n", label, fmt.Sprintf(format, a...)) }
	switch {
	case s.missing:
		line("In AWS:", "not deployed in %s (mayfly deploy%s)", s.Region, config)
		return
	case s.Stack == "":
		line("In AWS:", "a group made by hand, %s in %s", s.group, s.Region)
	case deploy.Unfinished(s.Stack) || deploy.InProgress(s.Stack):
		line("In AWS:", "NOT FINISHED, %s: mayfly deploy%s goes on", s.Stack, config)
	default:
		line("In AWS:", "deployed in %s", s.Region)
	}
	switch {
	case s.Stack == "" || s.Armed:
	case s.scheduled:
		line("Schedule:", "NOT IN FORCE: mayfly deploy%s puts it in force", config)
	default:
		line("Schedule:", "none; mayfly start%s starts a run", config)
	}
	for _, i := range s.Instances {
		line("Instance:", "%s (%s), %s", i.ID, typeAndZone(i.Type, i.Zone), i.State)
	}
	if len(s.Instances) == 0 {
		line("Instance:", "none is running%s", map[bool]string{true: ", and one is asked for"}[s.Desired > 0])
	}
	for _, act := range s.Schedule {
		if act.Recurrence == "" && act.Desired == 0 {
			line("Ends:", "whatever is running at %s, since it was started by hand", act.At.UTC().Format("Mon 2 Jan 15:04 UTC"))
		}
	}
	if s.LastError != "" {
		line("Launch failed:", "%s", runner.OneLine(s.LastError, 300))
	}
	if len(s.Resumed) > 0 {
		line("DANGER:", "%s not suspended: an instance that ends itself is replaced: mayfly deploy%s suspends", strings.Join(s.Resumed, " and "), config)
	}
	for _, p := range s.Pending {
		line("No mail to:", "%s: not confirmed (mayfly deploy%s asks again)", p, config)
	}
	if len(s.Leftover) == 0 {
		line("Left over:", "nothing")
	}
	for _, l := range s.Leftover {
		line("Left over:", "%s\n%-20s   %s", l.What, "", l.Command)
	}
}
