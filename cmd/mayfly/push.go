package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/remote"
	"mayfly/internal/strictyaml"
	"mayfly/push"
	"mayfly/runner"
)

// A pusher is what push is told on the command line.
type pusher struct {
	wait          string
	dryRun, print bool
	json          bool
	address       string
	bwlimit       string
	maxDelete     int
}

func newPushCmd(a *app) *cobra.Command {
	var p pusher
	c := &cobra.Command{
		Use:   "push",
		Short: "Push this machine's files to a receiver",
		Long: `Push sends what push.yaml names to a receiver, with this machine's own ssh and
rsync, which it needs. It starts the deployment where the config says so, waits
for the window, trusts the receiver's key and no other, goes on where it was cut
off, and says done. A source that is missing, empty or not mounted keeps
everything back: the backup would be emptied.

The config is /etc/mayfly/push.yaml, or ~/.config/mayfly/push.yaml for others
than root; mayfly init push writes one.

Exit codes: 0 all is there, 1 failed: the window did not open, or the receiver
refused it; 2 bad usage or config, or a source, a key or a program is missing:
nothing was sent; 3 some files could not be sent; 4 interrupted: the next push
goes on.`,
		Example: `  mayfly push
  mayfly push --wait 2h -c /etc/mayfly/push.yaml
  mayfly push --print`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("config") {
				a.config = a.pushConfig()
			}
			return a.push(cmd.Context(), p)
		},
	}
	f := c.Flags()
	f.StringVar(&p.wait, "wait", "", "for how long to try when the window is not open, a `TIME` like 30m (default the config's)")
	f.BoolVarP(&p.dryRun, "dry-run", "n", false, "send nothing, and say what would be sent; the window has to be open")
	f.BoolVar(&p.print, "print", false, "print the exact commands as a script, and do nothing")
	f.StringVar(&p.address, "address", "", "the receiver is at `HOST`, whatever the config says")
	f.StringVar(&p.bwlimit, "bwlimit", "", "at most so much a second, a `RATE` like 500K or 10M (default the config's)")
	f.IntVar(&p.maxDelete, "max-delete", 0, "this time delete up to `N` files of one source that are gone here (default the config's)")
	f.BoolVar(&p.json, "json", false, "print the result as JSON")
	return c
}

// pushConfig is where the config of push is when nobody says.
func (a *app) pushConfig() string {
	if home := a.getenv("HOME"); os.Geteuid() != 0 && home != "" {
		return filepath.Join(cmp.Or(a.getenv("XDG_CONFIG_HOME"), filepath.Join(home, ".config")), "mayfly", "push.yaml")
	}
	return "/etc/mayfly/push.yaml"
}

// loadPush reads and checks a push.yaml. Every mistake is printed; the error
// then only counts them. Exit code 2.
func (a *app) loadPush(ctx context.Context) (*push.Config, error) {
	name, src, err := a.readConfig(ctx)
	if missing := (*noConfigError)(nil); errors.As(err, &missing) {
		return nil, usageError(fmt.Errorf("read config: there is no %s: mayfly init push writes one, or name yours with --config", a.config))
	}
	if err != nil {
		return nil, usageError(err)
	}
	c, err := push.Parse(name, src)
	if ms, ok := errors.AsType[strictyaml.Mistakes](err); ok {
		fmt.Fprintln(a.stderr, ms)
		return nil, usageError(fmt.Errorf("%s in %s: nothing was sent", runner.FormatCount(len(ms), "mistakes"), name))
	}
	if err != nil {
		return nil, usageError(err)
	}
	return c, nil
}

func (a *app) push(ctx context.Context, o pusher) error {
	c, err := a.loadPush(ctx)
	if err != nil {
		return err
	}
	var wait runner.Duration
	if o.wait != "" {
		if err := wait.UnmarshalText([]byte(o.wait)); err != nil {
			return usageError(fmt.Errorf("--wait %s: %w", o.wait, err))
		}
	}
	if o.bwlimit != "" {
		if err := c.BWLimit.UnmarshalText([]byte(o.bwlimit)); err != nil {
			return usageError(fmt.Errorf("--bwlimit %s %w", o.bwlimit, err))
		}
	}
	if o.maxDelete < 0 {
		return usageError(fmt.Errorf("--max-delete %d: write how many files may go", o.maxDelete))
	}
	c.MaxDelete = cmp.Or(o.maxDelete, c.MaxDelete)
	if o.print {
		r, err := remote.FindRsync(ctx)
		if err != nil {
			r = remote.Modern()
		}
		return c.Print(a.stdout, r, o.address)
	}
	if o.address != "" {
		c.Address = push.Address{Host: o.address}
	}
	view := newPushView(a)
	p := &push.Pusher{
		Config: c, Getenv: a.getenv, Wait: time.Duration(wait), DryRun: o.dryRun, Verbose: a.debug,
		Find: a.findReceiver(c), Say: view.say, Progress: view.progress, Errors: view,
	}
	if c.Start != nil && !o.dryRun {
		p.Start = func(ctx context.Context) error { return a.startFor(ctx, c) }
	}
	r, err := p.Run(ctx)
	view.end()
	if o.json {
		if jerr := json.NewEncoder(a.stdout).Encode(r); jerr != nil {
			return errors.Join(err, jerr)
		}
	}
	switch {
	case errors.Is(err, push.ErrRefused):
		return usageError(err)
	case err != nil:
		return asFailed(err)
	case !o.json:
		a.printPushed(r, o.dryRun)
	}
	return pushCode(r)
}

// pushCode is the exit code of a push that was begun.
func pushCode(r push.Result) error {
	switch r.Verdict {
	case push.Complete:
		return nil
	case push.Partial:
		return &codeError{exitPartial, nil}
	case push.Interrupted:
		return &codeError{exitInterrupted, nil}
	}
	return &codeError{exitFailed, nil}
}

func (a *app) printPushed(r push.Result, dryRun bool) {
	told := r.Problem == ""
	for _, s := range r.Sources {
		told = told || s.Problem != ""
		what := fmt.Sprintf("%s, %s of %s", runner.FormatCount(int(s.Files), "files"), runner.FormatSize(s.Bytes), runner.FormatSize(s.Total))
		if s.Deleted > 0 {
			what += fmt.Sprintf(", %d deleted there", s.Deleted)
		}
		if s.Tries > 1 {
			what += fmt.Sprintf(", in %d tries", s.Tries)
		}
		if s.Verdict != push.Complete {
			what = string(s.Verdict) + ": " + s.Problem
		}
		if !a.quiet || s.Verdict != push.Complete {
			fmt.Fprintf(a.stdout, "%s: %s\n", s.Source, what)
		}
	}
	if !told {
		fmt.Fprintf(a.stdout, "%s: %s: %s\n", r.Deployment, r.Verdict, r.Problem)
	}
	if dryRun && r.Verdict == push.Complete {
		fmt.Fprintln(a.stdout, "Nothing was sent: this was a dry run.")
		return
	}
	took := runner.FormatDuration(time.Duration(r.Seconds * float64(time.Second)))
	switch r.Verdict {
	case push.Complete:
		if !a.quiet {
			fmt.Fprintf(a.stdout, "Pushed %s to %s in %s.\n", r.Host, r.Deployment, took)
		}
	case push.Partial:
		fmt.Fprintf(a.stdout, "Pushed %s to %s in %s, in part: see above.\n", r.Host, r.Deployment, took)
	case push.Interrupted:
		fmt.Fprintf(a.stdout, "Interrupted after %s. The next push goes on.\n", took)
	default:
		fmt.Fprintf(a.stdout, "The push of %s to %s failed after %s. What was there is there.\n", r.Host, r.Deployment, took)
	}
}
