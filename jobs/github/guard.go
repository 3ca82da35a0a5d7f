package github

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// A guard ends a request that stalls, and gives its slot back once: when the
// body is closed, or when its context ends with the body forgotten.
type guard struct {
	after  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
	once   sync.Once
	done   func()

	left time.Duration // of the current trickleTime
	got  int           // bytes in it
}

// A body of which less comes while we wait for it has stalled too: a byte now
// and then keeps any connection alive. git's preparation of a pack, during
// which it sends five bytes every 5 s, must fit into the time.
const (
	trickleTime  = 20 * time.Minute
	trickleBytes = 64 << 10
)

// newGuard guards a request whose own context cancel ends; parent is its caller's.
func newGuard(parent context.Context, after time.Duration, cancel context.CancelCauseFunc, done func()) *guard {
	g := &guard{after: after, cancel: cancel, done: done, left: trickleTime}
	g.timer = time.AfterFunc(after, func() { cancel(errStalled) })
	context.AfterFunc(parent, g.Close)
	return g
}

func (g *guard) Close() {
	g.once.Do(func() {
		g.timer.Stop()
		g.cancel(context.Canceled)
		g.done()
	})
}

// because replaces the error of a cancelled request by what cancelled it.
func (g *guard) because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

// guarded is a body under guard. The time its reader takes between reads does
// not count as the server's silence.
type guarded struct {
	body  io.ReadCloser
	guard *guard
	ctx   context.Context
}

func (b *guarded) Read(p []byte) (int, error) {
	g := b.guard
	g.timer.Reset(min(g.after, g.left))
	began := time.Now()
	n, err := b.body.Read(p)
	g.timer.Stop()
	g.left -= time.Since(began)
	if g.got += n; g.got >= trickleBytes {
		g.left, g.got = trickleTime, 0
	}
	if err != nil && err != io.EOF {
		err = b.guard.because(b.ctx, err)
	}
	return n, err
}

func (b *guarded) Close() error {
	err := b.body.Close()
	b.guard.Close()
	return err
}
