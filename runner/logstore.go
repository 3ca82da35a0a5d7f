package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mayfly/internal/store"
)

const (
	pieceEvery = 15 * time.Second // how much of the log a kill -9 can take
	pieceTime  = 30 * time.Second // for one write, retries in the store included
	pieceFull  = 256 << 10        // bytes that are not kept waiting
	pieceMax   = 1 << 20          // bytes held back while the store does not answer
)

// A logStore keeps a log in a store, in create-only pieces
// runs/RUN-ID/log/00001.txt and so on: one every 15 s when there is something
// to write, sooner when there is much. Its memory is bounded; writing to it never blocks and never fails.
type logStore struct {
	st     store.Store
	prefix string // runs/RUN-ID/log/

	mu      sync.Mutex
	pending []byte
	lost    int // records dropped since the last piece because pending was full

	// Touched by one goroutine at a time: the one of keep, then close.
	piece  []byte // being written: stays the same until the store has it
	number int    // of that piece
	failed error  // the last write
	gaps   int    // records lost in all

	full chan struct{} // there is a piece to write
	stop context.CancelFunc
	done chan struct{}
}

func newLogStore(st store.Store, runID string) *logStore {
	return &logStore{st: st, prefix: "runs/" + runID + "/log/", number: 1, full: make(chan struct{}, 1), done: make(chan struct{})}
}

// Write takes one record.
func (l *logStore) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending)+len(p) > pieceMax {
		l.lost++
		return len(p), nil
	}
	l.pending = append(l.pending, p...)
	if len(l.pending) >= pieceFull {
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

// keep writes pieces until close.
func (l *logStore) keep(ctx context.Context) {
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(l.done)
		for l.wait(ctx) {
			l.flush(ctx)
		}
	}()
}

// wait waits for the next piece to write; false: there will be none.
func (l *logStore) wait(ctx context.Context) bool {
	timer := time.NewTimer(pieceEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.full:
		return l.failed == nil || sleep(ctx, pieceEvery) == nil // do not press a store that refuses
	case <-ctx.Done():
		return false
	}
	return true
}

// flush writes what there is. A piece that the store did not take is tried
// again, the same bytes under the same key, before anything newer.
func (l *logStore) flush(ctx context.Context) {
	for {
		if l.piece == nil && !l.cutPiece() {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, pieceTime)
		_, err := l.st.Put(ctx, fmt.Sprintf("%s%05d.txt", l.prefix, l.number), l.piece, "")
		cancel()
		if err != nil && !errors.Is(err, store.ErrExists) { // exists: an earlier try got through
			l.failed = err
			return
		}
		l.piece, l.failed = nil, nil
		l.number++
	}
}

// cutPiece moves what is pending to piece and says whether there was any.
func (l *logStore) cutPiece() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 && l.lost == 0 {
		return false
	}
	l.piece = bytes.Clone(l.pending)
	if l.lost > 0 {
		l.piece = fmt.Appendf(l.piece, "(%d lines are missing here: they came faster than the store took them)\n", l.lost)
		l.gaps += l.lost
	}
	l.pending, l.lost = l.pending[:0], 0
	return true
}

// close writes the rest. Its error says that the log in the store is not
// whole.
func (l *logStore) close(ctx context.Context) error {
	if l.stop != nil {
		l.stop()
		select {
		case <-l.done:
		case <-ctx.Done():
			return fmt.Errorf("write the log to %s: %w", l.st.URL(l.prefix), ctx.Err())
		}
	}
	l.flush(ctx)
	switch {
	case l.failed != nil:
		return fmt.Errorf("write the log to %s: %w", l.st.URL(l.prefix), l.failed)
	case l.gaps > 0:
		return fmt.Errorf("write the log to %s: %d lines are missing: they came faster than the store took them", l.st.URL(l.prefix), l.gaps)
	}
	return nil
}
