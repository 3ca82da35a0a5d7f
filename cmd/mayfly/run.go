package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/secret"
	"mayfly/internal/store"
	"mayfly/runner"
)

func newRunCmd(a *app) *cobra.Command {
	var end, dry bool
	cmd := &cobra.Command{
		Use:   "run [JOB...]",
		Short: "Run the jobs now, on this machine",
		Long: `Run does the config's jobs one after the other on this machine, writes log
and report to the store, sends the report to whom the config names, and prints
it. With names of jobs it does those only. The machine goes on: only the boot
script of an instance passes --end-instance, which is refused anywhere else.

--dry-run asks each job what it would do, and does nothing: no lock, no report.

Exit codes: 0 complete, 1 failed, 2 bad usage or config (nothing was done),
3 partial (some items failed), 4 interrupted (a later run goes on).`,
		Example: `  mayfly run
  mayfly run -c hosts.yaml --quiet
  mayfly run --dry-run documents`,
		RunE: func(cmd *cobra.Command, jobs []string) error {
			if end && (dry || len(jobs) > 0) {
				return usageError(errors.New("--end-instance runs all jobs, for real"))
			}
			if end {
				return a.runAndEnd(cmd.Context())
			}
			c, err := a.loadConfig(cmd.Context())
			if err != nil {
				return err
			}
			if err := only(c, jobs); err != nil {
				return usageError(err)
			}
			if dry {
				return a.dryRun(cmd.Context(), c)
			}
			return a.run(cmd.Context(), c)
		},
	}
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false, "say what would be done, and do nothing")
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
		runner.Unstarted(ctx, *d, err)
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
	// Before anything else can fail: they are to hear of that, each whether or
	// not the others can be found.
	publisher, err := w.publisher(ctx)
	if err != nil {
		err = fmt.Errorf("find the topic to publish to: %w", err)
	} else {
		d.Publisher = publisher
	}
	told, terr := w.secrets(ctx, c.Notify.Secrets())
	if terr == nil {
		d.Hooks, terr = w.hooks(told)
	}
	if err := errors.Join(err, terr); err != nil {
		return d, err
	}
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
	secrets, err := w.secrets(ctx, c.Secrets())
	if err != nil {
		return d, err
	}
	d.Remarks = append(d.Remarks, weak(c.Secrets(), secrets)...)
	d.Tasks, err = a.tasks(ctx, w, d, start, secrets)
	return d, err
}

// weak names those of refs that are too short to be hidden well.
func weak(refs []secret.Ref, values map[secret.Ref]secret.Value) (list []runner.Problem) {
	for _, ref := range refs {
		if v, ok := values[ref]; ok && secret.Weak(v) {
			list = append(list, runner.Problem{
				Reason: fmt.Sprintf("the secret %s has fewer than 8 characters and cannot be hidden well: words that have it in them are hidden too, in log and report, and tell what it is", ref),
				Fix:    "use a longer one",
			})
		}
	}
	return list
}

// tasks builds the jobs.
func (a *app) tasks(ctx context.Context, w *world, d *runner.Deployment, start time.Time, secrets map[secret.Ref]secret.Value) (list []runner.Task, err error) {
	rt := httpTransport()
	for _, j := range w.config.Jobs {
		env := w.env(j, d, start, secrets, rt)
		env.Instance = a.instance != nil
		if len(j.Config.Needs().Volumes) > 0 {
			m, err := w.machine(ctx)
			if err != nil {
				return nil, fmt.Errorf("build job %s: %w", j.Name, err)
			}
			env.Volumes, env.Addresses = m, m
		}
		job, err := j.Config.New(env)
		if err != nil {
			return nil, fmt.Errorf("build job %s: %w", j.Name, err)
		}
		t := runner.Task{Name: string(j.Name), Prefix: string(j.Prefix), Timeout: time.Duration(j.Timeout), Job: job}
		if r, ok := job.(restorer); ok {
			t.Unit, t.Restore = r.Unit(), r.Restore
		}
		if s, ok := job.(stopper); ok {
			t.Stop = s.StopTime()
		}
		if l, ok := job.(laster); ok {
			t.Last = l.Last
		}
		if w, ok := job.(worker); ok {
			t.Ageless = w.Ageless()
		}
		if b, ok := job.(bringer); ok {
			t.To = b.Brings()
		}
		if r, ok := job.(reader); ok && r.ReadsOnly() {
			t.Prefix = "" // it leaves no unfinished uploads, and may not look for them
		}
		list = append(list, t)
	}
	return list, nil
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

// A stopper is a job that needs more time than others to stop.
type stopper interface{ StopTime() time.Duration }

// A laster is a job with something to do when all else is over.
type laster interface {
	Last(ctx context.Context) error
}

// A worker is a job whose items may be work that is done, and no backups.
type worker interface {
	// Ageless says that they are: see runner.Task.
	Ageless() bool
}

// A reader is a job that may write nothing to the store.
type reader interface {
	// ReadsOnly says that it does not, and that its role may not.
	ReadsOnly() bool
}

// A bringer is a job that may bring files from the store to this machine.
type bringer interface {
	// Brings is the directory that they are brought to, "" if none are.
	Brings() string
}
