package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mayfly/internal/cloud"
	"mayfly/runner"
	"mayfly/stack"
	"mayfly/stack/deploy"
)

func newDeployCmd(a *app) *cobra.Command {
	var o deployOptions
	var yes bool
	c := &cobra.Command{
		Use:   "deploy",
		Short: "Set the deployment up in AWS, or bring it up to date",
		Long: `Deploy makes of the config a working deployment, with CloudFormation: bucket,
topic, role, security group, launch template, Auto Scaling group, schedule. It
looks at everything first and changes nothing when something stands in the way;
then it says what it will do and asks. The schedule comes into force last, when
mayfly and the config are in the bucket and have been read back.

It may be cut off anywhere and called again: it goes on. Called when nothing has
changed, it changes nothing.

A secret that a job reads from Systems Manager (ssm:) and that is not there yet
is asked for on the terminal, or given with --secret; the value never stands in
the command line.

Credentials are found as every AWS tool finds them: environment, profile
(AWS_PROFILE), SSO.

A scheduled action that somebody has changed or deleted by hand is put back. What
may be a pause that somebody wanted, like a suspended process of the group, is
named with the command that ends it. A run that is at work keeps an end.

Exit codes: 0 deployed, 1 failed, or deployed into a group in which no run starts
or ends as it should, 2 bad usage or config, AWS does not accept the credentials,
or something stands in the way (nothing was changed), 4 interrupted (the same
command goes on).`,
		Example: `  mayfly deploy
  mayfly deploy --yes --secret ssm:/onlinebackup/github-token=env:GITHUB_TOKEN
  AWS_PROFILE=backup mayfly deploy -c servers.yaml --binaries dist`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), a.deploy(cmd.Context(), o, yes))
		},
	}
	o.flags(c)
	c.Flags().StringArrayVar(&o.given, "secret", nil, "put a secret into Systems Manager: `NAME=REFERENCE`, like ssm:/x/token=env:TOKEN; may be repeated")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (o *deployOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.binaries, "binaries", "", "`DIR` with mayfly-linux-amd64 and mayfly-linux-arm64 (default dist, else beside this program, else this program alone)")
}

// interrupted gives an error that came of ctx's end the code 4.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return &codeError{exitInterrupted, fmt.Errorf("interrupted: %w", err)}
	}
	return asFailed(err)
}

func (a *app) deploy(ctx context.Context, o deployOptions, yes bool) error {
	s, err := a.survey(ctx, o)
	if err != nil {
		return err
	}
	changes, err := s.changes(ctx)
	if err != nil {
		return err
	}
	a.printWhat(s, changes)
	if len(changes) > 0 || s.now == nil || deploy.Unfinished(s.now.Status) || s.unarmed() || s.makesVolumes() || s.makesHostKeys() {
		if err := a.confirm(ctx, yes, "Do this?"); err != nil {
			return err
		}
	}
	secrets, err := a.readSecrets(ctx, s)
	if err != nil {
		return err
	}
	if err := a.putSecrets(ctx, s, secrets); err != nil {
		return err
	}
	if err := a.prepareHosts(ctx, s); err != nil {
		return err
	}
	if s.config.Instance.OnDemand != runner.OnDemandAlways {
		if err := a.spotRole(ctx, s); err != nil {
			return err
		}
	}
	e := a.engine(s.aws)
	r, err := e.Deploy(ctx, deploy.Target{
		Name: string(s.config.Name), Group: string(s.config.Name), Template: s.template,
		Scheduled: s.options.Schedule.Start != "", NewBucket: s.newBucket,
		Actions: s.options.Schedule.Actions(), Deadline: time.Duration(s.config.Schedule.Deadline),
		Upload: func(ctx context.Context) error { return a.uploadAdmin(ctx, s.config, s.source, s.programs) },
	})
	if err != nil {
		return errors.New(s.world.redactor.Redact(err.Error()))
	}
	return a.afterDeploy(ctx, s, r)
}

func (a *app) engine(aws services) *deploy.Engine {
	return &deploy.Engine{Stacks: aws.stacks, Groups: aws.groups, Region: aws.Region(), Now: a.now, Say: a.say, Poll: a.poll}
}

// spotRole makes the role without which a spot instance cannot be launched
// through the API.
func (a *app) spotRole(ctx context.Context, s *survey) error {
	created, err := s.aws.roles.EnsureSpotRole(ctx)
	if created {
		a.say("Made the role with which EC2 launches spot instances.")
	}
	return err
}

// confirm asks. Where there is nobody to ask, --yes must be given.
func (a *app) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	in, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return usageError(errors.New("there is no terminal to ask on, and nothing was done: add --yes"))
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	line, err := untilInterrupt(ctx, func() (string, error) { return bufio.NewReader(in).ReadString('\n') })
	if ctx.Err() != nil {
		fmt.Fprintln(a.stderr)
		return fmt.Errorf("nothing was done: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return usageError(errors.New("nothing was done"))
	}
	return nil
}

// untilInterrupt reads from a terminal, and stops waiting when ctx ends: the
// read itself goes on, until the program has ended.
func untilInterrupt[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := read()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// afterDeploy sees to the mail, and says what comes next.
func (a *app) afterDeploy(ctx context.Context, s *survey, r deploy.Result) error {
	name := s.config.Name
	switch {
	case r.Created:
		fmt.Fprintf(a.stdout, "Deployed %s in %s.\n", name, s.region)
	case r.Changed:
		fmt.Fprintf(a.stdout, "Updated %s in %s.\n", name, s.region)
	case len(r.Ills) > 0: // said below
	default:
		fmt.Fprintf(a.stdout, "%s in %s is up to date; nothing was changed.\n", name, s.region)
	}
	a.printPush(s)
	if err := a.mail(ctx, s); err != nil {
		return err
	}
	if len(r.Ills) > 0 {
		a.printIlls(r.Ills)
		return &codeError{exitFailed, errors.New("it is deployed, and no run starts or ends as it should before that is cured")}
	}
	c := s.config
	if starts := c.Schedule.Start.Next(a.now(), c.Schedule.Timezone.Location(), 1); len(starts) > 0 {
		fmt.Fprintf(a.stdout, "Next start: %s\n", bothTimes(starts[0]))
	} else {
		fmt.Fprintf(a.stdout, "No schedule: it starts when you say mayfly start%s.\n", a.configFlag())
	}
	fmt.Fprintf(a.stdout, "Next: mayfly start%s, for a run now; mayfly status%s, any time\n", a.configFlag(), a.configFlag())
	return nil
}

// printIlls says what keeps runs from happening.
func (a *app) printIlls(list []deploy.Ill) {
	for _, ill := range list {
		fmt.Fprintf(a.stdout, "PROBLEM: %s; if nobody wanted that: %s\n", ill.What, ill.Cure)
	}
}

// bothTimes is a moment in its own time zone and in UTC.
func bothTimes(t time.Time) string {
	s := t.Format("Mon 2 Jan 2006 15:04 MST")
	if u := t.UTC().Format("Mon 2 Jan 2006 15:04 MST"); u != s {
		s += " (" + t.UTC().Format("15:04") + " UTC)"
	}
	return s
}

// unarmed says that the stack is there, and its schedule is not in force yet.
func (s *survey) unarmed() bool {
	return s.now != nil && s.options.Schedule.Start != "" && s.now.Parameters[stack.ParameterArmed] != "true"
}

// changes are what an update of the stack would do, worked out by
// CloudFormation; none when there is no stack yet.
func (s *survey) changes(ctx context.Context) ([]cloud.Change, error) {
	if s.now == nil || deploy.InProgress(s.now.Status) || deploy.Unfinished(s.now.Status) {
		return nil, nil
	}
	list, err := s.aws.stacks.Changes(ctx, s.input())
	if err != nil {
		return nil, asFailed(err)
	}
	return list, nil
}
