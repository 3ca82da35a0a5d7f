package runner

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// notices says by the time since the run began what the machine knows.
type notices func(ctx context.Context, since time.Duration) (Notice, error)

type timedNotices struct {
	begin time.Time
	say   notices
	asked atomic.Int32
}

func (n *timedNotices) Notice(ctx context.Context) (Notice, error) {
	n.asked.Add(1)
	return n.say(ctx, time.Since(n.begin))
}

const stopText = "spot interruption notice, terminate at 17:02:00 UTC"

// A run that is interrupted keeps what is finished, says why, and ends the
// machine; nothing else that metadata does can interrupt it.
func TestNotices(t *testing.T) {
	t.Parallel()
	from := func(after time.Duration, n Notice) notices {
		return func(_ context.Context, since time.Duration) (Notice, error) {
			if since < after {
				return Notice{}, nil
			}
			return n, nil
		}
	}
	away := errors.New("ask instance metadata: no answer")
	for name, c := range map[string]struct {
		say   notices
		want  Verdict
		cause string
		took  time.Duration // of the run, whose job wants two minutes
		asked int           // at least
		text  string
	}{
		"nothing":    {say: from(time.Hour, Notice{}), want: VerdictComplete, took: 2 * time.Minute, asked: 24},
		"notice":     {say: from(31*time.Second, Notice{Stop: stopText}), want: VerdictInterrupted, cause: stopText + ": the next run goes on", took: 35 * time.Second, asked: 8, text: "Cut short: " + stopText},
		"soon":       {say: from(time.Second, Notice{Stop: stopText}), want: VerdictInterrupted, cause: stopText + ": the next run goes on", took: 5 * time.Second, asked: 2},
		"risk":       {say: from(10*time.Second, Notice{Risk: "EC2 recommends a rebalance"}), want: VerdictComplete, took: 2 * time.Minute, asked: 24, text: "Notes\n  EC2 recommends a rebalance\n      the run went on"},
		"cannot ask": {say: func(context.Context, time.Duration) (Notice, error) { return Notice{}, away }, want: VerdictComplete, took: 2 * time.Minute, asked: 24},
		"partly": {say: func(_ context.Context, since time.Duration) (Notice, error) {
			if since < time.Second {
				return Notice{}, away
			}
			return Notice{Stop: stopText}, away
		}, want: VerdictInterrupted, cause: stopText + ": the next run goes on", took: 5 * time.Second, asked: 2},
		"hangs":    {say: func(ctx context.Context, _ time.Duration) (Notice, error) { <-ctx.Done(); return Notice{}, ctx.Err() }, want: VerdictComplete, took: 2 * time.Minute, asked: 1},
		"too late": {say: from(2*time.Minute+time.Second, Notice{Stop: stopText}), want: VerdictComplete, took: 2 * time.Minute, asked: 24},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st := newMemStore()
				d, out := deployment(st, Task{Name: "github", Job: jobFunc(func(ctx context.Context, rec *Recorder) error {
					rec.Expect(2)
					rec.Start("acme/done").End(Changed, nil)
					it := rec.Start("acme/long")
					if sleep(ctx, 2*time.Minute) != nil {
						return ctx.Err()
					}
					it.End(Changed, nil)
					return nil
				})})
				n := &timedNotices{begin: time.Now(), say: c.say}
				e := &ender{}
				d.Notices, d.Ender = n, e
				rep, err := Run(t.Context(), d)
				if err != nil {
					t.Fatal(err)
				}
				if rep.Verdict != c.want || rep.Cause != c.cause || int(n.asked.Load()) < c.asked {
					t.Errorf("%s, %q, asked %d times", rep.Verdict, rep.Cause, n.asked.Load())
				}
				if took := rep.Ended.Sub(rep.Started); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
				if !strings.Contains(out.String(), c.text) {
					t.Errorf("the report lacks %q:\n%s", c.text, out)
				}
				if e.calls != 1 {
					t.Errorf("ended %d times", e.calls)
				}
				asked := n.asked.Load()
				time.Sleep(time.Minute)
				if n.asked.Load() != asked {
					t.Errorf("still asked after the run")
				}
			})
		})
	}
}

// Metadata that is away for minutes is one line in the log, and one that it is
// back.
func TestNoticesLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		d, _ := deployment(st, Task{Name: "github", Job: jobFunc(func(ctx context.Context, rec *Recorder) error {
			rec.Expect(0)
			return sleep(ctx, 10*time.Minute)
		})})
		var console strings.Builder
		d.Console = &console
		d.Notices = &timedNotices{begin: time.Now(), say: func(_ context.Context, since time.Duration) (Notice, error) {
			if since > time.Minute && since < 5*time.Minute {
				return Notice{}, errors.New("no answer")
			}
			return Notice{Risk: "EC2 recommends a rebalance"}, nil
		}}
		if _, err := Run(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"cannot ask whether", "can ask again", "EC2 recommends a rebalance"} {
			if n := strings.Count(console.String(), line); n != 1 {
				t.Errorf("%q is there %d times:\n%s", line, n, &console)
			}
		}
	})
}

// A run that waits for another's lock is interrupted too.
func TestNoticeWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		if _, err := acquire(t.Context(), st, Holder{Run: "other", Host: "other"}, false, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		d, out := deployment(st, Task{Name: "github", Job: items(Changed)})
		e := &ender{}
		d.Unattended, d.Ender = true, e
		d.Notices = &timedNotices{begin: time.Now(), say: func(_ context.Context, since time.Duration) (Notice, error) {
			if since < 20*time.Second {
				return Notice{}, nil
			}
			return Notice{Stop: stopText}, nil
		}}
		_, err := Run(t.Context(), d)
		if err == nil || !strings.Contains(err.Error(), stopText) || !strings.Contains(out.String(), stopText) || e.calls != 1 {
			t.Errorf("got %v, ended %d times:\n%s", err, e.calls, out)
		}
	})
}

// A run that is interrupted before it has begun says so, not only that
// something was cancelled.
func TestNoticeWhileStarting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		st.fault = func(op, key string) error {
			time.Sleep(10 * time.Second)
			return context.Canceled
		}
		d, out := deployment(st, Task{Name: "github", Job: items(Changed)})
		d.Unattended = true
		d.Notices = &timedNotices{begin: time.Now(), say: func(context.Context, time.Duration) (Notice, error) {
			return Notice{Stop: stopText}, nil
		}}
		_, err := Run(t.Context(), d)
		var start *StartupError
		if !errors.As(err, &start) || !strings.Contains(err.Error(), stopText) || !strings.Contains(out.String(), stopText) {
			t.Errorf("got %v\n%s", err, out)
		}
	})
}

// At least 20 s are kept for the report: a job that is late to stop, on a
// machine that goes soon, gets less time.
func TestTimeToStop(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for left, want := range map[time.Duration]time.Duration{
		2 * time.Minute:  20 * time.Second,
		40 * time.Second: 20 * time.Second,
		30 * time.Second: 10 * time.Second,
		20 * time.Second: time.Second,
		-time.Minute:     time.Second,
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(&InterruptionError{Why: stopText, By: now.Add(left)})
		if got := timeToStop(ctx, now, stopTime); got != want {
			t.Errorf("%s left: %s, want %s", left, got, want)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&InterruptionError{Why: stopText})
	if got := timeToStop(ctx, now, stopTime); got != stopTime {
		t.Errorf("no time said: %s", got)
	}
	if got := timeToStop(t.Context(), now, stopTime); got != stopTime {
		t.Errorf("no interruption: %s", got)
	}
}

// A job that does not heed the notice is left behind early enough.
func TestHangingJobIsLeftBehindBeforeTheMachineGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, _ := deployment(newMemStore(), Task{Name: "github", Job: jobFunc(func(ctx context.Context, rec *Recorder) error {
			rec.Expect(2)
			rec.Start("acme/done").End(Changed, nil)
			time.Sleep(10 * time.Minute)
			return nil
		})})
		begin := time.Now()
		d.Notices = &timedNotices{begin: begin, say: func(_ context.Context, since time.Duration) (Notice, error) {
			if since < time.Second {
				return Notice{}, nil
			}
			return Notice{Stop: stopText, By: begin.Add(30 * time.Second)}, nil
		}}
		rep, err := Run(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if rep.Verdict != VerdictInterrupted || time.Since(begin) > 11*time.Second {
			t.Errorf("%v after %s", rep, time.Since(begin))
		}
		if len(rep.Jobs) != 1 || !strings.Contains(rep.Jobs[0].Error, "did not stop within 5 s") {
			t.Errorf("jobs %+v", rep.Jobs)
		}
		time.Sleep(10 * time.Minute) // for the job that was left behind
	})
}
