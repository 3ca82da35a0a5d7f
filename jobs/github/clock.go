package github

import (
	"context"
	"time"
)

// A clock is what waits are measured with; tests bring their own.
type clock struct {
	now   func() time.Time
	sleep func(ctx context.Context, d time.Duration) error // ctx's cause when it ends first
}

func realClock() clock { return clock{time.Now, sleep} }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
