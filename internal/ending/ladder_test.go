package ending

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeMachine is powered off, or is not, by rungs that only write down that
// they were tried.
type fakeMachine struct {
	mu    sync.Mutex
	begin time.Time
	tried []string // "12s power off"
}

func (m *fakeMachine) rung(doing string, limit, wait time.Duration, do func(context.Context) error) Rung {
	return Rung{Doing: doing, Limit: limit, Wait: wait, Do: func(ctx context.Context) error {
		m.mu.Lock()
		m.tried = append(m.tried, fmt.Sprintf("%s %s", time.Since(m.begin).Round(time.Second), doing))
		m.mu.Unlock()
		return do(ctx)
	}}
}

func works(context.Context) error { return nil }

func fails(err string) func(context.Context) error {
	return func(context.Context) error { return errors.New(err) }
}

func silent(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func slow(d time.Duration, then error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return then
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Whatever the group's API does, power-off follows, within the limit.
func TestPowerOffFollowsWhateverTheGroupSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		leave func(context.Context) error
		after time.Duration
	}{
		"left":                  {works, 0},
		"slow":                  {slow(25*time.Second, nil), 25 * time.Second},
		"throttled all along":   {slow(28*time.Second, errors.New("Throttling")), 28 * time.Second},
		"activity in progress":  {slow(28*time.Second, errors.New("ScalingActivityInProgress")), 28 * time.Second},
		"desired is min":        {fails("ValidationError: Currently, desiredSize equals minSize (1)."), 0},
		"not in a group":        {fails("ValidationError: No managed instance found"), 0},
		"denied":                {fails("AccessDenied"), 0},
		"silent":                {silent, 30 * time.Second},
		"panics":                {func(context.Context) error { panic("nil map") }, 0},
		"does not even give up": {nil, 30*time.Second + graceTime},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, over, leave := &fakeMachine{begin: time.Now()}, make(chan struct{}), c.leave
				defer close(over)
				if leave == nil {
					leave = func(context.Context) error { <-over; return nil }
				}
				var off time.Duration
				l := NewLadder(quiet(), nil, m.rung("leave", 30*time.Second, 0, leave),
					m.rung("off", time.Second, time.Second, func(context.Context) error { off = time.Since(m.begin); return nil }))
				if err := l.End(t.Context()); err == nil || !strings.Contains(err.Error(), "the machine is still on") {
					t.Errorf("a machine that stays on is no success: %v", err)
				}
				if off != c.after || len(m.tried) != 2 {
					t.Errorf("power-off after %s, want %s; tried %q", off, c.after, m.tried)
				}
				if c.after > l.Time() {
					t.Errorf("power-off after %s, but Time is %s", c.after, l.Time())
				}
			})
		})
	}
}

// Every way in which a rung can fail, at every rung: the ones below are tried.
func TestEveryRungIsTriedWhenTheOneAboveFails(t *testing.T) {
	t.Parallel()
	ways := map[string]func(context.Context) error{
		"works in vain": works, "fails": fails("Failed to connect to bus"), "silent": silent,
		"slow": slow(4*time.Second, nil), "panics": func(context.Context) error { panic("ouch") },
	}
	const rungs = 6
	for name, way := range ways {
		for broken := range rungs {
			synctest.Test(t, func(t *testing.T) {
				m := &fakeMachine{begin: time.Now()}
				var list []Rung
				for i := range rungs {
					do := works
					if i <= broken {
						do = way
					}
					list = append(list, m.rung(fmt.Sprint("rung ", i), 5*time.Second, 3*time.Second, do))
				}
				err := NewLadder(quiet(), nil, list...).End(t.Context())
				if len(m.tried) != rungs || err == nil {
					t.Fatalf("%s up to rung %d: tried %q, %v", name, broken, m.tried, err)
				}
				if took := time.Since(m.begin); took > rungs*(8*time.Second+graceTime) {
					t.Errorf("%s up to rung %d: took %s", name, broken, took)
				}
				for i := range rungs {
					if !strings.Contains(err.Error(), fmt.Sprintf("rung %d: ", i)) {
						t.Errorf("%s: the error does not name rung %d: %v", name, i, err)
					}
				}
			})
		}
	}
}

// The ladder is climbed once, however many ask, and the one whose patience ends
// does not end it.
func TestOneClimb(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &fakeMachine{begin: time.Now()}
		l := NewLadder(quiet(), nil, m.rung("leave", time.Minute, 0, slow(20*time.Second, nil)), m.rung("off", time.Second, 20*time.Second, works))
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.End(impatient); err == nil || !strings.Contains(err.Error(), "still being tried") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(m.begin); took != time.Second {
			t.Errorf("End lasted %s beyond its context", took)
		}
		errs := make(chan error, 3)
		for range 3 {
			go func() { errs <- l.End(t.Context()) }()
		}
		for range 3 {
			if err := <-errs; err == nil {
				t.Error("a machine that stays on is no success")
			}
		}
		if want := []string{"0s leave", "20s off"}; !slices.Equal(m.tried, want) {
			t.Errorf("tried %q, want %q", m.tried, want)
		}
	})
}

func TestEndedContextStillEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &fakeMachine{begin: time.Now()}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		l := NewLadder(quiet(), nil, m.rung("leave", time.Minute, 0, slow(time.Second, nil)), m.rung("off", time.Second, time.Second, works))
		_ = l.End(ctx)
		_ = l.End(t.Context())
		if len(m.tried) != 2 {
			t.Errorf("tried %q", m.tried)
		}
	})
}

// Once another process stands behind the power-off, the ladder makes way for an
// init system that asks the process to stop; before that it never does.
func TestMakingWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		arm, off func(context.Context) error
		stopped  time.Duration // -1: never
		want     []string
		yields   bool
	}{
		"stopped by the init system": {works, works, 2 * time.Second, []string{"0s arm", "0s off"}, true},
		"told to before":             {works, works, 0, []string{"0s arm", "0s off"}, true},
		"never told to":              {works, works, -1, []string{"0s arm", "0s off", "20s force", "30s kernel"}, false},
		"nobody stands behind it":    {fails("bus"), works, 2 * time.Second, []string{"0s arm", "0s off", "20s force", "30s kernel"}, false},
		"power-off failed":           {works, fails("bus"), 0, []string{"0s arm", "0s off", "0s force", "10s kernel"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, stop := &fakeMachine{begin: time.Now()}, make(chan struct{})
				if c.stopped >= 0 {
					time.AfterFunc(c.stopped, func() { close(stop) })
				}
				synctest.Wait()
				arm, off := m.rung("arm", time.Second, 0, c.arm), m.rung("off", time.Second, 20*time.Second, c.off)
				arm.Backs, off.Yield = true, true
				l := NewLadder(quiet(), stop, arm, off,
					m.rung("force", time.Second, 10*time.Second, works), m.rung("kernel", time.Second, time.Second, works))
				if err := l.End(t.Context()); (err == nil) != c.yields {
					t.Errorf("%v", err)
				}
				if !slices.Equal(m.tried, c.want) {
					t.Errorf("tried %q, want %q", m.tried, c.want)
				}
			})
		})
	}
}

func TestEmptyLadderSaysSo(t *testing.T) {
	t.Parallel()
	if err := NewLadder(quiet(), nil).End(t.Context()); err == nil || !strings.Contains(err.Error(), "no way to power") {
		t.Errorf("got %v", err)
	}
}

// What happens is said, loudly enough for the console.
func TestEveryRungIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, out := &fakeMachine{begin: time.Now()}, &strings.Builder{}
		l := NewLadder(slog.New(slog.NewTextHandler(io.Writer(out), nil)), nil,
			m.rung("leave the group", time.Second, 0, fails("AccessDenied")), m.rung("power off", time.Second, time.Second, works))
		_ = l.End(t.Context())
		for _, want := range []string{"level=ERROR", "cannot leave the group", "AccessDenied", "ending: power off"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, out)
			}
		}
	})
}
