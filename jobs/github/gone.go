package github

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/runner"
)

// goneShown is how many names the warning holds.
const goneShown = 10

// warnOfGone says which repositories have backups in the store and are no
// longer in the listing, which must be complete: they were deleted, renamed or
// taken from the token's sight, and their backups grow old. Nothing is ever
// deleted for that. Not meant are those that the config does not ask for:
// another owner's, unless me is among the owners, and what include or exclude
// keeps out by name.
func (j *job) warnOfGone(all []*repository, good map[string]time.Time) {
	listed := make(map[string]bool, len(all))
	for _, r := range all {
		listed[r.fullName] = true
	}
	var gone []string
	for name := range good {
		if !listed[name] && j.config.asksFor(name) {
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		return
	}
	slices.Sort(gone)
	names := strings.Join(gone[:min(len(gone), goneShown)], ", ")
	if more := len(gone) - goneShown; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	are := "repositories are in the store that are"
	if len(gone) == 1 {
		are = "repository is in the store that is"
	}
	j.warn(runner.Problem{
		Reason: fmt.Sprintf("%d %s no longer listed: %s (kept)", len(gone), are, names),
		Fix:    "nothing to do if they were deleted or renamed on purpose; else see that the token may still read them. To hide one here, exclude it",
	})
}

// asksFor reports whether the config would select a repository of this name,
// as far as a name can tell.
func (c *Config) asksFor(name string) bool {
	owner, _, _ := strings.Cut(name, "/")
	owned := slices.ContainsFunc(c.Owners, func(o string) bool { return o == me || strings.EqualFold(o, owner) })
	selected, _ := c.selected(&repository{fullName: name})
	return owned && selected
}
