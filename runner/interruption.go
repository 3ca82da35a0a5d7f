package runner

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	noticePoll = 5 * time.Second  // as often as EC2 advises to look
	reportTime = 20 * time.Second // kept for reporting before the machine is taken
)

// A Notice is what a machine says about its own near future.
type Notice struct {
	Stop string    // why it is about to be taken away, in words; "": it is not
	By   time.Time // when it will be gone; zero: not said
	Risk string    // why it may be taken soon, in words; "": nothing is known
}

// Notices asks the machine that the run is on. Notice is called every 5 s and
// heeds ctx; what it returns counts even beside an error.
type Notices interface {
	Notice(ctx context.Context) (Notice, error)
}

// An InterruptionError is the cause of a run whose machine is taken away.
type InterruptionError struct {
	Why string
	By  time.Time // zero: not known
}

func (e *InterruptionError) Error() string { return e.Why + ": the next run goes on" }

// A lookout asks for notices while jobs run.
type lookout struct {
	from Notices
	log  *slog.Logger

	mu   sync.Mutex
	risk *Problem
}

// watch asks until ctx ends or the machine is about to be taken; then it
// calls interrupt. That nothing can be asked is no interruption: it is logged
// once, and that it can be asked again.
func (l *lookout) watch(ctx context.Context, interrupt func(error)) {
	failing := false
	for ctx.Err() == nil {
		n, err := l.from.Notice(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			l.log.Warn("cannot ask whether the machine is about to be taken; asking on", KeyErr, err)
		} else if err == nil && failing {
			l.log.Info("can ask again whether the machine is about to be taken")
		}
		failing = err != nil
		l.note(n.Risk)
		if n.Stop != "" {
			l.log.Warn("the machine is about to be taken; stopping", KeyCause, n.Stop)
			interrupt(&InterruptionError{n.Stop, n.By})
			return
		}
		if sleep(ctx, noticePoll) != nil {
			return
		}
	}
}

// note keeps the first word of a risk for the report. The run goes on: most
// such machines are not taken, what is finished is kept if this one is, and
// two minutes' notice is enough to stop.
func (l *lookout) note(risk string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if risk == "" || l.risk != nil {
		return
	}
	l.risk = &Problem{Reason: risk, Fix: "the run went on; if runs are interrupted often, allow more instance types"}
	l.log.Warn(risk)
}

// notes are what the report should say.
func (l *lookout) notes() []Problem {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.risk == nil {
		return nil
	}
	return []Problem{*l.risk}
}

// timeToStop is what a job gets from its context's end to its return: what it
// asks for, or less where a machine that is taken would leave less than 20 s
// for the report.
func timeToStop(ctx context.Context, now time.Time, asked time.Duration) time.Duration {
	e, ok := errors.AsType[*InterruptionError](context.Cause(ctx))
	if !ok || e.By.IsZero() {
		return asked
	}
	return min(asked, max(e.By.Sub(now)-reportTime, time.Second))
}
