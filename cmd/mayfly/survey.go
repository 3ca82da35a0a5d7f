package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/iam"
	"mayfly/internal/cloud"
	"mayfly/internal/secret"
	"mayfly/runner"
	"mayfly/stack"
	"mayfly/stack/deploy"
	"mayfly/userdata"
)

// A deployOptions is what plan and deploy are asked for.
type deployOptions struct {
	binaries string
	kmsKeys  []string
	given    []string // --secret NAME=REFERENCE
}

// A survey is what has been found out about the account before anything is
// made there, and the deployment that follows from it and the config.
type survey struct {
	world    *world
	config   *runner.Config
	source   []byte // the config's text
	programs []program
	caller   cloud.Caller
	region   string
	aws      services

	now        *cloud.Stack // nil: there is none yet
	resources  []cloud.Resource
	bucketIsIn bool // in the stack
	newBucket  bool // nobody has one of that name
	types      []cloud.InstanceType
	options    stack.Options
	// publicAddress says that instances have a public address, which costs.
	publicAddress bool
	template      []byte
	userData      []byte
	secrets       []neededSecret
	problems      []error
	notes         []string
}

// services are the clients of a deployment's region.
type services struct {
	*cloud.Cloud
	stacks cloud.Stacks
	groups cloud.Groups
	ec2    cloud.EC2
	roles  cloud.Roles
}

// services makes the clients; no request is sent.
func (w *world) services(ctx context.Context) (s services, err error) {
	if s.Cloud, err = w.cloud(ctx); err != nil {
		return s, err
	}
	if s.stacks, err = s.Stacks(); err != nil {
		return s, err
	}
	if s.groups, err = s.Groups(); err != nil {
		return s, err
	}
	if s.ec2, err = s.EC2(); err != nil {
		return s, err
	}
	s.roles, err = s.Roles()
	return s, err
}

// survey looks at config and account. Nothing is changed. Everything that
// stands in the way is said at once, exit code 2; what cannot be asked is exit
// code 1.
func (a *app) survey(ctx context.Context, o deployOptions) (*survey, error) {
	name, src, err := a.readConfig(ctx)
	if err != nil {
		return nil, usageError(err)
	}
	c, err := a.parseConfig(name, src)
	if err != nil {
		return nil, err
	}
	s := &survey{config: c, source: src, world: newWorld(c, a.getenv)}
	if err := s.offline(a, o); err != nil {
		return nil, usageError(err)
	}
	if err := s.connect(ctx); err != nil {
		return nil, usageError(err)
	}
	for _, look := range []func(context.Context) error{s.lookStack, s.lookBucket, s.lookTypes, s.lookNetwork, s.lookSecrets} {
		if err := look(ctx); err != nil {
			return nil, asFailed(errors.New(s.world.redactor.Redact(err.Error())))
		}
	}
	if len(s.problems) == 0 {
		s.make(a, o)
	}
	if len(s.problems) > 0 {
		return nil, usageError(fmt.Errorf("this cannot be deployed, and nothing was:\n%w", indented(s.problems)))
	}
	return s, nil
}

// indented is a list of errors, one on a line.
func indented(list []error) error {
	var lines []string
	for _, e := range list {
		lines = append(lines, "  "+strings.ReplaceAll(e.Error(), "\n", "\n  "))
	}
	return errors.New(strings.Join(lines, "\n"))
}

func (s *survey) problem(format string, a ...any) {
	s.problems = append(s.problems, fmt.Errorf(format, a...))
}

// offline finds what can be seen without AWS.
func (s *survey) offline(a *app, o deployOptions) error {
	c := s.config
	if err := instanceReady(c); err != nil {
		return err
	}
	if c.Group != "" {
		return fmt.Errorf("group: %s would be a group made by hand, and deploy makes one named %s: remove group from the config", c.Group, c.Name)
	}
	if err := scheduleError(c, a.now()); err != nil {
		return err
	}
	if err := (iamOptions{kmsKeys: o.kmsKeys}).check(); err != nil {
		return err
	}
	var err error
	if s.programs, err = findPrograms(o.binaries); err != nil {
		return err
	}
	s.secrets, err = a.neededSecrets(c, o.given)
	return err
}

// scheduleError says what of a schedule Auto Scaling could not do.
func scheduleError(c *runner.Config, now time.Time) error {
	if c.Schedule.Start.IsZero() {
		return nil
	}
	_, err := scheduleOf(c, now)
	return err
}

func scheduleOf(c *runner.Config, now time.Time) (stack.Schedule, error) {
	return stack.NewSchedule(c.Schedule.Start.String(), c.Schedule.Timezone.String(), time.Duration(c.Schedule.Deadline), now)
}

// connect finds out who is asking, and where.
func (s *survey) connect(ctx context.Context) error {
	aws, err := s.world.services(ctx)
	if err != nil {
		return err
	}
	s.aws, s.region = aws, aws.Region()
	s.caller, err = aws.Caller(ctx)
	return err
}

// lookStack finds the deployment's stack, and names that others have taken.
func (s *survey) lookStack(ctx context.Context) error {
	name := string(s.config.Name)
	var err error
	s.now, err = deploy.Mine(ctx, s.aws.stacks, name)
	if errors.Is(err, deploy.ErrForeign) {
		s.problems = append(s.problems, err)
		return nil
	}
	if err != nil {
		return err
	}
	if s.now != nil {
		if s.resources, err = s.aws.stacks.Resources(ctx, s.now.ID); err != nil {
			return err
		}
	}
	if s.resource("AWS::AutoScaling::AutoScalingGroup") == "" {
		_, err := s.aws.groups.Describe(ctx, name)
		switch {
		case err == nil:
			s.problem("name: there is an Auto Scaling group named %s, which no stack of this deployment made: choose another name, or delete the group", name)
		case !errors.Is(err, cloud.ErrNotFound):
			return err
		}
	}
	if s.config.Notify.Topic != "" {
		return s.lookTopic(ctx)
	}
	if s.resource("AWS::SNS::Topic") == "" {
		there, err := s.aws.Topics().TopicExists(ctx, s.topic())
		if err != nil {
			return err
		}
		if there {
			s.problem("name: there is a topic named %s, which no stack of this deployment made: name it under notify.topic, or choose another name", name)
		}
	}
	return nil
}

// lookTopic makes sure that a topic of one's own is there.
func (s *survey) lookTopic(ctx context.Context) error {
	there, err := s.aws.Topics().TopicExists(ctx, s.topic())
	if err == nil && !there {
		s.problem("notify.topic: %s does not exist: check its name, account and region", s.topic())
	}
	return err
}

// topic is the ARN of where reports go.
func (s *survey) topic() string {
	if own := string(s.config.Notify.Topic); own != "" {
		return own
	}
	return fmt.Sprintf("arn:%s:sns:%s:%s:%s", s.caller.Partition, s.region, s.caller.Account, s.config.Name)
}

// resource is the id of the stack's resource of a type, "" when it has none.
func (s *survey) resource(kind string) string {
	for _, r := range s.resources {
		if r.Type == kind && r.ID != "" && !strings.HasPrefix(r.Status, "DELETE") {
			return r.ID
		}
	}
	return ""
}

// lookBucket finds out whether the bucket is to be made, and whose it is.
func (s *survey) lookBucket(ctx context.Context) error {
	c := s.config
	bucket, _ := c.Store.Bucket()
	if c.Store.Endpoint != "" {
		s.notes = append(s.notes, "the store is not AWS's ("+c.Store.Endpoint+"): the bucket and access to it are made there, and nobody looks there for runs that never happened")
		return nil
	}
	s.bucketIsIn = s.resource("AWS::S3::Bucket") == bucket
	found, err := s.aws.Buckets().Look(ctx, bucket, s.caller.Account)
	switch {
	case errors.Is(err, cloud.ErrNotFound):
		s.newBucket = true
		if r := string(c.Store.Region); r != "" && r != s.region {
			s.problem("store: bucket %s does not exist, and deploy makes buckets in the deployment's region, %s, not in %s: create it there yourself, or remove store.region", bucket, s.region, r)
		}
	case errors.Is(err, cloud.ErrDenied):
		s.problem("store: %w", err)
	case err != nil:
		return err
	case !found.Ours:
		s.problem("store: bucket %s belongs to another account: names of buckets are the whole world's: choose another", bucket)
	default:
		want := cmp.Or(string(c.Store.Region), s.region)
		if found.Region != "" && found.Region != want {
			s.problem("store: bucket %s is in %s, the config says %s: write store: {url: %q, region: %s}", bucket, found.Region, want, c.Store.URL, found.Region)
		}
	}
	return nil
}

// make makes options, user data and template.
func (s *survey) make(a *app, o deployOptions) {
	c := s.config
	bucket, prefix := c.Store.Bucket()
	at := iam.Place{Partition: s.caller.Partition, Region: s.region, Account: s.caller.Account}
	policy, err := permissions(c, at, o.kmsKeys).JSON()
	if err != nil {
		s.problems = append(s.problems, err)
		return
	}
	v := a.userdataValues(c, s.source, s.programs, userdataOptions{})
	v.Region = s.region
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
	n.Instance.MaxPrice, n.Instance.OnDemand = c.Instance.MaxPrice, c.Instance.OnDemand
	n.Instance.LaunchConfiguration, n.Instance.RootGiB = c.Instance.LaunchConfiguration, c.Instance.Disk
	n.Instance.UserData = s.userData
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
	}
	if s.template, err = stack.Template(*n); err != nil {
		s.problems = append(s.problems, err)
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

// A neededSecret is one that a job reads, and where its value may be had from.
type neededSecret struct {
	ref   secret.Ref
	from  secret.Ref // "" where none was given
	there bool       // in AWS already
}

// input is the stack as it is to be.
func (s *survey) input() cloud.StackInput {
	in := cloud.StackInput{Name: s.options.Name, Template: s.template, Tags: map[string]string{stack.TagKey: s.options.Name}}
	if s.options.Schedule.Start != "" {
		in.Parameters = map[string]string{stack.ParameterArmed: "true"}
	}
	return in
}
