package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/ending"
)

// Exit codes, documented in the README.
const (
	exitComplete    = 0
	exitFailed      = 1
	exitUsage       = 2 // bad usage or config; nothing was done
	exitPartial     = 3
	exitInterrupted = 4
)

// An app is the program with the outside world handed in.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	hostname       string

	poll time.Duration // between two looks at AWS; 0: as often as is good

	config string // --config
	quiet  bool   // --quiet
	debug  bool   // --verbose

	instance *instance // nil: this is no instance, or nobody has said so
	ender    *ender    // nil: the machine is not ended
	// machine hands out the means to end this machine, and is called only with
	// --end-instance; nil: there are none.
	machine func(ctx context.Context, told bool, instance func(context.Context) string) (*ending.Machine, error)
}

// A codeError carries the exit code of an error that has been explained.
type codeError struct {
	code int
	err  error // nil: nothing more to print
}

func (e *codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *codeError) Unwrap() error { return e.err }

// usageError marks bad usage or bad config: exit code 2.
func usageError(err error) error { return &codeError{exitUsage, err} }

// main runs the command line and returns the exit code.
func (a *app) main(ctx context.Context, args []string) int {
	// The runtime returns memory early: the promise is 64 MiB for any
	// repository, and a nano instance has 512 MB.
	if a.getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(48 << 20)
	}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitComplete
	}
	var coded *codeError
	if !errors.As(err, &coded) { // cobra's own: unknown flag or command, wrong arguments
		coded = &codeError{exitUsage, err}
	}
	if coded.err != nil {
		fmt.Fprintf(a.stderr, "mayfly: %v\n", coded.err)
	}
	return coded.code
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "mayfly",
		Short: "Work that a cloud instance does by itself and then disappears",
		Long: `Mayfly runs the jobs of one YAML file: on your own machine, or on a scheduled
cloud instance that reports and then ends itself.`,
		Example: `  mayfly init github --owner you --store file:///var/backups
  mayfly check
  mayfly run
  mayfly deploy`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	config := a.getenv("MAYFLY_CONFIG")
	if config == "" {
		config = defaultConfig
	}
	f := root.PersistentFlags()
	f.StringVarP(&a.config, "config", "c", config, "the config `FILE`, or s3://BUCKET/KEY; also from MAYFLY_CONFIG")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print the report only")
	f.BoolVarP(&a.debug, "verbose", "v", false, "print what happens in detail")
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddGroup(
		&cobra.Group{ID: "start", Title: "Start:"},
		&cobra.Group{ID: "aws", Title: "AWS:"},
		&cobra.Group{ID: "data", Title: "Data:"},
		&cobra.Group{ID: "hosts", Title: "Hosts:"},
		&cobra.Group{ID: "print", Title: "Print:"},
	)
	for _, c := range []*cobra.Command{newInitCmd(a), newCheckCmd(a), newRunCmd(a)} {
		c.GroupID = "start"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{newPlanCmd(a), newDeployCmd(a), newStartCmd(a), newStatusCmd(a), newLogsCmd(a), newDestroyCmd(a)} {
		c.GroupID = "aws"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{newListCmd(a), newRestoreCmd(a), newVerifyCmd(a)} {
		c.GroupID = "data"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{newPushCmd(a), newVolumeCmd(a)} {
		c.GroupID = "hosts"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{newUserdataCmd(a), newIAMCmd(a), newSchemaCmd(a), newVersionCmd(a), newCompletionCmd(a)} {
		c.GroupID = "print"
		root.AddCommand(c)
	}
	explainUsage(root)
	root.SetHelpCommandGroupID("print")
	return root
}

// pollEvery is the pause between two looks.
func (a *app) pollEvery(d time.Duration) time.Duration {
	if a.poll > 0 {
		return a.poll
	}
	return d
}
