package runner

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/store"
)

func lockOf(t *testing.T, st *memStore, run string, wait bool) (*Lock, error) {
	t.Helper()
	return acquire(t.Context(), st, Holder{Run: run, Host: run + "-host", Since: time.Now()}, wait, slog.New(slog.DiscardHandler))
}

func mustLock(t *testing.T, st *memStore, run string, wait bool) *Lock {
	t.Helper()
	l, err := lockOf(t, st, run, wait)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Two machines whose clocks differ from each other's and from the store's:
// only the store's counts.
func TestLockWithSkewedClocks(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{0, -5 * time.Hour, 5 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			st := newMemStore()
			st.skew = skew
			a := mustLock(t, st, "a", false)
			a.keep(t.Context(), func(err error) { t.Errorf("lost: %v", err) })
			time.Sleep(10 * time.Minute) // renewed all the while
			_, err := lockOf(t, st, "b", false)
			var held *HeldError
			if !errors.As(err, &held) || held.Holder.Run != "a" {
				t.Fatalf("skew %s: got %v", skew, err)
			}
			for _, want := range []string{"run a on a-host", "since 2000-01-01 00:00:00 UTC", "mem:///runs/lock.json"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if err := a.Held(t.Context()); err != nil {
				t.Errorf("a: %v", err)
			}
			if err := a.release(t.Context()); err != nil {
				t.Fatal(err)
			}
			b := mustLock(t, st, "b", false)
			if err := a.Held(t.Context()); !errors.Is(err, ErrLockLost) || !strings.Contains(err.Error(), "run b on b-host has it") {
				t.Errorf("a believes in a lock of b: %v", err)
			}
			if err := b.Held(t.Context()); err != nil {
				t.Errorf("b: %v", err)
			}
		})
	}
}

func TestUnattendedRunWaitsForStaleLock(t *testing.T) {
	t.Parallel()
	for _, noClock := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			st := newMemStore()
			st.noClock = noClock
			mustLock(t, st, "dead", false) // never renewed
			if !noClock {
				time.Sleep(30 * time.Second)
			}
			begin := time.Now()
			mustLock(t, st, "next", true)
			want := leaseTime
			if !noClock {
				want -= 30 * time.Second
			}
			if took := time.Since(begin); took < want || took > want+lockPoll {
				t.Errorf("waited %s, want %s", took, want)
			}
		})
	}
}

func TestWaitingForTheLockHeedsTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		a := mustLock(t, st, "a", false)
		a.keep(t.Context(), func(error) {})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, ErrDeadline)
		defer cancel()
		_, err := acquire(ctx, st, Holder{Run: "b"}, true, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "deadline") || !strings.Contains(err.Error(), "run a on") {
			t.Errorf("got %v", err)
		}
		if err := a.release(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// Of two runs that see a stale lock at once, one gets it.
func TestOneTakesAStaleLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		mustLock(t, st, "dead", false)
		time.Sleep(2 * leaseTime)
		errs := make(chan error)
		for _, run := range []string{"a", "b", "c"} {
			go func() {
				_, err := lockOf(t, st, run, false)
				errs <- err
			}()
		}
		won := 0
		for range 3 {
			var held *HeldError
			if err := <-errs; err == nil {
				won++
			} else if !errors.As(err, &held) {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d runs have the lock", won)
		}
	})
}

// A renewal that the store took but whose reply was lost is still ours.
func TestLostRepliesDoNotLoseTheLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		n := 0
		st.after = func(string) error {
			if n++; n%2 == 0 {
				return errors.New("connection reset")
			}
			return nil
		}
		a := mustLock(t, st, "a", false)
		a.keep(t.Context(), func(err error) { t.Errorf("lost: %v", err) })
		time.Sleep(10 * time.Minute)
		if err := a.Held(t.Context()); err != nil {
			t.Error(err)
		}
		st.mu.Lock()
		st.after = nil
		st.mu.Unlock()
		if err := a.release(t.Context()); err != nil || !strings.Contains(st.text(lockKey), `"released":true`) {
			t.Errorf("%v; %s", err, st.text(lockKey))
		}
	})
}

// The run is cancelled before anyone else may take the lock.
func TestRunStopsBeforeItsLeaseIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		var stopped time.Time
		job := func(ctx context.Context, rec *Recorder) error {
			st.mu.Lock()
			st.fault = func(op, key string) error { return errors.New("store is away") }
			st.mu.Unlock()
			<-ctx.Done()
			stopped = time.Now()
			return ctx.Err()
		}
		d, _ := deployment(st, Task{Name: "j", Job: jobFunc(job)})
		begin := time.Now()
		rep, err := Run(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if held := stopped.Sub(begin); held > leaseTime-leaseMargin {
			t.Errorf("stopped after %s", held)
		}
		if rep.Verdict != VerdictInterrupted || !strings.Contains(rep.Cause, "the lock was lost: it could not be renewed in time") {
			t.Errorf("%s, cause %q", rep.Verdict, rep.Cause)
		}
	})
}

func TestTakenOverLockCancelsTheRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		job := func(ctx context.Context, rec *Recorder) error {
			b, _ := json.Marshal(Holder{Run: "thief", Host: "h", Nonce: "x"})
			o, err := st.Stat(ctx, lockKey)
			if err == nil {
				_, err = st.Put(ctx, lockKey, b, o.ETag)
			}
			if err != nil {
				t.Error(err)
			}
			if err := rec.Held(ctx); !errors.Is(err, ErrLockLost) {
				t.Errorf("Held: %v", err)
			}
			<-ctx.Done()
			return ctx.Err()
		}
		d, _ := deployment(st, Task{Name: "j", Job: jobFunc(job)})
		begin := time.Now()
		rep, err := Run(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > renewEvery+time.Second || !strings.Contains(rep.Cause, "another run took it") {
			t.Errorf("after %s: cause %q", took, rep.Cause)
		}
		if !strings.Contains(st.text(lockKey), "thief") {
			t.Error("the new holder's lock was overwritten")
		}
	})
}

func TestUnreadableLockGoesStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		if _, err := st.Put(t.Context(), lockKey, []byte("{garbage"), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := lockOf(t, st, "a", false); err == nil || !strings.Contains(err.Error(), "(unreadable)") {
			t.Errorf("got %v", err)
		}
		time.Sleep(leaseTime)
		mustLock(t, st, "a", false)
	})
}

func TestRealDirectoryLock(t *testing.T) {
	t.Parallel()
	st, err := store.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	a, err := acquire(t.Context(), st, Holder{Run: "a", Host: "h"}, false, log)
	if err != nil {
		t.Fatal(err)
	}
	var held *HeldError
	if _, err := acquire(t.Context(), st, Holder{Run: "b", Host: "h"}, false, log); !errors.As(err, &held) {
		t.Errorf("got %v", err)
	}
	if err := a.Held(t.Context()); err != nil {
		t.Error(err)
	}
	if err := a.release(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := acquire(t.Context(), st, Holder{Run: "b", Host: "h"}, false, log); err != nil {
		t.Error(err)
	}
}

// A lock from a machine whose clock was wrong must not block the store until
// that time has come.
func TestLockFromTheFutureGoesStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := newMemStore()
		st.skew = 30 * 24 * time.Hour
		dead := mustLock(t, st, "dead", false)
		dead.stop = nil // it never renews
		st.skew = 0
		began := time.Now()
		mustLock(t, st, "a", false)
		if waited := time.Since(began); waited < leaseTime || waited > 2*leaseTime {
			t.Errorf("taken after %v, not when the lease was over", waited)
		}
	})
}

func TestHeldErrorIsOneHarmlessLine(t *testing.T) {
	t.Parallel()
	e := &HeldError{Holder: Holder{Run: "a\x1b[2J\nb", Host: "h\r\x00"}, Where: "file:///s", Left: 40 * time.Second}
	if s := e.Error(); strings.ContainsAny(s, "\x1b\n\r\x00") || !strings.Contains(s, "within 40 s") {
		t.Errorf("got %q", s)
	}
}
