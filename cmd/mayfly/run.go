package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/store"
	"mayfly/runner"
)

func newRunCmd(a *app) *cobra.Command {
	var end bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the jobs now, on this machine",
		Long: `Run does the config's jobs one after the other on this machine, writes log
and report to the store, sends the report to whom the config names, and prints
it. The machine goes on: only the boot script of an instance passes
--end-instance, which is refused anywhere else.

Exit codes: 0 complete, 1 failed, 2 bad usage or config (nothing was done),
3 partial (some items failed), 4 interrupted (a later run goes on).`,
		Example: `  mayfly run
  mayfly run -c hosts.yaml --quiet`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if end {
				return a.runAndEnd(cmd.Context())
			}
			c, err := a.loadConfig(cmd.Context())
			if err != nil {
				return err
			}
			return a.run(cmd.Context(), c)
		},
	}
	cmd.Flags().BoolVar(&end, "end-instance", false, "for the boot script alone: end this machine when the run is over")
	return cmd
}

// run runs the jobs of c and turns how it went into an exit code.
func (a *app) run(ctx context.Context, c *runner.Config) error {
	w := newWorld(c, a.getenv)
	d, err := a.deployment(ctx, w)
	if err != nil {
		err = errors.New(w.redactor.Redact(err.Error()))
		if d.Unattended {
			return a.refused(runner.Refuse(ctx, *d, err), err)
		}
		return usageError(err)
	}
	defer a.showProgress(d.Monitor)()
	report, err := runner.Run(ctx, *d)
	if err != nil {
		return a.refused(report, errors.New(w.redactor.Redact(err.Error())))
	}
	if code := report.Verdict.ExitCode(); code != exitComplete {
		return &codeError{code: code}
	}
	return nil
}

// deployment puts together what one run needs. It reads secrets but writes
// nothing. With an error comes what there is, enough to report it.
func (a *app) deployment(ctx context.Context, w *world) (*runner.Deployment, error) {
	c, start := w.config, a.now().UTC()
	d := &runner.Deployment{
		Name: string(c.Name), RunID: runner.NewRunID(start, a.hostname), Version: mayflyVersion(), Host: a.hostname,
		Out: a.stdout, Redact: w.redactor.Redact, Now: a.now, Monitor: &runner.Monitor{},
	}
	a.instance.describe(d)
	d.Stale = staleAfter(c.Schedule, start)
	if a.debug {
		d.Console, d.Level = a.stderr, slog.LevelDebug
	}
	if c.Schedule.Deadline > 0 {
		d.Deadline = start.Add(time.Duration(c.Schedule.Deadline))
	}
	a.ender.describe(d, c)
	for _, next := range c.Schedule.Start.Next(start, c.Schedule.Timezone.Location(), 1) {
		d.Next = next
	}
	publisher, err := w.publisher(ctx)
	if err != nil {
		return d, fmt.Errorf("find the topic to publish to: %w", err)
	}
	d.Publisher = publisher
	st, err := w.store(ctx)
	if err != nil {
		return d, fmt.Errorf("open the store %s: %w", c.Store.URL, err)
	}
	d.Store = st
	if a.instance == nil { // a machine's only run there
		if start, err = a.ownSecond(ctx, st, d, start); err != nil {
			return d, err
		}
	}
	if dir, ok := dirOf(st.URL("")); ok {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			d.Remarks = append(d.Remarks, runner.Problem{
				Reason: "the store is new: its directory " + dir + " did not exist",
				Fix:    "nothing to do for a first run; else see that the disk is mounted",
			})
		}
	}
	secrets, err := w.secrets(ctx)
	if err != nil {
		return d, err
	}
	rt := httpTransport()
	for _, j := range c.Jobs {
		job, err := j.Config.New(w.env(j, d, start, secrets, rt))
		if err != nil {
			return d, fmt.Errorf("build job %s: %w", j.Name, err)
		}
		t := runner.Task{Name: string(j.Name), Prefix: string(j.Prefix), Timeout: time.Duration(j.Timeout), Job: job}
		if r, ok := job.(restorer); ok {
			t.Unit, t.Restore = r.Unit(), r.Restore
		}
		d.Tasks = append(d.Tasks, t)
	}
	return d, nil
}

// ownSecond waits for the next second if a run of this machine began in this
// one: a run is named after its second.
func (a *app) ownSecond(ctx context.Context, st store.Store, d *runner.Deployment, start time.Time) (time.Time, error) {
	const tries = 3
	for range tries {
		if _, err := st.Stat(ctx, "runs/"+d.RunID+"/started.json"); err != nil {
			return start, nil // what is wrong with the store, the run itself says
		}
		if err := wait(ctx, start.Truncate(time.Second).Add(time.Second).Sub(start)); err != nil {
			return start, err
		}
		start = a.now().UTC()
		d.RunID = runner.NewRunID(start, a.hostname)
	}
	return start, nil
}

// A restorer is a job whose items can be got back one by one.
type restorer interface {
	// Unit is what an item is, plural: "repositories".
	Unit() string
	// Restore says how one of the items is got back with stock tools.
	Restore(runner.JobReport) string
}
