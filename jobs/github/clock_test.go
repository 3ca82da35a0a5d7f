package github

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := sleep(t.Context(), time.Hour); err != nil || time.Since(began) != time.Hour {
			t.Errorf("slept %v: %v", time.Since(began), err)
		}
		cause := errors.New("taken")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(cause) })
		began = time.Now()
		if err := sleep(ctx, time.Hour); !errors.Is(err, cause) || time.Since(began) != time.Minute {
			t.Errorf("slept %v: %v", time.Since(began), err)
		}
	})
}

// TestManyWaitTogether: one limit holds all of a service back and none of the
// other; the last to wake takes the notice down.
func TestManyWaitTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var showing bool
		l := &limits{clock: realClock(), show: func(_ string, until time.Time) { showing = !until.IsZero() }}
		began := time.Now()
		l.until[rest] = began.Add(time.Hour)
		for range 3 {
			go func() {
				if err := l.wait(t.Context(), rest); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		if err := l.wait(t.Context(), gitHTTP); err != nil || time.Since(began) != 0 {
			t.Errorf("git waited %v for REST: %v", time.Since(began), err)
		}
		l.mu.Lock()
		if !showing || l.waiting != 3 {
			t.Errorf("%d wait, showing %v", l.waiting, showing)
		}
		l.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		if showing || l.waiting != 0 {
			t.Errorf("%d wait, showing %v", l.waiting, showing)
		}
	})
}
