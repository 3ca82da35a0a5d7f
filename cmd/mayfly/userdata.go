package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly/runner"
	"mayfly/userdata"
)

// A userdataOptions is what mayfly userdata is asked for.
type userdataOptions struct {
	upload    bool
	binaries  string
	binaryURL string
}

func newUserdataCmd(a *app) *cobra.Command {
	var o userdataOptions
	c := &cobra.Command{
		Use:   "userdata",
		Short: "Print the user data with which an instance runs the config",
		Long: `Userdata prints what a launch template or launch configuration takes as user
data, for Amazon Linux 2023, Debian and Ubuntu, x86 and arm64. The instance
first arms its own power-off at the deadline; then it fetches mayfly and the
config from the store, checks both against the hashes in the user data, runs
the jobs, reports, and ends itself.

With --upload mayfly and the config are first put into the store's admin/
folder, under their hashes, and read back. What is there is never replaced: user
data in use goes on working. A changed config, or another mayfly, is new user
data.

AWS_ENDPOINT_URL and its kin, where set, are written into it.

Exit codes: 0 printed, 1 not uploaded, 2 bad usage or config.`,
		Example: `  mayfly userdata --upload > user-data.txt
  mayfly userdata --upload --binaries dist > user-data.txt
  mayfly userdata --binary-url 'https://example.com/mayfly-linux-{arch}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, src, err := a.loadSource(cmd.Context())
			if err != nil {
				return err
			}
			return a.userdata(cmd.Context(), c, src, o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.upload, "upload", false, "put mayfly and the config into the store first")
	f.StringVar(&o.binaries, "binaries", "", "`DIR` with mayfly-linux-amd64 and mayfly-linux-arm64 (default dist, else beside this program, else this program alone)")
	f.StringVar(&o.binaryURL, "binary-url", "", "fetch mayfly from this https `URL`, {arch} in it being amd64 or arm64, not from the store")
	return c
}

// userdata prints the user data for c, whose text is src.
func (a *app) userdata(ctx context.Context, c *runner.Config, src []byte, o userdataOptions) error {
	if err := instanceReady(c); err != nil {
		return usageError(err)
	}
	programs, err := findPrograms(o.binaries)
	if err != nil {
		return usageError(err)
	}
	v := a.userdataValues(c, src, programs, o)
	data, err := userdata.Render(v)
	if err != nil {
		return usageError(err)
	}
	if o.upload {
		if o.binaryURL != "" {
			programs = nil
		}
		if err := a.uploadAdmin(ctx, c, src, programs); err != nil {
			return &codeError{exitFailed, err}
		}
	}
	if _, err := a.stdout.Write(data); err != nil {
		return &codeError{exitFailed, fmt.Errorf("print the user data: %w", err)}
	}
	a.afterUserdata(v, len(data), o)
	return nil
}

// instanceReady says everything at once that the config lacks for a run on an
// instance, where this machine's files and environment are not.
func instanceReady(c *runner.Config) error {
	var lacks []string
	if !c.Store.IsS3() {
		lacks = append(lacks, fmt.Sprintf("store: %s would be a directory of the instance, gone with it: write s3://BUCKET", c.Store.URL))
	}
	if c.Schedule.Deadline == 0 {
		lacks = append(lacks, "schedule.deadline: missing: an instance must know when it ends whatever happens: add deadline: 2h")
	}
	if c.Notify.Topic == "" && len(c.Notify.Email) == 0 {
		lacks = append(lacks, "notify: missing: nobody would hear of a run that could not start: add notify: {email: [you@example.com]}")
	}
	for _, ref := range c.Notify.Secrets() {
		if ref.Scheme == "env" || ref.Scheme == "file" {
			lacks = append(lacks, fmt.Sprintf("notify: %s is on this machine: keep the address where the instance can read it: ssm:/%s/NAME or secretsmanager:NAME", ref, c.Name))
		}
	}
	for _, j := range c.Jobs {
		for _, ref := range j.Config.Needs().Secrets {
			if ref.Scheme == "env" {
				lacks = append(lacks, fmt.Sprintf("job %s: %s is of this machine's environment: keep the secret where the instance can read it: ssm:/%s/NAME or secretsmanager:NAME", j.Name, ref, c.Name))
			}
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	return errors.New("this config cannot run on an instance:\n  " + strings.Join(lacks, "\n  "))
}

func (a *app) userdataValues(c *runner.Config, src []byte, programs []program, o userdataOptions) userdata.Values {
	bucket, prefix := c.Store.Bucket()
	v := userdata.Values{
		Name:   string(c.Name),
		Region: newWorld(c, a.getenv).region(),
		Store: userdata.Store{
			Bucket: bucket, Prefix: prefix, Region: string(c.Store.Region),
			Endpoint: c.Store.Endpoint, PathStyle: c.Store.PathStyle,
		},
		Config: sumOf(src), Binaries: map[string]string{}, BinaryURL: o.binaryURL,
		Topic: string(c.Notify.Topic), Deadline: time.Duration(c.Schedule.Deadline), KeepOnFailure: time.Duration(c.Keep),
		Environment: map[string]string{},
	}
	if len(c.Notify.Email) > 0 {
		v.TopicName = string(c.Name) // the deployment's own, as the run finds it
	}
	for _, p := range programs {
		v.Binaries[p.arch] = p.sum
	}
	packages := map[string]bool{}
	for _, j := range c.Jobs {
		needs := j.Config.Needs()
		for _, p := range needs.Packages {
			packages[p] = true
		}
		v.NoSSH = v.NoSSH || len(needs.Ingress) > 0
	}
	v.Packages = slices.Sorted(maps.Keys(packages))
	for _, name := range userdata.Passed() {
		if address := a.getenv(name); address != "" {
			v.Environment[name] = address
		}
	}
	return v
}

// afterUserdata says what was printed and what to do with it.
func (a *app) afterUserdata(v userdata.Values, size int, o userdataOptions) {
	if a.quiet {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(v.Environment)) {
		fmt.Fprintf(a.stderr, "From the environment: %s=%s\n", name, v.Environment[name])
	}
	fmt.Fprintf(a.stderr, "%d of %d bytes of user data, for %s instances.\n",
		size, userdata.MaxSize, strings.Join(slices.Sorted(maps.Keys(v.Binaries)), " and "))
	if !o.upload {
		fmt.Fprintf(a.stderr, "Next: mayfly userdata%s --upload > user-data.txt, which puts into the store what this fetches\n", a.configFlag())
		return
	}
	fmt.Fprintf(a.stderr, "Next: make it the user data of the launch template, and its role's policy what mayfly iam%s prints\n", a.configFlag())
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// sumAll is the SHA-256 in hex of all that r still holds.
func sumAll(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
