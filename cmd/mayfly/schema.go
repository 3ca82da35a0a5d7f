package main

import (
	"github.com/spf13/cobra"

	"mayfly/runner"
)

func newSchemaCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of the config, for editors",
		Long: `Schema prints the JSON schema (draft 2020-12) of the config. Editors that know
the YAML language server complete and check a config that begins with

  # yaml-language-server: $schema=mayfly.schema.json`,
		Example: "  mayfly schema > mayfly.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.stdout.Write(runner.Schema(a.parseOptions()))
			return err
		},
	}
}
