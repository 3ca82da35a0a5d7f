package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mayfly/internal/cloud"
	"mayfly/internal/store"
	"mayfly/runner"
	"mayfly/stack/deploy"
)

// A runFollower tells what becomes of a run that was started on an instance.
type runFollower struct {
	app        *app
	aws        services
	st         store.Store
	group      string
	began, end time.Time     // by AWS's clock
	off        time.Duration // how far this machine's clock is behind it
	zone       *time.Location
	next       time.Time     // the start by itself that end would cut; zero: none
	keep       time.Duration // keep_on_failure

	instance cloud.GroupInstance
	told     map[string]bool // activities
}

// slack is how far the clocks of this machine and of AWS may be apart.
const slack = 2 * time.Minute

func (f *runFollower) now() time.Time { return f.app.now().Add(f.off) }

func (f *runFollower) at(t time.Time) string { return t.In(f.zone).Format("15:04 MST") }

// logs is the command that follows the run's log.
func (f *runFollower) logs() string {
	return "mayfly logs --follow --after " + f.began.UTC().Format(afterForm) + f.app.configFlag()
}

// follow tells what happens until the machine has ended, and takes away the end
// that start has set.
func (f *runFollower) follow(ctx context.Context) error {
	err := f.run(ctx)
	if ctx.Err() == nil {
		f.tidy(ctx)
	}
	return err
}

// tidy takes the end away if the group has and wants nothing that it could end.
func (f *runFollower) tidy(ctx context.Context) {
	g, err := f.aws.groups.Describe(ctx, f.group)
	if err == nil && (g.Desired > 0 || len(g.Instances) > 0) {
		return
	}
	if err == nil {
		err = f.app.engine(f.aws).Started(ctx, f.group)
	}
	if err != nil {
		f.app.say("The group's end at %s could not be taken away (%v); a run that is at work then is ended. To take it away: %s", f.at(f.end), err, removeEnd(f.aws.Region(), f.group))
	}
}

// removeEnd is the command that takes the end of a run by hand away.
func removeEnd(region, group string) string {
	return fmt.Sprintf("aws autoscaling delete-scheduled-action --region %s --auto-scaling-group-name %s --scheduled-action-name %s", region, group, deploy.EndAction)
}

func (f *runFollower) run(ctx context.Context) error {
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
	f.app.say("No longer following; the run goes on by itself. Next: %s", f.logs())
	if !f.next.IsZero() {
		f.app.say("Once it is over, before %s: %s", f.at(f.next), removeEnd(f.aws.Region(), f.group))
	}
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
		if f.now().After(f.end) {
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
		if f.now().After(f.end.Add(slack)) {
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
				f.instance.ID, runner.FormatDuration(most), f.app.configFlag(), f.at(f.end))}
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
