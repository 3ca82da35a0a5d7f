package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/store"
	"mayfly/runner"
)

func newStatusCmd(a *app) *cobra.Command {
	var address string
	var last int
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the last runs, what is at work, and the next start",
		Long: `Status shows how the last runs went, whether one is at work now, the oldest good
backup, what has none, and the next start. With a config whose store is in AWS it
also asks there: what is deployed and running, whether the processes that would
replace an instance are still suspended, who gets no mail, the volume and the
newest good snapshot of each host that pushes, and what is left over, with the
command that removes it. With --store it asks the store alone.

Exit codes: 0 shown, however the runs went, 1 the store cannot be read, 2 bad
usage or config.`,
		Example: `  mayfly status
  mayfly status --store s3://onlinebackupbucket --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := notEmpty(cmd); err != nil {
				return err
			}
			if last < 1 || last > 1000 {
				return usageError(fmt.Errorf("status: --last %d: give 1 to 1000", last))
			}
			st, config, err := a.pastStore(cmd.Context(), address)
			if err != nil {
				return err
			}
			s, err := a.readStatus(cmd.Context(), st, config, last)
			if err != nil {
				return asFailed(err)
			}
			if asJSON {
				enc := json.NewEncoder(a.stdout)
				enc.SetIndent("", "  ")
				return asFailed(enc.Encode(s))
			}
			return asFailed(s.print(a.stdout, a.now(), a.storeFlags(address)))
		},
	}
	f := c.Flags()
	f.StringVar(&address, "store", "", "the store's `URL`, instead of a config")
	f.IntVar(&last, "last", 10, "how many runs to show")
	f.BoolVar(&asJSON, "json", false, "print JSON; fields are added over time, never renamed")
	return c
}

// A status is what mayfly status knows; also its JSON.
type status struct {
	Deployment string      `json:"deployment,omitempty"`
	Store      string      `json:"store"`
	Next       time.Time   `json:"next,omitzero"`
	OldestGood *goodBackup `json:"oldest_good,omitempty"`
	// NeverGood are items of the newest report that have no good backup at all.
	NeverGood []string `json:"never_good,omitempty"`
	// Ageless says that no job of the newest report makes backups.
	Ageless bool      `json:"ageless,omitempty"`
	Runs    []pastRun `json:"runs"` // newest first
	// Others is how many of the newest runs are other deployments', in the same
	// store; they are not among Runs.
	Others int `json:"other_runs,omitempty"`
	// Unread is why the runs cannot be read.
	Unread string `json:"unread,omitempty"`
	// AWS is there when the config's deployment can be in AWS and could be
	// asked about.
	AWS *awsStatus `json:"aws,omitempty"`

	zone   *time.Location
	ages   bool   // a report has said how old backups are
	unseen string // why AWS was not asked
	flags  string // of suggested commands that need the config
}

type goodBackup struct {
	Item string    `json:"item"`
	Made time.Time `json:"made"`
	Run  string    `json:"run"` // whose report says so
}

type pastRun struct {
	Run     string    `json:"run"`
	State   string    `json:"state"` // a verdict, "running" or "cut off"
	Cause   string    `json:"cause,omitempty"`
	Host    string    `json:"host,omitempty"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Counts  string    `json:"counts,omitempty"`
	// Published is the report's: "off", "pending", "sent" or "failed".
	Published string `json:"published,omitempty"`
}

// readStatus reads the newest runs; the oldest good backup is from the newest
// report that knows one.
func (a *app) readStatus(ctx context.Context, st store.Store, c *runner.Config, last int) (*status, error) {
	s := &status{Store: st.URL(""), Runs: []pastRun{}, zone: time.UTC}
	ids, err := runner.RunIDs(ctx, st, a.now(), last)
	if err != nil && !atAWS(c, a.getenv) {
		return nil, err
	}
	if err != nil { // the bucket may be what is missing
		s.Unread = err.Error()
	}
	var newest time.Time // run of this deployment on an instance
	for _, id := range ids {
		p, err := runner.ReadPast(ctx, st, id)
		if err != nil {
			return nil, err
		}
		if c != nil && p.Deployment() != "" && p.Deployment() != string(c.Name) {
			s.Others++ // the store has more than one
			continue
		}
		if newest.IsZero() && strings.HasPrefix(runner.RunInstance(id), "i-") {
			newest = p.Began()
		}
		s.add(p)
	}
	if c != nil {
		s.Deployment, s.zone, s.Next = string(c.Name), c.Schedule.Timezone.Location(), time.Time{}
		for _, t := range c.Schedule.Start.Next(a.now(), s.zone, 1) {
			s.Next = t
		}
	}
	if atAWS(c, a.getenv) {
		s.flags = a.configFlag()
		if s.AWS, err = a.readAWS(ctx, c); err != nil {
			s.unseen = err.Error()
		} else {
			s.AWS.overdue(c, newest, a.now())
			s.AWS.drills(ctx, st, c)
		}
	}
	if s.Next.Before(a.now()) { // zero, or passed since that run
		s.Next = time.Time{}
	}
	return s, nil
}

func (s *status) add(p runner.Past) {
	r := pastRun{Run: p.Run, State: p.State(), Started: p.Began()}
	if p.Started != nil {
		r.Host = p.Started.Host
		s.Deployment = cmp.Or(s.Deployment, p.Started.Deployment)
	}
	if rep := p.Report; rep != nil {
		r.Host, r.Ended, r.Cause, r.Counts, r.Published = rep.Host, rep.Ended, rep.Cause, rep.Counts(), rep.Published
		s.Deployment = cmp.Or(s.Deployment, rep.Deployment)
		if s.Next.IsZero() {
			s.Next = rep.Next
		}
		if s.OldestGood == nil && rep.Ageless() {
			s.Ageless = true // what older reports know is of other jobs
		}
		if !s.ages && len(rep.Jobs) > 0 {
			s.ages, s.NeverGood = true, rep.Never()
		}
		if name, at := rep.OldestGood(); s.OldestGood == nil && !s.Ageless && !at.IsZero() {
			s.OldestGood = &goodBackup{name, at, p.Run}
		}
	}
	s.Runs = append(s.Runs, r)
}

// print shows it to a person.
func (s *status) print(out io.Writer, now time.Time, flags string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	at := func(t time.Time) string { return t.In(s.zone).Format("Mon 2 Jan 2006 15:04 MST") }
	title := s.Store
	if s.Deployment != "" {
		title = s.Deployment + " in " + title
	}
	fmt.Fprintf(w, "%s\n\n", runner.OneLine(title, 200))
	switch {
	case s.Unread != "" && s.AWS != nil && s.AWS.missing: // there is nothing yet
	case s.Unread != "":
		fmt.Fprintf(w, "The runs cannot be read: %s\n", runner.OneLine(s.Unread, 400))
	case len(s.Runs) == 0:
		fmt.Fprintf(w, "No run has been here yet.\n")
	default:
		fmt.Fprintf(w, "STARTED\tTOOK\tWENT\tWHAT\tRUN\n")
	}
	for _, r := range s.Runs {
		took, what := "?", r.Counts
		switch {
		case !r.Ended.IsZero():
			took = runner.FormatDuration(r.Ended.Sub(r.Started))
		case r.State == "running":
			took = runner.FormatDuration(now.Sub(r.Started))
			what = "on " + runner.OneLine(r.Host, 60)
		}
		if r.Published == runner.PublishedFailed {
			what += "; report not sent"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", at(r.Started), took, r.State, cmp.Or(what, "-"), r.Run)
	}
	if s.Others > 0 {
		fmt.Fprintf(w, "(and %s of other deployments in this store)\n", runner.FormatCount(s.Others, "runs"))
	}
	fmt.Fprintf(w, "\n")
	if len(s.Runs) > 0 && s.Runs[0].State == "running" {
		fmt.Fprintf(w, "Running now:         %s\n", s.Runs[0].Run)
	}
	if g := s.OldestGood; g != nil {
		fmt.Fprintf(w, "Oldest good backup:  %s, %s old (%s)\n", g.Item, runner.FormatDuration(now.Sub(g.Made)), at(g.Made))
	} else if s.Ageless {
		fmt.Fprintf(w, "Oldest good backup:  none: the jobs make none that grow old\n")
	} else if len(s.Runs) > 0 {
		fmt.Fprintf(w, "Oldest good backup:  none\n")
	}
	if n := len(s.NeverGood); n > 0 {
		const some = 5
		list := strings.Join(s.NeverGood[:min(n, some)], ", ")
		if n > some {
			list += fmt.Sprintf(" and %d more", n-some)
		}
		fmt.Fprintf(w, "Never backed up:     %s\n", list)
	}
	switch {
	case s.Next.IsZero():
	case s.AWS != nil && !s.AWS.Armed:
		fmt.Fprintf(w, "Next start:          none; the config says %s\n", at(s.Next))
	default:
		fmt.Fprintf(w, "Next start:          %s\n", withUTC(at(s.Next), s.Next))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if s.AWS != nil {
		s.AWS.print(out, now, s.flags)
	}
	if s.unseen != "" {
		fmt.Fprintf(out, "In AWS:              not asked: %s\n", runner.OneLine(s.unseen, 400))
	}
	switch {
	case s.unseen != "":
	case s.AWS != nil && (s.AWS.missing || s.AWS.unready()):
		fmt.Fprintf(w, "Next: mayfly deploy%s\n", s.flags)
	case s.AWS != nil && s.AWS.Desired > 0 && (len(s.Runs) == 0 || s.Runs[0].State != "running"):
		fmt.Fprintf(w, "Next: mayfly logs --follow%s\n", s.flags)
	case len(s.Runs) == 0 && s.AWS != nil:
		fmt.Fprintf(w, "Next: mayfly start%s\n", s.flags)
	case len(s.Runs) == 0:
		fmt.Fprintf(w, "Next: mayfly run\n")
	case s.Runs[0].State == "running":
		fmt.Fprintf(w, "Next: mayfly logs --follow%s\n", flags)
	default:
		fmt.Fprintf(w, "Next: mayfly logs%s\n", flags)
	}
	return w.Flush()
}

// withUTC is a time in words, and what it is in UTC where that is another.
func withUTC(said string, t time.Time) string {
	utc := t.UTC().Format("15:04 UTC")
	if strings.HasSuffix(said, utc) {
		return said
	}
	return said + " (" + utc + ")"
}
