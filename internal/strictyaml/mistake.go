package strictyaml

import (
	"fmt"
	"strings"
	"unicode"
)

// A Mistake is one thing wrong in a document. Line and Column count from 1,
// columns in characters; Line 0 concerns the file as a whole.
type Mistake struct {
	File         string
	Line, Column int
	Path         string // "jobs[0].github.owner"; "" is the whole document
	What, Fix    string // what is wrong, what would be right
	Source       string // the line itself, secrets masked
}

// Mistakes is every mistake of a document; it is what Document.Err returns.
type Mistakes []Mistake

// Error prints every mistake, each with its line and a caret under its place.
func (ms Mistakes) Error() string {
	parts := make([]string, len(ms))
	for i, m := range ms {
		parts[i] = m.String()
	}
	return strings.Join(parts, "\n")
}

// String prints a mistake for people:
//
//	mayfly.yaml:9:7: jobs[0].github.owner: unknown key
//	    9 |       owner: [octocat]
//	      |       ^ did you mean "owners"?
func (m Mistake) String() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", m.Line, m.Column)
	}
	b.WriteString(": ")
	if m.Path != "" {
		b.WriteString(m.Path + ": ")
	}
	b.WriteString(m.What)
	if m.Line == 0 {
		if m.Fix != "" {
			b.WriteString(": " + m.Fix)
		}
		return printable(b.String())
	}
	line, caret := window(m.Source, m.Column)
	fmt.Fprintf(&b, "\n%5d | %s\n      | %s^ %s", m.Line, line, caret, m.Fix)
	return strings.TrimRight(printable(b.String()), " ")
}

// window cuts a long line to the part around the column, and returns what to
// print before the caret: tabs stay tabs, so that it stands right under them.
func window(line string, column int) (shown, indent string) {
	const width = 100
	r := []rune(line)
	at := min(max(column-1, 0), len(r))
	from, dots := 0, ""
	if len(r) > width && at > width/2 {
		from, dots = at-width/2, "…"
	}
	to, end := len(r), ""
	if to-from > width {
		to, end = from+width, "…"
	}
	pad := []rune(dots + string(r[from:at]))
	for i, c := range pad {
		if c != '\t' {
			pad[i] = ' '
		}
	}
	return dots + string(r[from:to]) + end, string(pad)
}

// printable replaces what could drive a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
