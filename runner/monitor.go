package runner

import "sync"

// A Monitor lets one display watch a run. The zero Monitor is ready to use.
type Monitor struct {
	mu     sync.Mutex
	redact func(string) string
	jobs   []*watched
	at     int // the job that Poll is at
	from   int // its items that Poll has reported as ended
	over   func()
}

type watched struct {
	job, unit string
	rec       *Recorder
	over      bool
}

// WhenOver has f called once no job runs any more, before the report is
// printed: a display clears the terminal then. f may be called more than once.
func (m *Monitor) WhenOver(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = f
}

// Poll says how far the run is. ok is false while there is nothing new to say:
// before the first job, and after the last. The last Progress of a job has
// Over set; the next call is about the next job. No ended item is left out.
func (m *Monitor) Poll() (p Progress, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at == len(m.jobs) {
		return Progress{}, false
	}
	w := m.jobs[m.at]
	p = w.rec.Progress(m.from)
	p.Job, p.Unit, p.Over = w.job, w.unit, w.over
	m.from = p.Next
	if w.over {
		w.rec = nil
		m.at, m.from = m.at+1, 0
	}
	if m.redact != nil {
		p.redact(m.redact)
	}
	return p, true
}

// watch begins a job; the function that it returns ends it.
func (m *Monitor) watch(job, unit string, rec *Recorder, redact func(string) string) (over func()) {
	w := &watched{job: job, unit: unit, rec: rec}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.redact = redact
	m.jobs = append(m.jobs, w)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		w.over = true
	}
}

func (m *Monitor) allOver() {
	m.mu.Lock()
	f := m.over
	m.mu.Unlock()
	if f != nil {
		f()
	}
}

func (p *Progress) redact(f func(string) string) {
	for _, list := range [][]ItemReport{p.Open, p.New} {
		for i := range list {
			list[i].Name = f(list[i].Name)
			if q := list[i].Problem; q != nil {
				q.Item, q.Doing, q.Reason, q.Fix = f(q.Item), f(q.Doing), f(q.Reason), f(q.Fix)
			}
		}
	}
	if p.Waiting != nil {
		p.Waiting.Why = f(p.Waiting.Why)
	}
}
