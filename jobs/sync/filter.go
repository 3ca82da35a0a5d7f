package dirsync

import (
	"strings"
)

// A filter decides which files are taken: the first rule that matches counts.
type filter struct {
	rules []rule
	rest  bool // what becomes of a file that no rule matches
}

func newFilter(c *Config) (filter, error) {
	f := filter{rest: true}
	add := func(take bool, globs []string) error {
		for _, g := range globs {
			r, err := newRule(take, g)
			if err != nil {
				return err
			}
			f.rules = append(f.rules, r)
		}
		return nil
	}
	for _, text := range c.Filter {
		take, glob, _ := cutRule(text)
		if err := add(take, []string{glob}); err != nil {
			return f, err
		}
	}
	if err := add(false, c.Exclude); err != nil {
		return f, err
	}
	if err := add(true, c.Include); err != nil {
		return f, err
	}
	f.rest = len(c.Include) == 0
	return f, nil
}

// cutRule takes "+ GLOB" and "- GLOB" apart.
func cutRule(s string) (take bool, glob string, ok bool) {
	if glob, ok = strings.CutPrefix(s, "+ "); ok {
		return true, strings.TrimSpace(glob), true
	}
	glob, ok = strings.CutPrefix(s, "- ")
	return false, strings.TrimSpace(glob), ok
}

// takes reports whether a file is taken; path is relative, with slashes.
func (f filter) takes(path string) bool {
	for _, r := range f.rules {
		if r.form.MatchString(path) {
			return r.take
		}
	}
	return f.rest
}

// skips reports whether nothing below a directory can be taken, so that it need
// not be looked at.
func (f filter) skips(dir string) bool {
	for _, r := range f.rules {
		switch {
		case r.take && r.reaches(dir):
			return false
		case !r.take && r.covers(dir):
			return true
		}
	}
	return !f.rest
}
