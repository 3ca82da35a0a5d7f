package main

import (
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"mayfly/internal/secret"
	"mayfly/runner"
)

func newCheckCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the config and build every job, without running it",
		Long: `Check reads the config, reports every mistake with its place and what would
be right, and builds every job without running it. It reads no secret
and asks no service, S3 excepted when the config itself is there.`,
		Example: `  mayfly check
  mayfly check -c hosts.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.loadConfig(cmd.Context())
			if err != nil {
				return err
			}
			return a.check(c)
		},
	}
}

// check builds the jobs and says what would be done.
func (a *app) check(c *runner.Config) error {
	does := map[runner.JobName]string{}
	writes := false // to the store, beside reports
	for _, j := range c.Jobs {
		job, err := j.Config.New(a.checkEnv(j))
		if err != nil {
			return usageError(fmt.Errorf("build job %s: %w", j.Name, err))
		}
		r, ok := job.(reader)
		readsOnly := ok && r.ReadsOnly()
		where := fmt.Sprintf("written to %s/", j.Prefix)
		if b, ok := job.(bringer); ok && b.Brings() != "" {
			where = fmt.Sprintf("brings %s/ of the store to %s", j.Prefix, b.Brings())
		} else if readsOnly {
			where = "keeps nothing in the store"
		}
		does[j.Name] = where
		writes = writes || !readsOnly && len(j.Config.Needs().Volumes) == 0
	}
	hosts := slices.ContainsFunc(c.Jobs, func(j runner.JobSpec) bool { return len(j.Config.Needs().Volumes) > 0 })
	what := "everything"
	switch {
	case !writes:
		what = "its reports"
	case hosts:
		what = "everything but hosts' data"
	}
	fmt.Fprintf(a.stdout, "%s is good: %s keeps %s in %s.\n", a.config, c.Name, what, c.Store.URL)
	for _, j := range c.Jobs {
		if n := len(j.Config.Needs().Volumes); n > 0 {
			fmt.Fprintf(a.stdout, "  job %s: %s, %s, each to a volume of its own\n", j.Name, j.Kind, runner.FormatCount(n, "hosts"))
		} else {
			fmt.Fprintf(a.stdout, "  job %s: %s, %s\n", j.Name, j.Kind, does[j.Name])
		}
		for _, ref := range j.Config.Needs().Secrets {
			fmt.Fprintf(a.stdout, "    needs the secret %s\n", ref)
		}
	}
	for _, ref := range c.Notify.Secrets() {
		fmt.Fprintf(a.stdout, "  notify: needs the secret %s\n", ref)
	}
	s := c.Schedule
	if err := scheduleError(c, a.now()); err != nil {
		return usageError(err)
	}
	for _, t := range s.Start.Next(a.now(), s.Timezone.Location(), 1) {
		fmt.Fprintf(a.stdout, "  next start: %s, for %s at most\n", t.Format("Mon 2 Jan 2006 15:04 MST"), s.Deadline)
	}
	if !s.Start.IsZero() {
		if err := instanceReady(c); err != nil {
			fmt.Fprintf(a.stderr, "Note: it has a schedule, and %v\n", err)
			fmt.Fprintf(a.stdout, "Next: mayfly run%s, for a run here\n", a.configFlag())
			return nil
		}
		if hosts { // which come to an instance alone
			fmt.Fprintf(a.stdout, "Next: mayfly plan%s\n", a.configFlag())
			return nil
		}
		fmt.Fprintf(a.stdout, "Next: mayfly plan%s, for a run on an instance; mayfly run%[1]s, for one here\n", a.configFlag())
		return nil
	}
	if hosts {
		fmt.Fprintf(a.stdout, "Next: mayfly plan%s\n", a.configFlag())
		return nil
	}
	fmt.Fprintf(a.stdout, "Next: mayfly run%s\n", a.configFlag())
	return nil
}

// checkEnv is an Env without a world behind it: building a job does no I/O.
func (a *app) checkEnv(j runner.JobSpec) runner.Env {
	hostKeys := j.Config.Needs().HostKeys
	return runner.Env{
		Job: string(j.Name), Prefix: string(j.Prefix), RunID: "check", Start: a.now(),
		Secret: func(r secret.Ref) (secret.Value, error) {
			if slices.Contains(hostKeys, r) { // a job reads it before it runs
				return anyHostKey()
			}
			return secret.New("not read by check"), nil
		},
		Redact:  func(s string) string { return s },
		Hide:    func(secret.Value) {},
		HTTP:    http.DefaultTransport,
		Getenv:  a.getenv,
		Version: mayflyVersion(),
	}
}

// anyHostKey stands in for a key that is not read: nothing ever serves with it.
func anyHostKey() (secret.Value, error) {
	block, err := ssh.MarshalPrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), "")
	if err != nil {
		return secret.Value{}, err
	}
	return secret.New(string(pem.EncodeToMemory(block))), nil
}

// configFlag is what to add to a suggested command so that it reads the same
// config.
func (a *app) configFlag() string {
	if a.config == defaultConfig || a.config == a.getenv("MAYFLY_CONFIG") {
		return ""
	}
	return " -c " + shellWord(a.config)
}
