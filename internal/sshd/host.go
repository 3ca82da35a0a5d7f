package sshd

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A host is one at work.
type host struct {
	Host
	limits Limits

	mu          sync.Mutex
	closed      string
	connections int
	running     map[*session]struct{}
	rsync       bool          // one of the running is rsync
	began       time.Time     // the first of the running, or of those before that overlapped
	idle        chan struct{} // closed when nothing runs
}

func newHost(spec Host, l Limits) *host {
	h := &host{Host: spec, limits: l, closed: spec.Closed, running: map[*session]struct{}{}, idle: make(chan struct{})}
	close(h.idle)
	return h
}

// connect counts a connection, or says why there can be no more.
func (h *host) connect() (why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.connections >= h.limits.PerHost {
		return fmt.Sprintf("%s has %d connections already", h.Name, h.connections)
	}
	h.connections++
	return ""
}

func (h *host) disconnect() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.connections--
}

// enter begins a session, or says why it cannot. Two that change one directory
// at once would not know of each other: rsync has it for itself. SFTP clients
// open several, each for files of its own.
func (h *host) enter(s *session, rsync bool) (why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed != "":
		return h.closed
	case h.rsync:
		return fmt.Sprintf("another session of %s is running: wait for its end (one at a time)", h.Name)
	case rsync && len(h.running) > 0:
		return fmt.Sprintf("%d SFTP sessions of %s are running: wait for their end", len(h.running), h.Name)
	case len(h.running) >= h.limits.SFTP:
		return fmt.Sprintf("%d SFTP sessions of %s are running already: use fewer at once", len(h.running), h.Name)
	}
	if len(h.running) == 0 {
		h.idle, h.began = make(chan struct{}), time.Now()
	}
	h.running[s] = struct{}{}
	h.rsync = rsync
	return ""
}

func (h *host) leave(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.running, s)
	h.rsync = false
	if len(h.running) == 0 {
		close(h.idle)
	}
}

// since is when the sessions began, of which some has been running ever since.
func (h *host) since() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.began
}

// busy says what runs; "" nothing.
func (h *host) busy() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.rsync:
		return "rsync"
	case len(h.running) > 0:
		return "SFTP"
	}
	return ""
}

// stop closes the host, and ends what runs.
func (h *host) stop(ctx context.Context, why string) error {
	h.mu.Lock()
	h.closed = why
	idle := h.idle
	for s := range h.running {
		s.cut(why)
	}
	h.mu.Unlock()
	grace := time.NewTimer(h.limits.Grace)
	defer grace.Stop()
	select {
	case <-idle:
		return nil
	case <-grace.C:
	case <-ctx.Done():
	}
	h.mu.Lock()
	for s := range h.running {
		s.kill()
	}
	h.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-time.After(5 * time.Second): // the kernel has no reason to take longer, but a disk may
		return fmt.Errorf("sessions of %s do not end: their processes hang", h.Name)
	}
}
