package runner

import (
	"errors"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// A Glob is a pattern over slash-separated names, upper and lower case alike:
// * within a part, ** over parts, ?, [a-z], {one,two}.
type Glob struct{ text, folded string }

// UnmarshalText checks the pattern.
func (g *Glob) UnmarshalText(b []byte) error {
	folded := strings.ToLower(string(b))
	if !doublestar.ValidatePattern(folded) || folded == "" {
		return errors.New(`not a pattern: close [ and {, and write it like "*/scratch-*"`)
	}
	*g = Glob{string(b), folded}
	return nil
}

// Match reports whether the whole name fits.
func (g Glob) Match(name string) bool {
	return g.folded != "" && doublestar.MatchUnvalidated(g.folded, strings.ToLower(name))
}

func (g Glob) String() string { return g.text }
