package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/store"
)

// keep renews the lease until release. It calls lost once, with a cause that
// wraps ErrLockLost, when the lock is another run's or could not be renewed in
// time.
func (l *Lock) keep(ctx context.Context, lost func(error)) {
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(l.done)
		for sleep(ctx, renewEvery) == nil {
			if err := l.renew(ctx); err != nil {
				if ctx.Err() == nil {
					lost(err)
				}
				return
			}
		}
	}()
}

// renew retries until the lease is renewed, gone, or run out, or the parent
// context ends.
func (l *Lock) renew(parent context.Context) error {
	l.mu.Lock()
	etag, until := l.etag, l.until
	l.mu.Unlock()
	ctx, cancel := context.WithDeadline(parent, until)
	defer cancel()
	for {
		err := l.put(ctx, l.mine, etag)
		if err == nil || parent.Err() != nil {
			return err
		}
		if errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotExist) {
			return l.lose(fmt.Errorf("%w: another run took it: are two deployments using one store?", ErrLockLost))
		}
		l.log.Warn("cannot renew the lock; trying again", KeyErr, err)
		if sleep(ctx, 3*time.Second) != nil {
			if parent.Err() != nil {
				return err
			}
			return l.lose(fmt.Errorf("%w: it could not be renewed in time: %w", ErrLockLost, err))
		}
	}
}

func (l *Lock) lose(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = err
	return err
}

// Held asks the store whether the lock is still this run's; call it before
// anything destructive. nil: it is, for at least 15 s more.
func (l *Lock) Held(ctx context.Context) error {
	l.mu.Lock()
	lost := l.lost
	l.mu.Unlock()
	if lost != nil {
		return lost
	}
	there, o, err := readLock(ctx, l.st)
	switch {
	case err != nil:
		return fmt.Errorf("cannot tell whether the lock is still held: %w", err)
	case there.Nonce != l.mine.Nonce || there.Released:
		return fmt.Errorf("%w: run %s on %s has it", ErrLockLost, there.Run, there.Host)
	case !o.Now.IsZero() && o.Now.Sub(o.Modified) > leaseTime-leaseMargin:
		return fmt.Errorf("%w: its lease ran out", ErrLockLost)
	}
	return nil
}

// release gives the lock back by overwriting it, so that it needs no
// permission to delete. A lock that was lost is left to its new holder.
func (l *Lock) release(ctx context.Context) error {
	if l.stop != nil {
		l.stop()
		select {
		case <-l.done:
		case <-ctx.Done():
			return fmt.Errorf("release the lock: %w: it goes stale by itself within %s", ctx.Err(), FormatDuration(leaseTime))
		}
	}
	l.mu.Lock()
	etag, lost := l.etag, l.lost
	l.mu.Unlock()
	if lost != nil {
		return nil
	}
	h := l.mine
	h.Released = true
	err := l.put(ctx, h, etag)
	if errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrNotExist) {
		return nil // another run's by now
	}
	return err
}
