package dirsync

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// A filter decides which files are taken: the first rule that matches counts.
// Its globs are those of rclone (https://rclone.org/filtering/): * does not
// match a slash, ** does, a slash at the beginning anchors the glob at the
// directory itself, and without one it may match at any depth.
type filter struct {
	rules []rule
	rest  bool // what becomes of a file that no rule matches
}

type rule struct {
	take bool
	glob string
	// below is the directory that a glob like /cache/** is all of, "" for
	// other globs: what is in it need not be looked at.
	below string
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

func newRule(take bool, glob string) (rule, error) {
	if glob == "" || glob == "/" {
		return rule{}, errors.New("the glob is empty")
	}
	r := rule{take: take, glob: glob}
	switch {
	case strings.HasSuffix(glob, "/"): // a directory is all that is in it
		r.glob += "**"
	}
	if anchored, ok := strings.CutPrefix(r.glob, "/"); ok {
		r.glob = anchored
	} else if !strings.HasPrefix(r.glob, "**/") {
		r.glob = "**/" + r.glob
	}
	// doublestar's ** stands for whole parts of a path, rclone's for anything.
	r.glob = wideStars(r.glob)
	if !doublestar.ValidatePattern(r.glob) {
		return rule{}, fmt.Errorf("%q is no glob", glob)
	}
	r.below = strings.TrimSuffix(r.glob, "/**")
	if r.below == r.glob {
		r.below = ""
	}
	return r, nil
}

// wideStars spells ** that stands beside other characters, as in "a**", so that
// it matches across slashes: as alternatives with and without whole parts in
// between.
func wideStars(glob string) string {
	parts := strings.Split(glob, "/")
	for i, p := range parts {
		if p == "**" || !strings.Contains(p, "**") {
			continue
		}
		before, after, _ := strings.Cut(p, "**")
		parts[i] = "{" + before + "*" + after + "," + before + "*/**/*" + after + "}"
	}
	return strings.Join(parts, "/")
}

// takes reports whether a file is taken; path is relative, with slashes.
func (f filter) takes(path string) bool {
	for _, r := range f.rules {
		if ok, _ := doublestar.Match(r.glob, path); ok {
			return r.take
		}
	}
	return f.rest
}

// skips reports whether nothing below a directory can be taken.
func (f filter) skips(dir string) bool {
	for _, r := range f.rules {
		if r.take {
			return false // it might match something in there
		}
		if r.below == "" {
			continue
		}
		if ok, _ := doublestar.Match(r.below, dir); ok {
			return true
		}
	}
	return false
}
