package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/store"
	"mayfly/runner"
)

func newLogsCmd(a *app) *cobra.Command {
	var address string
	var after string
	var follow bool
	c := &cobra.Command{
		Use:   "logs [RUN]",
		Short: "Print the log of a run, the last one by default",
		Long: `Logs prints what a run logged, from the store alone, and how the run went. With
--follow it goes on until the run has ended; a run writes its log every 15
seconds. Without RUN that is the run at work, else the next one; --after, with
it, means the first that begins later.

Exit codes: 0 printed, 1 the store cannot be read or has no such run, 2 bad
usage or config. With --follow it is the run's: 0 complete, 1 failed, 3 partial,
4 interrupted or cut off.`,
		Example: `  mayfly logs
  mayfly logs --follow
  mayfly logs --follow --after 20261120T165900Z
  mayfly logs 20261120T170412Z-i-0abc --store s3://onlinebackupbucket`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notEmpty(cmd); err != nil {
				return err
			}
			st, _, err := a.pastStore(cmd.Context(), address)
			if err != nil {
				return err
			}
			run := ""
			if len(args) == 1 {
				run = args[0]
			}
			l := &logReader{app: a, st: st, flags: a.storeFlags(address), every: a.pollEvery(followEvery)}
			if after != "" {
				if l.after, err = time.Parse(afterForm, after); err != nil || !follow || run != "" {
					return usageError(fmt.Errorf("logs: --after %s: write the time like %s, with --follow and without a RUN", after, afterForm))
				}
			}
			if err := l.find(cmd.Context(), run, follow); err != nil {
				return asFailed(err)
			}
			return asFailed(l.print(cmd.Context(), follow))
		},
	}
	c.Flags().StringVar(&address, "store", "", "the store's `URL`, instead of a config")
	c.Flags().StringVar(&after, "after", "", "with --follow: the first run that begins after this `TIME` (UTC, as runs are named)")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the run has ended")
	return c
}

// asFailed gives an error that has no exit code the code 1.
func asFailed(err error) error {
	if coded := new(codeError); err == nil || errors.As(err, &coded) {
		return err
	}
	return &codeError{exitFailed, err}
}

// followEvery is how often the store is asked for news of a run.
const followEvery = 3 * time.Second

// A logReader prints the log of one run.
type logReader struct {
	app   *app
	st    store.Store
	flags string // for suggested commands
	every time.Duration
	after time.Time // zero: the run at work, or the next

	run  string
	last int // the newest piece printed
}

// afterForm is a time as runs are named.
const afterForm = "20060102T150405Z"

// find settles which run it is: the newest when none is named. With follow it
// is the one at work, and else it waits for one.
func (l *logReader) find(ctx context.Context, run string, follow bool) error {
	if l.run = run; run != "" {
		return nil
	}
	var first []string // that were there at the first look
	for looks := 0; ; looks++ {
		const most = 20
		runs, err := runner.RunIDs(ctx, l.st, l.app.now(), most)
		switch {
		case err != nil:
			return err
		case !follow && len(runs) == 0:
			return fmt.Errorf("no run has been here yet (%s): start one with mayfly run", l.st.URL("runs"))
		case !follow:
			l.run = runs[0]
			return nil
		}
		if looks == 0 {
			first = runs
		}
		if l.run, err = l.toFollow(ctx, runs, first, looks); err != nil || l.run != "" {
			return err
		}
		if looks == 0 && len(runs) == 0 {
			fmt.Fprintf(l.app.stderr, "No run has been here yet (%s); waiting for one.\n", l.st.URL("runs"))
		} else if looks == 0 {
			fmt.Fprintf(l.app.stderr, "No run is at work; waiting for the next. The last one: mayfly logs %s%s\n", runs[0], l.flags)
		}
		if err := wait(ctx, l.every); err != nil {
			return err
		}
	}
}

// toFollow is which of the newest runs is meant, "" when it has not come yet:
// the first after l.after; else the one that is at work at the first look, or
// the first that was not there then.
func (l *logReader) toFollow(ctx context.Context, runs, first []string, looks int) (string, error) {
	for _, id := range slices.Backward(runs) {
		if l.after.IsZero() && !slices.Contains(first, id) || !l.after.IsZero() && (runner.Past{Run: id}).Began().After(l.after) {
			return id, nil
		}
	}
	if !l.after.IsZero() || looks > 0 || len(runs) == 0 {
		return "", nil
	}
	past, err := runner.ReadPast(ctx, l.st, runs[0])
	if err != nil || !past.Live {
		return "", err
	}
	return runs[0], nil
}

// print prints the pieces there are, with follow until the run has ended, and
// then how the run went.
func (l *logReader) print(ctx context.Context, follow bool) error {
	for {
		// The state first: what it says was written after all of its log.
		past, err := runner.ReadPast(ctx, l.st, l.run)
		if err != nil {
			return fmt.Errorf("%w: mayfly status%s lists the runs", err, l.flags)
		}
		if l.last, err = runner.WriteLog(ctx, l.app.stdout, l.st, l.run, l.last); err != nil {
			return err
		}
		if !follow || !past.Live {
			return l.end(past, follow)
		}
		if err := wait(ctx, l.every); err != nil {
			return err
		}
	}
}

// end prints how the run went; its exit code counts for who has waited for it.
func (l *logReader) end(p runner.Past, follow bool) error {
	code := exitInterrupted
	switch {
	case p.Report != nil:
		what := p.Report.Counts()
		if what != "" {
			what = ", " + what
		}
		fmt.Fprintf(l.app.stdout, "Run %s: %s%s.\n", p.Run, p.State(), what)
		code = p.Report.Verdict.ExitCode()
	case p.Live:
		fmt.Fprintf(l.app.stdout, "Run %s is still at work; follow it with mayfly logs %s --follow%s\n", p.Run, p.Run, l.flags)
	default:
		fmt.Fprintf(l.app.stdout, "Run %s was cut off: it left no report, and nothing of it is at work.\n", p.Run)
	}
	if follow && code != exitComplete {
		return &codeError{code: code}
	}
	return nil
}

// wait waits for d, or for ctx's end: whoever follows may stop at any time.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return &codeError{code: exitInterrupted}
	}
}
