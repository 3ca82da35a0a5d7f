package github

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// validOwner reports whether s follows GitHub's grammar for logins: ASCII
// letters, digits and '-'; '_' for managed users
// (https://docs.github.com/enterprise-cloud@latest/admin/managing-iam/iam-configuration-reference/username-considerations-for-external-authentication).
func validOwner(s string) bool {
	return len(s) > 0 && len(s) <= 64 && s[0] != '-' && onlyASCII(s, "-_")
}

// validRepo reports whether s follows GitHub's grammar for repository names.
// What does not could climb out of its place in the store, and is refused.
func validRepo(s string) bool {
	return len(s) > 0 && len(s) <= 100 && s != "." && s != ".." && onlyASCII(s, "-_.")
}

// onlyASCII reports whether s is of ASCII letters, digits and the characters of more.
func onlyASCII(s, more string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && strings.IndexByte(more, c) < 0 {
			return false
		}
	}
	return true
}

// selected reports whether the config asks for the repository and, when it
// does not, which key leaves it out.
func (c *Config) selected(r *repository) (bool, string) {
	name := strings.ToLower(r.fullName)
	switch {
	case len(c.Include) > 0 && !matchesAny(c.Include, name):
		return false, "include"
	case matchesAny(c.Exclude, name):
		return false, "exclude"
	case r.fork && !on(c.Forks):
		return false, "forks"
	case r.archived && !on(c.Archived):
		return false, "archived"
	case r.private && !on(c.Private):
		return false, "private"
	}
	return true, ""
}

func matchesAny(globs []string, name string) bool {
	for _, g := range globs {
		if ok, err := doublestar.Match(strings.ToLower(g), name); ok && err == nil {
			return true
		}
	}
	return false
}
