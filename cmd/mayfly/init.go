package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// defaultConfig is the config that every command reads when none is named.
const defaultConfig = "mayfly.yaml"

func newInitCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "init",
		Short:   "Write a first config",
		Example: "  mayfly init github --owner octocat\n  mayfly init sync --from /srv/documents",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("say what the config is for: mayfly init github --owner you, mayfly init sync --from DIRECTORY, mayfly init receive --host NAME, or on a server that pushes mayfly init push")
		},
	}
	c.AddCommand(newInitGithubCmd(a), newInitSyncCmd(a), newInitReceiveCmd(a), newInitPushCmd(a))
	return c
}

func newInitGithubCmd(a *app) *cobra.Command {
	var s starter
	c := &cobra.Command{
		Use:   "github",
		Short: "Write a config that backs up GitHub repositories",
		Example: `  mayfly init github --owner octocat
  mayfly init github --owner me --store s3://onlinebackupbucket --region eu-west-1 --email you@example.com --start "0 17 * * FRI"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.initOutput(cmd, &s); err != nil {
				return err
			}
			return a.initGithub(s)
		},
	}
	f := c.Flags()
	f.StringSliceVar(&s.owners, "owner", nil, "`USER` or organization to back up, or me: all that your token can read; may be repeated")
	s.flags(f, "github-backup")
	f.StringVar(&s.store, "store", "", storeUsage)
	f.StringVar(&s.token, "token", "", "where the token is kept: env:NAME, file:/path, ssm:/name or secretsmanager:name; never the token itself (with --owner me by default env:GITHUB_TOKEN, or ssm:/NAME/github-token for an instance)")
	s.scheduleFlags(f, "when an instance does it, in `CRON`'s five fields, like \"0 17 * * FRI\"")
	return c
}

func newInitSyncCmd(a *app) *cobra.Command {
	var s starter
	c := &cobra.Command{
		Use:   "sync",
		Short: "Write a config that keeps a directory in a store",
		Example: `  mayfly init sync --from /srv/documents
  mayfly init sync --from /srv/documents --store s3://documentsbucket --region eu-west-1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.initOutput(cmd, &s); err != nil {
				return err
			}
			if s.from == "" {
				return usageError(errors.New("init sync: which directory? add --from DIRECTORY"))
			}
			dir, err := filepath.Abs(s.from)
			if err != nil {
				return usageError(fmt.Errorf("init sync: find the directory %s: %w: write its whole path", s.from, err))
			}
			s.from = dir
			return a.initConfig("sync", s)
		},
	}
	f := c.Flags()
	f.StringVar(&s.from, "from", "", "the `DIRECTORY` to keep")
	s.flags(f, "files-backup")
	f.StringVar(&s.store, "store", "", storeUsage)
	return c
}

const storeUsage = "where to keep it: s3://BUCKET or file:///DIRECTORY (default a directory beside the config)"

// flags adds what every kind of config can be told; name is the deployment's
// default.
func (s *starter) flags(f *pflag.FlagSet, name string) {
	f.StringVar(&s.name, "name", name, "`NAME` of the deployment")
	f.StringVar(&s.region, "region", "", "AWS `REGION`, needed for s3:// and for e-mail")
	f.StringVar(&s.email, "email", "", "`ADDRESS` that gets the report")
	f.StringVarP(&s.output, "output", "o", defaultConfig, "`FILE` to write")
}

// scheduleFlags adds those of a schedule.
func (s *starter) scheduleFlags(f *pflag.FlagSet, startUsage string) {
	f.StringVar(&s.start, "start", "", startUsage)
	f.StringVar(&s.zone, "timezone", "", "the time zone of --start, an IANA `NAME` like Europe/Berlin (default UTC)")
}

// initOutput takes --config, which every other command reads the file by, for
// --output.
func (a *app) initOutput(cmd *cobra.Command, s *starter) error {
	switch f := cmd.Flags(); {
	case !f.Changed("config"):
	case strings.HasPrefix(a.config, "s3://"):
		return usageError(fmt.Errorf("init %s: --config %s: a new config is written to a file: name one, check and deploy it", cmd.Name(), a.config))
	case f.Changed("output") && a.config != s.output:
		return usageError(fmt.Errorf("init %s: --config and --output name two files: leave one out", cmd.Name()))
	default:
		s.output = a.config
	}
	return nil
}

// initGithub writes the config for repositories.
func (a *app) initGithub(s starter) error {
	if len(s.owners) == 0 {
		return usageError(errors.New("init github: whose repositories? add --owner with a user or organization, or --owner me"))
	}
	return a.initConfig("github", s)
}

// initConfig writes the config, once it has passed the check.
func (a *app) initConfig(kind string, s starter) error {
	if s.zone != "" && s.start == "" {
		return usageError(errors.New("init " + kind + ": --timezone is that of --start: add it, like --start \"0 17 * * FRI\""))
	}
	if s.store == "" {
		dir, err := filepath.Abs(filepath.Join(filepath.Dir(s.output), "backups"))
		if err != nil {
			return usageError(fmt.Errorf("init "+kind+": find this directory: %w: say where to keep the backups with --store", err))
		}
		s.store = "file://" + filepath.ToSlash(dir)
	}
	if s.region == "" {
		// Written down, because the instance will not have this environment.
		s.region = cmp.Or(a.getenv("AWS_REGION"), a.getenv("AWS_DEFAULT_REGION"))
	}
	if s.region == "" && (s.email != "" || strings.HasPrefix(s.store, "s3://")) {
		return usageError(errors.New("init " + kind + ": buckets and e-mail topics are in a region: add --region, like eu-west-1"))
	}
	if s.start != "" && !strings.HasPrefix(s.store, "s3://") {
		return usageError(errors.New("init " + kind + ": --start is for an instance, which needs a bucket: add --store s3://BUCKET"))
	}
	if s.start != "" && s.email == "" {
		return usageError(errors.New("init " + kind + ": nobody would hear of a run that an instance could not start: add --email with --start"))
	}
	text := s.text()
	if _, err := a.parseConfig(s.output, []byte(text)); err != nil {
		return err
	}
	if err := createNew(s.output, text); err != nil {
		return usageError(err)
	}
	flag := ""
	if s.output != defaultConfig {
		flag = " -c " + shellWord(s.output)
	}
	fmt.Fprintf(a.stdout, "Wrote %s.\nNext: mayfly check%s\n", s.output, flag)
	return nil
}

// createNew writes a file that must not exist yet.
func createNew(name, text string) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("write config: %s exists and is kept: name another file with --output", name)
	}
	if err != nil {
		return fmt.Errorf("write config: %w: name a file in a directory that you may write to with --output", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = fmt.Errorf("write config: %w: free some space and try again", errors.Join(err, os.Remove(name)))
		}
	}()
	_, err = f.WriteString(text)
	return err
}
