package runner

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"mayfly/internal/store"
)

// A Deployment is everything one run needs: its jobs, and the world as values.
type Deployment struct {
	Name     string
	RunID    string // NewRunID's
	Version  string // mayfly's
	Host     string // this machine's name
	Instance *Instance
	Next     time.Time // the next scheduled start; zero: there is no schedule
	// Deadline is when the machine ends regardless; zero: none. Jobs are
	// cancelled early enough before it that the run can be reported.
	Deadline time.Time
	Store    store.Store
	Tasks    []Task
	// Unattended runs wait for another run's lock to go stale, and publish
	// even that they could not start.
	Unattended bool
	// Stale is the age beyond which a good backup is named in the report; 0
	// means 30 days.
	Stale time.Duration

	Out       io.Writer  // the report is printed here
	Console   io.Writer  // the log goes here too; nil: only to the store
	Level     slog.Level // of the console's log
	Redact    func(string) string
	Now       func() time.Time // nil: time.Now
	Monitor   *Monitor         // for a display; may be nil
	Publisher Publisher        // nil: nobody to send the report to
	Hooks     []Hook           // who is told besides
	Notices   Notices          // nil: nobody takes this machine away
	Ender     Ender            // nil: this machine goes on
	// Keep is how long a machine whose run failed goes on before it is ended,
	// never beyond the Deadline.
	Keep time.Duration
	// Remarks are what the reader should know of the machine.
	Remarks []Problem
	started time.Time
	console *console // nil without Console
}

// A Task is one job, ready to run.
type Task struct {
	Name    string
	Prefix  string        // where the job writes in the store
	Unit    string        // what its items are, plural: "repositories"
	Timeout time.Duration // 0: only the deadline's
	Ageless bool          // its items are work that is done, no backups that grow old
	// To is the directory that the job brings files to from the store: they are
	// no backups. "" for any other job.
	To string
	// Stop is how long the job may take from its context's end to its return;
	// 0 is 20 s.
	Stop time.Duration
	Job  Job
	// Last is called when all is said and done: the report is sent, the lock
	// released, and nothing more is asked of anybody. On a machine that ends it
	// is not called: what the machine has is given back by its end.
	// nil: there is nothing left to do. It is bounded, and what goes wrong in
	// it is only logged.
	Last func(context.Context) error
	// Restore says in a few lines how one of the job's items is got back; nil,
	// or an empty answer: nothing to say.
	Restore func(JobReport) string
}

// A Publisher sends the report. Publish is called once, with a subject of
// under 100 ASCII characters and a body of at most 256 KiB of valid UTF-8.
type Publisher interface {
	Publish(ctx context.Context, subject, body string) error
}

// An Ender ends the machine that the run is on. It is the last thing called.
type Ender interface {
	End(ctx context.Context) error
}

// NewRunID makes a run's id from when it starts and where: an instance id, or
// a host's name.
func NewRunID(start time.Time, where string) string {
	where, _, _ = strings.Cut(strings.ToLower(where), ".")
	where = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, CutText(where, 40)), "-")
	if where == "" {
		where = "host"
	}
	return start.UTC().Format("20060102T150405Z") + "-" + where
}

// withDefaults fills in what may be left out.
func (d Deployment) withDefaults() Deployment {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Redact == nil {
		d.Redact = func(s string) string { return s }
	}
	if d.Console != nil {
		d.console = newConsole(d.Console)
		d.Console = d.console
	}
	if d.Out == nil {
		d.Out = io.Discard
	}
	if d.Stale == 0 {
		d.Stale = 30 * 24 * time.Hour
	}
	if d.Monitor == nil {
		d.Monitor = &Monitor{}
	}
	d.started = d.Now().UTC()
	return d
}
