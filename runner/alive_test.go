package runner

import (
	"log/slog"
	"testing"
	"time"
)

// What is stuck gives no sign of life, until it goes on.
func TestAlive(t *testing.T) {
	t.Parallel()
	m := &Monitor{}
	m.Alive() // before the first job
	rec := NewRecorder(slog.New(slog.DiscardHandler), time.Now)
	over := m.watch("j", "", rec, nil)
	rec.Start("a").End(Changed, nil)
	m.Alive()
	if p, ok := m.Poll(); !ok || len(p.New) != 1 {
		t.Errorf("Alive took from Poll: %+v", p)
	}

	stuck, free, answered := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go (&Item{rec: rec}).do(func() { close(stuck); <-free })
	<-stuck
	go func() { m.Alive(); close(answered) }()
	select {
	case <-answered:
		t.Error("it is stuck and alive")
	case <-time.After(100 * time.Millisecond):
	}
	close(free)
	<-answered
	over()
	m.Poll()
	m.Alive() // after the last
}
