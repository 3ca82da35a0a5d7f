package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	dirsync "mayfly/jobs/sync"
	"mayfly/runner"
)

// only leaves of c's jobs those that are named; none names all.
func only(c *runner.Config, names []string) error {
	if len(names) == 0 {
		return nil
	}
	var all, unknown []string
	for _, j := range c.Jobs {
		all = append(all, string(j.Name))
	}
	for _, n := range names {
		if !slices.Contains(all, n) {
			unknown = append(unknown, n)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("there is no job %s: the config has %s", strings.Join(unknown, ", "), strings.Join(all, ", "))
	}
	c.Jobs = slices.DeleteFunc(c.Jobs, func(j runner.JobSpec) bool { return !slices.Contains(names, string(j.Name)) })
	return nil
}

// A previewer is a job that can say what it would do.
type previewer interface {
	// Preview writes one line for each thing that Run would do now, and a sum.
	// It changes nothing, and may read everything.
	Preview(ctx context.Context, out io.Writer) error
}

// dryRun asks the jobs of c what they would do. One that cannot be asked is no
// reason not to ask the next.
func (a *app) dryRun(ctx context.Context, c *runner.Config) error {
	w := newWorld(c, a.getenv)
	d, err := a.deployment(ctx, w)
	if err != nil {
		return usageError(errors.New(w.redactor.Redact(err.Error())))
	}
	a.unbound()
	failed, partial := false, false
	for i, t := range d.Tasks {
		p, ok := t.Job.(previewer)
		if !ok {
			fmt.Fprintf(a.stdout, "%s: a %s job does not know before it runs\n", t.Name, c.Jobs[i].Kind)
			continue
		}
		out := &prefixed{to: a.stdout, with: t.Name + ": ", redact: w.redactor.Redact}
		if err := p.Preview(ctx, out); err != nil {
			if !errors.Is(err, dirsync.ErrSome) {
				failed = true
			}
			partial = true
			fmt.Fprintf(a.stderr, "mayfly: %s: %s\n", t.Name, w.redactor.Redact(err.Error()))
		}
		if ctx.Err() != nil {
			return &codeError{code: exitInterrupted}
		}
	}
	if failed {
		return &codeError{code: exitFailed}
	}
	if partial {
		return &codeError{code: exitPartial}
	}
	return nil
}

// A prefixed writer puts something before each line. Each Write is whole lines.
type prefixed struct {
	to     io.Writer
	with   string
	redact func(string) string
}

func (p *prefixed) Write(b []byte) (int, error) {
	for line := range strings.Lines(p.redact(string(b))) {
		if _, err := fmt.Fprintf(p.to, "%s%s\n", p.with, strings.TrimSuffix(line, "\n")); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}
