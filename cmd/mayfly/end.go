package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"mayfly/internal/cloud"
	"mayfly/internal/ending"
	"mayfly/runner"
)

// noDeadline bounds a run where neither boot script nor config does.
const noDeadline = 24 * time.Hour

// An ender ends the instance that this process is on: when the run is over, or
// at the deadline, whichever comes first.
type ender struct {
	app     *app
	machine *ending.Machine
	ladder  *ending.Ladder
	log     *slog.Logger

	mu       sync.Mutex
	deadline time.Time // when power-off begins at the latest
	timer    *time.Timer
	group    string // what the group is called, for errors
	monitor  *runner.Monitor
}

var _ runner.Ender = (*ender)(nil)

// runAndEnd is run on an instance, and the instance's end. Once the guard has
// let it pass, every way out leads down the ladder: through a run's own end,
// through the call deferred here, or through the timer.
func (a *app) runAndEnd(ctx context.Context) (err error) {
	if a.machine == nil {
		return usageError(errors.New("this program cannot end machines: leave --end-instance out"))
	}
	e := &ender{app: a, log: slog.New(slog.NewTextHandler(a.stderr, nil)), group: "of this instance"}
	defer e.tellSystemd(ctx)()
	e.machine, err = a.machine(ctx, true, func(ctx context.Context) string {
		a.identify(ctx)
		return a.instance.id.ID
	})
	if err != nil {
		return usageError(fmt.Errorf("%w; nothing was done", err))
	}
	a.ender = e
	leave := ending.Rung{Doing: "leave the Auto Scaling group", Do: e.leave, Limit: e.machine.Leave}
	e.ladder = ending.NewLadder(e.log, ctx.Done(), append([]ending.Rung{leave}, e.machine.PowerOff...)...)
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(a.stderr, "mayfly: panic: %v: this is a bug in mayfly\n%s", p, debug.Stack())
			err = usageError(fmt.Errorf("it panicked: %v", p))
		}
		err = a.sayFirst(err)
		if err := e.ladder.End(context.WithoutCancel(ctx)); err != nil {
			e.log.Error("cannot end the machine", runner.KeyErr, err)
		}
		if e.timer != nil {
			e.timer.Stop()
		}
	}()
	if e.machine.Deadline.IsZero() {
		e.endBy(a.now().Add(noDeadline))
	} else {
		e.endBy(e.machine.Deadline)
	}
	c, err := a.loadConfig(ctx)
	if err != nil {
		return err
	}
	return a.run(ctx, c)
}

// sayFirst prints an error while there still is a machine to print it on.
func (a *app) sayFirst(err error) error {
	var coded *codeError
	if !errors.As(err, &coded) || coded.err == nil {
		return err
	}
	fmt.Fprintf(a.stderr, "mayfly: %v\n", coded.err)
	return &codeError{code: coded.code}
}

// End implements runner.Ender.
func (e *ender) End(ctx context.Context) error { return e.ladder.End(ctx) }

// endBy has the ladder climbed so early that power-off begins at t, whatever
// the run does then. The earliest t counts.
func (e *ender) endBy(t time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.deadline.IsZero() && !t.Before(e.deadline) {
		return
	}
	e.deadline = t
	if e.timer != nil {
		e.timer.Stop()
	}
	e.timer = time.AfterFunc(t.Add(-e.ladder.Time()).Sub(e.app.now()), func() {
		e.log.Error("the deadline is here and the run has not ended: ending the machine")
		_ = e.ladder.End(context.Background()) // it has logged why
	})
}

// describe tells a run how its machine ends. On any other machine (e is nil)
// it does nothing.
func (e *ender) describe(d *runner.Deployment, c *runner.Config) {
	if e == nil {
		return
	}
	if !d.Deadline.IsZero() {
		e.endBy(d.Deadline)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	d.Ender, d.Keep = e, time.Duration(c.Keep)
	d.Deadline = e.deadline.Add(-e.ladder.Time()) // the run is over when the ladder is due
	if err := e.machine.Unarmed; err != nil {
		d.Remarks = append(d.Remarks, runner.Problem{
			Reason: "the power-off that the boot script arms is not armed: " + err.Error(),
			Fix:    "mayfly ends the machine by itself, but no timer of systemd stands behind it: the console says what the boot script met",
		})
	}
	e.monitor, e.group = d.Monitor, string(c.Name)
	if c.Group != "" {
		e.group = c.Group
	}
}

// leave takes the instance out of its group, which then wants one less. An
// instance that is in none has nothing to leave.
func (e *ender) leave(ctx context.Context) error {
	in := e.app.instance
	id := in.id
	if id.ID == "" { // metadata was down when the run began
		var err error
		if id, err = in.meta.Identity(ctx); err != nil {
			return err
		}
	}
	c, err := cloud.Load(ctx, cloud.Options{Region: id.Region, Getenv: e.app.getenv})
	if err != nil {
		return err
	}
	e.mu.Lock()
	group := e.group
	e.mu.Unlock()
	if id.Group != "" {
		group = id.Group
	}
	err = c.LeaveGroup(ctx, id.ID, group)
	if errors.Is(err, cloud.ErrNoGroup) {
		e.log.Info("the instance is in no Auto Scaling group")
		return nil
	}
	return err
}

// tellSystemd gives signs of life as long as the run's own locks can be taken:
// systemd kills a unit that gives none, one that was stopped or is stuck.
func (e *ender) tellSystemd(ctx context.Context) (stop func()) {
	if err := ending.Notify(e.app.getenv, "READY=1"); err != nil {
		e.log.Warn("cannot tell systemd that the run has begun", runner.KeyErr, err)
	}
	limit := ending.WatchdogTime(e.app.getenv, os.Getpid())
	if limit == 0 {
		return func() {}
	}
	ctx, stop = context.WithCancel(context.WithoutCancel(ctx))
	go ending.KeepAlive(ctx, limit, e.alive, func() {
		if err := ending.Notify(e.app.getenv, "WATCHDOG=1"); err != nil {
			e.log.Warn("cannot give systemd a sign of life", runner.KeyErr, err)
		}
	})
	return stop
}

func (e *ender) alive() {
	e.mu.Lock()
	m := e.monitor
	e.mu.Unlock()
	if m != nil {
		m.Alive()
	}
}

// refused turns a run that did not begin into exit code 2: bad config, nothing
// was done. On an instance, where the boot script tells whoever is concerned
// about a program that ended like that, it is 1 if they have just been told.
func (a *app) refused(rep *runner.Report, err error) error {
	if a.ender != nil && rep != nil && rep.Published == runner.PublishedSent {
		return &codeError{exitFailed, err}
	}
	return usageError(err)
}
