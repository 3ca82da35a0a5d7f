// Package jobs knows every kind of job there is.
package jobs

import (
	"mayfly/jobs/command"
	"mayfly/jobs/github"
	"mayfly/jobs/receive"
	dirsync "mayfly/jobs/sync"
	"mayfly/runner"
)

// New returns an empty config of a kind, nil when there is no such kind. The
// kind's name is its key in the config.
func New(kind string) runner.JobConfig {
	switch kind {
	case "github":
		return new(github.Config)
	case "command":
		return new(command.Config)
	case "sync":
		return new(dirsync.Config)
	case "receive":
		return new(receive.Config)
	}
	return nil
}

// Names are the kinds that New knows.
func Names() []string { return []string{"github", "command", "sync", "receive"} }
