package github

import (
	"fmt"
	"slices"
	"strings"

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
func (j *job) warnOfGone(all []*repository, good map[string]age) {
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
	gone, renamed := j.renamed(all, gone)
	if len(renamed) > 0 {
		j.warn(runner.Problem{
			Reason: "renamed or transferred since their last backup: " + few(renamed) + "; backups from before stay under the old name",
			Fix:    "nothing to do; the new name begins with a full archive",
		})
	}
	if len(gone) == 0 {
		return
	}
	are := "repositories are in the store that are"
	if len(gone) == 1 {
		are = "repository is in the store that is"
	}
	j.warn(runner.Problem{
		Reason: fmt.Sprintf("%d %s no longer listed: %s (kept)", len(gone), are, few(gone)),
		Fix:    "nothing to do if they were deleted or renamed on purpose; else see that the token may still read them. To hide one here, exclude it",
	})
}

// renamed tells apart, by the number that a repository keeps, those that are
// listed under another name now. One is named until the new name has a backup.
func (j *job) renamed(all []*repository, names []string) (gone, renamed []string) {
	now := make(map[int64]string, len(all))
	for _, r := range all {
		now[r.id] = r.fullName
	}
	for _, name := range names {
		e, ok := j.index.Get(name)
		new := ""
		if ok && e.Host == j.at.git.Host {
			new = now[e.ID]
		}
		switch {
		case new == "":
			gone = append(gone, name)
		case j.listed[new].Segments == 0:
			renamed = append(renamed, name+" is now "+new)
		}
	}
	return gone, renamed
}

// few names the first of many.
func few(names []string) string {
	s := strings.Join(names[:min(len(names), goneShown)], ", ")
	if more := len(names) - goneShown; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// asksFor reports whether the config would select a repository of this name,
// as far as a name can tell.
func (c *Config) asksFor(name string) bool {
	owner, _, _ := strings.Cut(name, "/")
	owned := slices.ContainsFunc(c.Owners, func(o string) bool { return o == me || strings.EqualFold(o, owner) })
	selected, _ := c.selected(&repository{fullName: name})
	return owned && selected
}
