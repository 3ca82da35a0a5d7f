package runner

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// consoleMax is how many bytes are held for a console that nobody reads.
const consoleMax = 256 << 10

// A console passes on what is written to it without ever making the writer
// wait: a pipe that nobody empties, or a stopped terminal, must not hold up a
// backup. What does not fit is dropped, and counted where it is missing.
type console struct {
	w io.Writer

	mu      sync.Mutex
	pending [][]byte
	held    int // bytes in pending
	lost    int // lines dropped since the last that fitted
	busy    bool
	idle    *sync.Cond
}

func newConsole(w io.Writer) *console {
	c := &console{w: w}
	c.idle = sync.NewCond(&c.mu)
	return c
}

// Write takes a line, or drops it.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held+len(p) > consoleMax {
		c.lost++
		return len(p), nil
	}
	if c.lost > 0 {
		c.take(fmt.Appendf(nil, "(%d lines are missing here: nobody read them in time)\n", c.lost))
		c.lost = 0
	}
	c.take(append([]byte(nil), p...))
	if !c.busy {
		c.busy = true
		go c.pass()
	}
	return len(p), nil
}

func (c *console) take(p []byte) {
	c.pending = append(c.pending, p)
	c.held += len(p)
}

// pass writes what is pending, and ends when there is nothing more. An error
// of the console's is nobody's business: the log is in the store too.
func (c *console) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) > 0 {
		p := c.pending[0]
		c.pending = c.pending[1:]
		c.mu.Unlock()
		_, _ = c.w.Write(p)
		c.mu.Lock()
		c.held -= len(p)
	}
	c.busy = false
	c.idle.Broadcast()
}

// flush waits until all is written, at most for limit.
func (c *console) flush(limit time.Duration) {
	done := make(chan struct{})
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for c.busy {
			c.idle.Wait()
		}
		close(done)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
