package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
that the machine has ended; then it takes the action away. Being interrupted stops
the following, not the run. A group that could neither start nor end an instance
is refused, with the command that cures it.

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
	f, err := a.launch(ctx, c, src, detach)
	if err != nil {
		return err
	}
	if detach {
		fmt.Fprintf(a.stdout, "Next: %s; mayfly status%s\n", f.logs(), a.configFlag())
		return nil
	}
	return f.follow(ctx)
}

// launch asks the group for an instance, which ends in any case.
func (a *app) launch(ctx context.Context, c *runner.Config, src []byte, detach bool) (*runFollower, error) {
	w := newWorld(c, a.getenv)
	aws, err := w.services(ctx)
	if err != nil {
		return nil, usageError(err)
	}
	if _, err := aws.Caller(ctx); err != nil {
		return nil, usageError(err)
	}
	deployed, err := a.mayStart(ctx, aws, c)
	if err != nil {
		return nil, err
	}
	st, err := w.store(ctx)
	if err != nil {
		return nil, err
	}
	f := &runFollower{app: a, aws: aws, st: st, group: string(c.Name), keep: time.Duration(c.Keep), zone: c.Schedule.Timezone.Location()}
	deadline, err := a.deadline(c, src, deployed)
	if err != nil {
		return nil, err
	}
	f.began = a.clockOf(ctx, st, deployed, src)
	f.off = f.began.Sub(a.now())
	f.end = f.began.Add(deadline + stack.EndMargin)
	if err := a.beside(ctx, f, c, detach); err != nil {
		return nil, err
	}
	err = a.engine(aws).Start(ctx, f.group, f.end)
	if ill := (*deploy.IllError)(nil); errors.As(err, &ill) {
		return nil, usageError(err)
	}
	if err != nil {
		return nil, err
	}
	a.say("Asked the group %s for an instance; whatever happens, it gives it up at %s.", f.group, f.at(f.end))
	return f, nil
}

// A busyError says that the group has an instance, or is to get one.
type busyError struct{ what, flags string }

func (e *busyError) Error() string {
	return fmt.Sprintf("%s already: mayfly logs --follow%s shows what it does", e.what, e.flags)
}

// mayStart says why nothing can be started now; exit code 2. It returns the
// deployment's stack.
func (a *app) mayStart(ctx context.Context, aws services, c *runner.Config) (*cloud.Stack, error) {
	name := string(c.Name)
	s, err := deploy.Mine(ctx, aws.stacks, name)
	switch {
	case errors.Is(err, deploy.ErrForeign):
		return nil, usageError(err)
	case err != nil:
		return nil, err
	case s == nil:
		return nil, usageError(fmt.Errorf("there is no deployment %s in %s: mayfly deploy%s first", name, aws.Region(), a.configFlag()))
	case s.Parameters[stack.ParameterArmed] == "false" || deploy.Unfinished(s.Status):
		return nil, usageError(fmt.Errorf("the deployment %s is not finished: mayfly deploy%s goes on with it", name, a.configFlag()))
	case deploy.InProgress(s.Status):
		return nil, usageError(fmt.Errorf("the deployment %s is being changed (%s): wait until that is over", name, s.Status))
	}
	g, err := aws.groups.Describe(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(g.Instances) > 0 || g.Desired > 0 {
		what := "an instance is on its way"
		if len(g.Instances) > 0 {
			what = g.Instances[0].ID + " is at work"
		}
		return nil, usageError(&busyError{what, a.configFlag()})
	}
	return s, nil
}

// deadline is what a run has by the config that is deployed, which need not be
// the one at hand; then that is said.
func (a *app) deadline(c *runner.Config, src []byte, deployed *cloud.Stack) (time.Duration, error) {
	is := deployed.Outputs[stack.OutputConfig]
	if is == sumOf(src) {
		return time.Duration(c.Schedule.Deadline), nil
	}
	a.say("Note: this config is not the one that is deployed; the run goes by that one. mayfly deploy%s brings it up to date.", a.configFlag())
	d, err := time.ParseDuration(deployed.Outputs[stack.OutputDeadline])
	if err != nil || d <= 0 {
		return 0, usageError(fmt.Errorf("the deployment does not say how long a run has: mayfly deploy%s first", a.configFlag()))
	}
	return d, nil
}

// clockOf is what time it is in AWS, by which the group acts: this machine's
// clock may be wrong. Where the store does not say, that has to do.
func (a *app) clockOf(ctx context.Context, st store.Store, deployed *cloud.Stack, src []byte) time.Time {
	o, err := st.Stat(ctx, userdata.ConfigKey(cmp.Or(deployed.Outputs[stack.OutputConfig], sumOf(src))))
	now := a.now()
	if err != nil || o.Now.IsZero() {
		return now
	}
	if off := now.Sub(o.Now).Abs(); off > slack {
		a.say("Note: this machine's clock is %s off; AWS's counts.", runner.FormatDuration(off))
	}
	return o.Now
}

// beside looks at what the schedule does until the run has ended at the latest.
// A start within that time would be cut by the end that a run by hand needs:
// who follows takes that away in time, who detaches must not be surprised.
func (a *app) beside(ctx context.Context, f *runFollower, c *runner.Config, detach bool) error {
	list, err := f.aws.groups.Schedule(ctx, f.group)
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.Desired == 0 && s.Name != deploy.EndAction && s.At.After(f.began) && s.At.Before(f.end) {
			a.say("Note: the schedule ends whatever is running at %s; a run that is at work then is interrupted, and a later one goes on.", f.at(s.At))
		}
	}
	for _, next := range c.Schedule.Start.Next(f.began, f.zone, 1) {
		switch {
		case !next.Before(f.end):
		case detach:
			return usageError(fmt.Errorf("the run that starts by itself at %s would be ended at %s, by the end that a run started now needs: leave --detach out, so that it is taken away as soon as the run is over, or start after that one", f.at(next), f.at(f.end)))
		default:
			a.say("Note: a run starts by itself at %s. Stay until this one is over: its end at %s, which would cut the other, is taken away then.", f.at(next), f.at(f.end))
			f.next = next
		}
	}
	return nil
}
