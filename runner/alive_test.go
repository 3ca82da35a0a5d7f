package runner

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// What is stuck gives no sign of life, until it goes on.
func TestAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &Monitor{}
		m.Alive() // before the first job
		rec := NewRecorder(slog.New(slog.DiscardHandler), time.Now)
		over := m.watch("j", "", rec, nil)
		rec.Start("a").End(Changed, nil)
		m.Alive()
		if p, ok := m.Poll(); !ok || len(p.New) != 1 {
			t.Errorf("Alive took from Poll: %+v", p)
		}

		// A channel, not a mutex: synctest does not take waiting for a mutex for
		// being blocked.
		stuck, free, answered := make(chan struct{}), make(chan struct{}), make(chan struct{})
		go func() {
			(&Item{rec: rec}).do(func() { close(stuck); <-free })
		}()
		<-stuck
		go func() { m.Alive(); close(answered) }()
		select {
		case <-answered:
			t.Error("it is stuck and alive")
		case <-time.After(0):
		}
		close(free)
		<-answered
		over()
		m.Poll()
		m.Alive() // after the last
	})
}
