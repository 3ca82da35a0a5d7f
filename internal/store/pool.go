package store

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// A Pool holds the part buffers of every upload in the process, so that memory
// does not grow with the number or size of uploads. It hands them out first
// come, first served. Buffers are allocated when first needed.
//
// There is no deadlock as long as whoever holds a buffer can fill it without
// another one being handed out: one goroutine must not feed two Writers in
// turns.
type Pool struct {
	parts, size int
	sem         *semaphore.Weighted

	mu   sync.Mutex
	free [][]byte
	used int
	peak int
}

// NewPool returns a pool of parts buffers of size bytes each. S3 wants parts
// of 5 MiB at least.
func NewPool(parts int, size int) *Pool {
	return &Pool{parts: parts, size: size, sem: semaphore.NewWeighted(int64(parts))}
}

// InUse says how many buffers are handed out, and how many were at most.
func (p *Pool) InUse() (now, peak int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used, p.peak
}

// get waits for n buffers at once.
func (p *Pool) get(ctx context.Context, n int) ([][]byte, error) {
	if err := p.sem.Acquire(ctx, int64(n)); err != nil {
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	bufs := make([][]byte, n)
	for i := range bufs {
		if k := len(p.free) - 1; k >= 0 {
			bufs[i], p.free = p.free[k], p.free[:k]
		} else {
			bufs[i] = make([]byte, p.size)
		}
	}
	p.used += n
	p.peak = max(p.peak, p.used)
	return bufs, nil
}

// put takes back what get returned.
func (p *Pool) put(bufs [][]byte) {
	p.mu.Lock()
	p.free = append(p.free, bufs...)
	p.used -= len(bufs)
	p.mu.Unlock()
	p.sem.Release(int64(len(bufs)))
}
