package runner

import "math"

// Alive returns once it has taken and released what every job and display need
// to go on: where they are stuck for good, so is it. It takes nothing from Poll.
func (m *Monitor) Alive() {
	m.mu.Lock()
	var rec *Recorder
	if n := len(m.jobs); n > 0 {
		rec = m.jobs[n-1].rec
	}
	m.mu.Unlock()
	if rec != nil {
		rec.Progress(math.MaxInt)
	}
}
