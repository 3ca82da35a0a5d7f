package runner

import "maps"

// Brief is the report with the items that ended well only counted, for readers
// who take a limited amount. The report itself stays as it is.
func (r *Report) Brief() *Report {
	b := *r
	b.Jobs = make([]JobReport, len(r.Jobs))
	for i, jr := range r.Jobs {
		c := jr
		c.Items, c.Counted = []ItemReport{}, maps.Clone(jr.Counted)
		if c.Counted == nil {
			c.Counted = map[Outcome]int{}
		}
		for _, it := range jr.Items {
			if it.Outcome.Good() || it.Outcome == Skipped {
				c.Counted[it.Outcome]++
				c.CountedBytes += it.Wrote
			} else {
				c.Items = append(c.Items, it)
			}
		}
		b.Jobs[i] = c
	}
	return &b
}

// A JobSum is what one job comes to, in numbers.
type JobSum struct {
	Name     string
	Complete bool
	Items    int   // handled
	Bad      int   // of them: neither good nor skipped
	Wrote    int64 // bytes
	// Oldest is how many seconds ago the oldest good backup was made; -1: there
	// is none, or the job makes none.
	Oldest float64
}

// Sums are the jobs' in order.
func (r *Report) Sums() []JobSum {
	var list []JobSum
	for _, jr := range r.Jobs {
		t := jr.tally()
		s := JobSum{Name: jr.Name, Complete: jr.Verdict == VerdictComplete, Items: t.sum(), Bad: t.bad(), Wrote: jr.CountedBytes, Oldest: -1}
		for _, it := range jr.Items {
			s.Wrote += it.Wrote
		}
		if a := jr.ages(r.Ended, 0); !a.oldest.IsZero() {
			s.Oldest = max(0, r.Ended.Sub(a.oldest).Seconds())
		}
		list = append(list, s)
	}
	return list
}
