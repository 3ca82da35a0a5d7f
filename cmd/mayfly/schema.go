package main

import (
	"github.com/spf13/cobra"

	"mayfly/push"
	"mayfly/runner"
)

func newSchemaCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema [push]",
		Short: "Print the JSON schema of the config, for editors",
		Long: `Schema prints the JSON schema (draft 2020-12) of the config, or of push.yaml.
Editors that know the YAML language server complete and check a config that
begins with

  # yaml-language-server: $schema=mayfly.schema.json`,
		Example:   "  mayfly schema > mayfly.schema.json\n  mayfly schema push > push.schema.json",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"push"},
		RunE: func(_ *cobra.Command, args []string) error {
			schema := push.Schema
			if len(args) == 0 {
				schema = func() []byte { return runner.Schema(a.parseOptions()) }
			}
			_, err := a.stdout.Write(schema())
			return err
		},
	}
}
