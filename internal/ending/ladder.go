// Package ending ends the machine that a run was on, and only the machine it
// was told to end. A Ladder of rungs, each independent of the one above, is
// climbed until the machine is off; ThisMachine is the only way to the rungs
// that really power off, and refuses unless it is on an instance that the boot
// script has prepared.
package ending

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// A Rung is one way to come closer to a machine that is off.
type Rung struct {
	// Doing names it: "leave the Auto Scaling group".
	Doing string
	// Do tries it. It need not heed its context: it is left behind when Limit
	// is over.
	Do    func(context.Context) error
	Limit time.Duration
	// Wait is how long the machine may take to be off after Do succeeded, before
	// the next rung is tried.
	Wait time.Duration
	// Yield: once Do and all of the rungs marked Backs have succeeded, the init
	// system is at work and another process stands behind it; the ladder then
	// makes way when it is told to stop, so that it does not hold up what it
	// asked for.
	Yield bool
	// Backs marks the rung that makes another process stand behind those below.
	Backs bool
}

// A Ladder ends the machine. It is safe for concurrent use.
type Ladder struct {
	log   *slog.Logger
	stop  <-chan struct{}
	rungs []Rung

	once sync.Once
	done chan struct{}
	err  error
}

// NewLadder makes a ladder of rungs, tried in this order. stop is closed when
// the process has been asked to end (SIGTERM); nil: it never is.
func NewLadder(log *slog.Logger, stop <-chan struct{}, rungs ...Rung) *Ladder {
	return &Ladder{log: log, stop: stop, rungs: rungs, done: make(chan struct{})}
}

// End climbs the ladder. The first call does, and no later one disturbs it:
// they wait until it is over, or until their context is. It returns nil when the
// init system has taken over, and an error when every rung was tried in vain.
// That the first caller's context ends does not end the climb.
func (l *Ladder) End(ctx context.Context) error {
	l.once.Do(func() { go l.climb(context.WithoutCancel(ctx)) })
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return fmt.Errorf("end the machine: %w: it is still being tried", ctx.Err())
	}
}

// Time is the longest that passes until power-off is first tried: what the
// rungs above the first with a Wait may take.
func (l *Ladder) Time() time.Duration {
	var sum time.Duration
	for _, r := range l.rungs {
		if r.Wait > 0 {
			break
		}
		sum += r.Limit + graceTime
	}
	return sum
}

func (l *Ladder) climb(ctx context.Context) {
	defer close(l.done)
	var tried []string
	backed := false
	for _, r := range l.rungs {
		begin := time.Now()
		err := r.try(ctx)
		if err != nil {
			l.log.Error("cannot "+r.Doing, "err", err, "took", time.Since(begin).Round(time.Millisecond))
			tried = append(tried, fmt.Sprintf("%s: %v", r.Doing, err))
			continue
		}
		l.log.Info("ending: "+r.Doing, "took", time.Since(begin).Round(time.Millisecond))
		backed = backed || r.Backs
		if l.wait(r, backed) {
			return
		}
		if r.Wait > 0 {
			tried = append(tried, fmt.Sprintf("%s: the machine was still on %s later", r.Doing, r.Wait))
		}
	}
	l.err = errors.New("the machine is still on; tried in vain: " + strings.Join(tried, "; "))
	if len(tried) == 0 {
		l.err = errors.New("there is no way to power the machine off")
	}
}

// wait gives a rung's effect its time. It reports whether the ladder is to make
// way for the init system.
func (l *Ladder) wait(r Rung, backed bool) bool {
	if r.Wait <= 0 {
		return false
	}
	stop := l.stop
	if !r.Yield || !backed {
		stop = nil
	}
	timer := time.NewTimer(r.Wait)
	defer timer.Stop()
	select {
	case <-stop:
		return true
	case <-timer.C:
		return false
	}
}

// try calls Do for Limit at most. A panic is an error.
func (r Rung) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := errors.New("it gave up without a reason")
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("it panicked: %v: this is a bug in mayfly", p)
			}
			done <- err
		}()
		err = r.Do(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// What heeds its context may still say what it was at.
	grace := time.NewTimer(graceTime)
	defer grace.Stop()
	select {
	case err := <-done:
		return err
	case <-grace.C:
		return fmt.Errorf("no answer within %s", r.Limit)
	}
}

const graceTime = 500 * time.Millisecond
