package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/cloud"
	"mayfly/internal/store"
	"mayfly/runner"
	"mayfly/stack"
	"mayfly/stack/deploy"
	"mayfly/userdata"
)

func newStartCmd(a *app) *cobra.Command {
	var detach bool
	c := &cobra.Command{
		Use:   "start",
		Short: "Start a run on an instance now, and follow it to its end",
		Long: `Start has the deployment's group launch an instance outside the schedule. First of
all it makes a scheduled action that ends the instance after the deadline, whatever
happens. Then it follows the run: what the group does, the log, the verdict, and
that the machine has ended. Being interrupted stops the following, not the run.

Exit codes: the run's: 0 complete, 1 failed, or no instance came or none started
a run, 3 partial, 4 interrupted. 2 bad usage or config, or nothing was started.`,
		Example: `  mayfly start
  mayfly start --detach`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, src, err := a.loadSource(cmd.Context())
			if err != nil {
				return err
			}
			return asFailed(a.start(cmd.Context(), c, src, detach))
		},
	}
	c.Flags().BoolVarP(&detach, "detach", "d", false, "do not follow")
	return c
}

func (a *app) start(ctx context.Context, c *runner.Config, src []byte, detach bool) error {
	w := newWorld(c, a.getenv)
	aws, err := w.services(ctx)
	if err != nil {
		return usageError(err)
	}
	if _, err := aws.Caller(ctx); err != nil {
		return usageError(err)
	}
	if err := a.mayStart(ctx, aws, c); err != nil {
		return err
	}
	st, err := w.store(ctx)
	if err != nil {
		return err
	}
	if _, err := st.Stat(ctx, userdata.ConfigKey(sumOf(src))); errors.Is(err, store.ErrNotExist) {
		a.say("Note: this config is not the one that is deployed; the run goes by that one. mayfly deploy%s brings it up to date.", a.configFlag())
	}
	group := string(c.Name)
	began := a.now()
	end := began.Add(time.Duration(c.Schedule.Deadline) + stack.EndMargin)
	if err := a.warnOfEnds(ctx, aws, group, end); err != nil {
		return err
	}
	if err := a.engine(aws).Start(ctx, group, end); err != nil {
		return err
	}
	a.say("Asked the group %s for an instance; whatever happens, it gives it up at %s.", group, end.In(c.Schedule.Timezone.Location()).Format("15:04 MST"))
	if detach {
		fmt.Fprintf(a.stdout, "Next: mayfly logs --follow%s; mayfly status%s\n", a.configFlag(), a.configFlag())
		return nil
	}
	f := &runFollower{app: a, aws: aws, st: st, group: group, began: began, end: end, keep: time.Duration(c.Keep)}
	return f.follow(ctx)
}

// mayStart says why nothing can be started now; exit code 2.
func (a *app) mayStart(ctx context.Context, aws services, c *runner.Config) error {
	name := string(c.Name)
	s, err := deploy.Mine(ctx, aws.stacks, name)
	switch {
	case errors.Is(err, deploy.ErrForeign):
		return usageError(err)
	case err != nil:
		return err
	case s == nil:
		return usageError(fmt.Errorf("there is no deployment %s in %s: mayfly deploy%s first", name, aws.Region(), a.configFlag()))
	case s.Parameters[stack.ParameterArmed] == "false":
		return usageError(fmt.Errorf("the deployment %s is not finished: mayfly deploy%s goes on with it", name, a.configFlag()))
	}
	g, err := aws.groups.Describe(ctx, name)
	if err != nil {
		return err
	}
	if len(g.Instances) > 0 || g.Desired > 0 {
		what := "an instance is on its way"
		if len(g.Instances) > 0 {
			what = g.Instances[0].ID + " is at work"
		}
		return usageError(fmt.Errorf("%s already: mayfly logs --follow%s shows what it does", what, a.configFlag()))
	}
	return nil
}

// warnOfEnds says when the schedule would end the run early.
func (a *app) warnOfEnds(ctx context.Context, aws services, group string, end time.Time) error {
	list, err := aws.groups.Schedule(ctx, group)
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.Desired == 0 && s.Name != deploy.EndAction && s.At.After(a.now()) && s.At.Before(end) {
			a.say("Note: the schedule ends whatever is running at %s; a run that is at work then is interrupted, and a later one goes on.", s.At.Format("15:04 MST"))
		}
	}
	return nil
}

// A runFollower tells what becomes of a run that was started on an instance.
type runFollower struct {
	app        *app
	aws        services
	st         store.Store
	group      string
	began, end time.Time
	keep       time.Duration // keep_on_failure

	instance cloud.GroupInstance
	told     map[string]bool // activities
}

// slack is how far the clocks of this machine and of AWS may be apart.
const slack = 2 * time.Minute

func (f *runFollower) follow(ctx context.Context) error {
	f.told = map[string]bool{}
	if err := f.waitInstance(ctx); err != nil {
		return f.stopped(ctx, err)
	}
	run, err := f.waitRun(ctx)
	if err != nil {
		return f.stopped(ctx, err)
	}
	l := &logReader{app: f.app, st: f.st, flags: f.app.configFlag(), every: f.app.pollEvery(followEvery), run: run}
	verdict := l.print(ctx, true)
	if ctx.Err() != nil {
		return f.stopped(ctx, verdict)
	}
	if err := f.waitGone(ctx, verdict); err != nil {
		return f.stopped(ctx, err)
	}
	return verdict
}

// stopped explains an error that is none of the run's.
func (f *runFollower) stopped(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	f.app.say("No longer following; the run goes on by itself. Next: mayfly logs --follow%s", f.app.configFlag())
	return &codeError{code: exitInterrupted}
}

// waitInstance waits until the group has an instance.
func (f *runFollower) waitInstance(ctx context.Context) error {
	for {
		g, err := f.aws.groups.Describe(ctx, f.group)
		if err != nil {
			return err
		}
		if len(g.Instances) > 0 {
			f.instance = g.Instances[0]
			f.app.say("%s (%s) was launched and is booting.", f.instance.ID, typeAndZone(f.instance.Type, f.instance.Zone))
			return nil
		}
		if err := f.failures(ctx); err != nil {
			return err
		}
		if g.Desired == 0 {
			return fmt.Errorf("no instance came, and the group wants none any more: mayfly status%s", f.app.configFlag())
		}
		if f.app.now().After(f.end) {
			return errors.New("no instance came until the end: name more instance types in the config, or on_demand: fallback; the group's mails say why")
		}
		if err := wait(ctx, f.app.pollEvery(followEvery)); err != nil {
			return err
		}
	}
}

// failures tells what the group could not do, each reason once.
func (f *runFollower) failures(ctx context.Context) error {
	list, err := f.aws.groups.Activities(ctx, f.group)
	if err != nil {
		return err
	}
	for _, act := range list {
		if act.Failed && act.Began.After(f.began.Add(-slack)) && !f.told[act.Reason] {
			f.told[act.Reason] = true
			f.app.say("The group could not launch an instance and keeps trying: %s", runner.OneLine(act.Reason, 300))
		}
	}
	return nil
}

// waitRun waits until the instance's run is in the store, and returns its id.
func (f *runFollower) waitRun(ctx context.Context) (string, error) {
	for gone := 0; ; {
		g, err := f.aws.groups.Describe(ctx, f.group)
		if err != nil {
			return "", err
		}
		// After the group: a run that is over by now is in the store.
		runs, err := runner.RunIDs(ctx, f.st, f.app.now(), 5)
		if err != nil {
			return "", err
		}
		for _, id := range runs {
			if runner.RunInstance(id) == f.instance.ID {
				return id, nil
			}
		}
		if !f.isIn(g) {
			if gone++; gone > 2 {
				return "", f.noRun(ctx)
			}
		}
		if f.app.now().After(f.end.Add(slack)) {
			return "", f.noRun(ctx)
		}
		if err := wait(ctx, f.app.pollEvery(followEvery)); err != nil {
			return "", err
		}
	}
}

func (f *runFollower) isIn(g cloud.Group) bool {
	for _, i := range g.Instances {
		if i.ID == f.instance.ID {
			return true
		}
	}
	return false
}

// noRun is the error about an instance that went without a run; what its
// console says stands before it.
func (f *runFollower) noRun(ctx context.Context) error {
	const shown = 30
	said, err := f.aws.ec2.Console(ctx, f.instance.ID)
	switch {
	case err != nil:
		f.app.say("Its console cannot be read: %v", err)
	case said == "":
		f.app.say("Its console says nothing yet; aws ec2 get-console-output --instance-id %s shows it some minutes later.", f.instance.ID)
	default:
		f.app.say("The end of its console:\n%s", lastLines(said, shown))
	}
	return fmt.Errorf("%s ended without a run: the mail that the boot script sent says why", f.instance.ID)
}

// waitGone waits for the machine to have ended.
func (f *runFollower) waitGone(ctx context.Context, verdict error) error {
	coded := new(codeError)
	if f.keep > 0 && errors.As(verdict, &coded) && coded.code == exitFailed {
		f.app.say("The machine stays for %s for a look (keep_on_failure), then it ends.", runner.FormatDuration(f.keep))
		return nil
	}
	const most = 5 * time.Minute
	until := f.app.now().Add(most)
	for {
		g, err := f.aws.groups.Describe(ctx, f.group)
		if err != nil {
			return err
		}
		if !f.isIn(g) {
			f.app.say("The machine has ended.")
			return nil
		}
		if f.app.now().After(until) {
			return &codeError{exitFailed, fmt.Errorf("the run is over, and %s is still in the group after %s: mayfly status%s; it ends at %s at the latest",
				f.instance.ID, runner.FormatDuration(most), f.app.configFlag(), f.end.Format("15:04 MST"))}
		}
		if err := wait(ctx, f.app.pollEvery(followEvery)); err != nil {
			return err
		}
	}
}

// lastLines are the last n lines of a text.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\r\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// typeAndZone says what and where an instance is, as far as that is known.
func typeAndZone(kind, zone string) string {
	return strings.TrimPrefix(kind+" in "+zone, " ")
}
