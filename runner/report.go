package runner

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A Report says how one run went. In the store it is runs/RUN-ID/report.json;
// fields are added over time, never renamed.
type Report struct {
	Format     int       `json:"format"`          // 1
	Deployment string    `json:"deployment"`      // the config's name
	Run        string    `json:"run"`             // the run's id
	Version    string    `json:"version"`         // mayfly's
	Verdict    Verdict   `json:"verdict"`         // the worst of the jobs' and of the run's own problems
	Cause      string    `json:"cause,omitempty"` // what cut the run short: deadline, signal, interruption notice
	Started    time.Time `json:"started"`
	Ended      time.Time `json:"ended"`
	Next       time.Time `json:"next,omitzero"` // the next scheduled start, where there is a schedule
	Host       string    `json:"host"`
	Instance   *Instance `json:"instance,omitempty"` // only on one
	Store      string    `json:"store"`              // URL
	Log        string    `json:"log"`                // where the log is: the URL its pieces begin with
	// Published is "off" (nobody to send to), "pending" (written before it was
	// sent: the run was cut off in between if it stays so), "sent" or "failed".
	Published string      `json:"published"`
	Jobs      []JobReport `json:"jobs"`
	// Problems are the run's own, beyond its jobs': a report that could not be
	// sent, a log that is not whole.
	Problems []Problem `json:"problems,omitempty"`
	// Notes are what the reader should know of the machine that the run was on.
	Notes []Problem `json:"notes,omitempty"`

	stale time.Duration     // a backup older than this is named
	hints map[string]string // job -> how to get its items back
}

// The values of Report.Published.
const (
	PublishedOff     = "off"
	PublishedPending = "pending"
	PublishedSent    = "sent"
	PublishedFailed  = "failed"
)

// An Instance is the cloud machine that a run was on.
type Instance struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	Zone   string `json:"zone"`
	Market string `json:"market,omitempty"` // "spot" or "on-demand"
	// HourlyUSD is the price used for the cost in the report; 0: not known.
	HourlyUSD float64 `json:"hourly_usd,omitempty"`
}

// JSON is report.json.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write report.json of run %s: %w", r.Run, err)
	}
	return append(b, '\n'), nil
}

// redact takes secrets out of every text that came from outside. JSON is
// redacted before it is encoded, because encoding could disguise them.
func (r *Report) redact(f func(string) string) {
	problem := func(p *Problem) {
		if p != nil {
			*p = Problem{Job: p.Job, Item: f(p.Item), Doing: f(p.Doing), Reason: f(p.Reason), Fix: f(p.Fix), Output: f(p.Output)}
		}
	}
	r.Cause = f(r.Cause)
	for i := range r.Problems {
		problem(&r.Problems[i])
	}
	for i := range r.Notes {
		problem(&r.Notes[i])
	}
	for j := range r.Jobs {
		jr := &r.Jobs[j]
		jr.Error, jr.Cause, jr.To = f(jr.Error), f(jr.Cause), f(jr.To)
		for i := range jr.Warnings {
			problem(&jr.Warnings[i])
		}
		for i := range jr.Items {
			jr.Items[i].Name, jr.Items[i].Detail = f(jr.Items[i].Name), f(jr.Items[i].Detail)
			problem(jr.Items[i].Problem)
		}
	}
	for job, hint := range r.hints {
		r.hints[job] = f(hint)
	}
}

const subjectMax = 99 // SNS: under 100 characters, ASCII, no control characters

// Subject is the mail's: ASCII, under 100 characters, the verdict in it.
// Source: SNS API reference, Publish, Subject.
func (r *Report) Subject() string {
	s := fmt.Sprintf("mayfly %s: %s", OneLine(r.Deployment, 40), r.Verdict)
	for _, part := range r.sums() {
		if len(s)+2+len(part) > subjectMax {
			break
		}
		s += ", " + part
	}
	return CutText(ascii(s), subjectMax)
}

// sums counts over all jobs: items by unit, then what matters of their
// outcomes.
func (r *Report) sums() []string {
	var parts []string
	t, units, total := tally{}, []string{}, map[string]int{}
	for _, jr := range r.Jobs {
		if jr.items() == 0 && jr.Expected < 0 {
			continue // nothing is known
		}
		unit := jr.unit()
		if _, seen := total[unit]; !seen {
			units = append(units, unit)
		}
		total[unit] += jr.items()
		for o, n := range jr.tally() {
			t[o] += n
		}
	}
	for _, unit := range units {
		parts = append(parts, FormatCount(total[unit], unit))
	}
	if len(parts) > 3 {
		parts = nil
	}
	for _, o := range []Outcome{Failed, Partial, Interrupted, Changed, Done} {
		if t[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", t[o], o))
		}
	}
	return parts
}

func (jr JobReport) unit() string {
	if jr.Unit == "" {
		return "items"
	}
	return jr.Unit
}

// items is how many there are: as listed, else as met.
func (jr JobReport) items() int { return max(jr.Expected, jr.handled()) }

// handled is how many of them were begun.
func (jr JobReport) handled() int { return len(jr.Items) + tally(jr.Counted).sum() }

// problems returns the items' and the job's own problems, worst first.
func (jr JobReport) problems() []Problem {
	var list []Problem
	if jr.Error != "" {
		list = append(list, Problem{Job: jr.Name, Reason: jr.Error})
	}
	for _, o := range []Outcome{Failed, Partial, Interrupted} {
		for _, it := range jr.Items {
			if it.Outcome != o || it.Open || (o == Interrupted && it.Problem == nil) {
				continue
			}
			p := Problem{Reason: string(o) + ", without a reason given: see the log"}
			if it.Problem != nil {
				p = *it.Problem
			}
			p.Job, p.Item = jr.Name, it.Name
			list = append(list, p)
		}
	}
	return list
}

// ages is what a job's items say about the age of their backups.
type ages struct {
	oldest     time.Time // of the backups of items that are not excluded
	oldestName string    // "": it is of those that are only counted
	never      []string  // no good backup at all
	stale      []string  // good once, but long ago; excluded ones too
}

func (jr JobReport) ages(now time.Time, stale time.Duration) ages {
	var a ages
	if jr.Ageless {
		return a
	}
	if t := tally(jr.Counted); t.good() > 0 {
		a.oldest = jr.Ended
	}
	for _, it := range jr.Items {
		if it.LastGood.IsZero() {
			if it.Outcome != Skipped {
				a.never = append(a.never, it.Name)
			}
			continue
		}
		age := now.Sub(it.LastGood)
		if stale > 0 && age > stale {
			a.stale = append(a.stale, CutText(it.Name, 100)+" ("+FormatDuration(age)+")")
		}
		if it.Outcome != Skipped && (a.oldest.IsZero() || it.LastGood.Before(a.oldest)) {
			a.oldest, a.oldestName = it.LastGood, it.Name
		}
	}
	return a
}

// counts is "3 changed, 38 unchanged, 1 empty" in the order of the outcomes.
func (t tally) counts() string {
	var parts []string
	for _, o := range []Outcome{Done, Changed, Unchanged, Empty, Skipped, Partial, Failed, Interrupted} {
		if t[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", t[o], o))
		}
	}
	return strings.Join(parts, ", ")
}
