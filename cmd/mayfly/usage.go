package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mayfly/internal/strictyaml"
)

// explainUsage has a command, and those below it, say of a wrong command line
// what is wrong and where the right one stands.
func explainUsage(c *cobra.Command) {
	c.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: %s --help", err, cmd.CommandPath())
	})
	if args := c.Args; args != nil {
		c.Args = func(cmd *cobra.Command, given []string) error {
			if err := args(cmd, given); err != nil {
				return wrongArgs(cmd, given, err)
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		explainUsage(sub)
	}
}

// wrongArgs says in a command's own words what cobra says of its arguments.
func wrongArgs(cmd *cobra.Command, given []string, err error) error {
	help := cmd.CommandPath() + " --help"
	if cmd.HasSubCommands() && len(given) > 0 {
		var names []string
		for _, sub := range cmd.Commands() {
			names = append(names, sub.Name())
		}
		if near := strictyaml.Nearest(given[0], names); near != "" {
			return fmt.Errorf("unknown command %q for %q: did you mean %s?", given[0], cmd.CommandPath(), near)
		}
		return fmt.Errorf("unknown command %q for %q: %s", given[0], cmd.CommandPath(), help)
	}
	name := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
	if len(given) > 0 && strings.HasPrefix(err.Error(), "unknown command") {
		if slices.ContainsFunc([]string{".yaml", ".yml"}, func(end string) bool { return strings.HasSuffix(given[0], end) }) {
			help = "a config is named with --config: " + help
		}
		return fmt.Errorf("%s takes no argument, and %q is one: %s", name, given[0], help)
	}
	if strings.Contains(err.Error(), cmd.CommandPath()) {
		return fmt.Errorf("%w: %s", err, help)
	}
	return fmt.Errorf("%s %w: %s", name, err, help)
}
