package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mayfly/internal/cloud"
	"mayfly/runner"
	"mayfly/stack"
	"mayfly/stack/deploy"
)

// A deployOptions is what plan and deploy are asked for.
type deployOptions struct {
	binaries string
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
	group      cloud.Group // the stack's, once it has one
	bucketIsIn bool        // in the stack
	newBucket  bool        // nobody has one of that name
	types      []cloud.InstanceType
	options    stack.Options
	// publicAddress says that instances have a public address, which costs.
	publicAddress bool
	network       cloud.Network // as it was found
	volumes       []hostVolume
	zone          string // of the volumes, and so of the instances; "": any
	hostKeys      []hostKey
	elastic       map[string]string // the addresses of Elastic IPs, by allocation
	flags         string            // of suggested commands that need the config
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
	c, src, err := a.loadSource(ctx)
	if err != nil {
		return nil, err
	}
	s := &survey{config: c, source: src, world: newWorld(c, a.getenv), flags: a.configFlag(), elastic: map[string]string{}}
	if err := s.offline(a, o); err != nil {
		return nil, usageError(err)
	}
	if err := s.connect(ctx); err != nil {
		return nil, usageError(err)
	}
	if err := s.rest(ctx, a); err != nil {
		return nil, err
	}
	for _, look := range []func(context.Context) error{s.lookStack, s.lookBucket, s.lookTypes, s.lookImage, s.lookNetwork, s.lookVolumes, s.lookAddresses, s.lookSecrets} {
		if err := look(ctx); err != nil {
			return nil, asFailed(errors.New(s.world.redactor.Redact(err.Error())))
		}
	}
	if len(s.problems) == 0 {
		s.make(a)
	}
	if len(s.problems) > 0 {
		return nil, usageError(fmt.Errorf("this cannot be deployed, and nothing was:\n%w", indented(s.problems)))
	}
	return s, nil
}

// rest waits for what is at work on the stack: what is about to go is no part
// of what is to be, and what an update would change cannot be asked meanwhile.
func (s *survey) rest(ctx context.Context, a *app) error {
	_, err := a.engine(s.aws).Rest(ctx, string(s.config.Name))
	if errors.Is(err, deploy.ErrForeign) { // lookStack says so, with all the rest
		return nil
	}
	return asFailed(err)
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
	var err error
	if s.programs, err = findPrograms(o.binaries); err != nil {
		return err
	}
	if s.secrets, err = a.neededSecrets(c, o.given); err != nil {
		return err
	}
	s.hostKeys = hostKeysOf(c)
	return nil
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
