package dirsync

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A rule is one glob, and whether files that match it are taken. Globs are
// rclone's (https://rclone.org/filtering/): * and ? do not match a slash, **
// does, {a,b} are alternatives, [a-z] one of these characters and [^a-z] none
// of them, \ takes the meaning from what follows. A slash at the beginning
// anchors the glob at the directory itself; without one it may begin at any
// depth. A slash at the end means all that is in that directory.
type rule struct {
	take bool
	glob string
	form *regexp.Regexp
}

func newRule(take bool, glob string) (rule, error) {
	if strings.Trim(glob, "/") == "" {
		return rule{}, errors.New("the glob is empty")
	}
	for part := range strings.SplitSeq(glob, "/") {
		if part == "." || part == ".." {
			return rule{}, fmt.Errorf("%q matches nothing: no path has a part %s; a / at the beginning is the directory itself", glob, part)
		}
	}
	if strings.HasSuffix(glob, "/") {
		glob += "**"
	}
	text, err := expression(glob)
	if err != nil {
		return rule{}, fmt.Errorf("%q is no glob: %w", glob, err)
	}
	form, err := regexp.Compile(text)
	if err != nil {
		return rule{}, fmt.Errorf("%q is no glob: something between [ and ] is wrong", glob)
	}
	return rule{take: take, glob: glob, form: form}, nil
}

// expression is the regular expression that matches what the glob does, made
// as rclone makes it (its fs/filter/glob.go).
func expression(glob string) (string, error) {
	var b strings.Builder
	b.WriteString(`(?s)`)
	if rest, anchored := strings.CutPrefix(glob, "/"); anchored {
		b.WriteString("^")
		glob = rest
	} else {
		b.WriteString("(^|/)")
	}
	alternatives := false
	for i := 0; i < len(glob); {
		switch c := glob[i]; {
		case c == '*':
			n := len(glob[i:]) - len(strings.TrimLeft(glob[i:], "*"))
			if n > 2 {
				return "", errors.New("more than two stars stand together")
			}
			b.WriteString([]string{"", "[^/]*", ".*"}[n])
			i += n
			continue
		case c == '?':
			b.WriteString("[^/]")
		case c == '[':
			class, err := cutClass(glob[i:])
			if err != nil {
				return "", err
			}
			b.WriteString(class)
			i += len(class)
			continue
		case c == ']':
			return "", errors.New("a ] has no [")
		case c == '{' && alternatives:
			return "", errors.New("a { stands within another")
		case c == '{':
			alternatives = true
			b.WriteString("(")
		case c == '}' && !alternatives:
			return "", errors.New("a } has no {")
		case c == '}':
			alternatives = false
			b.WriteString(")")
		case c == ',' && alternatives:
			b.WriteString("|")
		case c == '\\' && i+1 == len(glob):
			return "", errors.New(`nothing follows the \`)
		case c == '\\':
			i++
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		}
		i++
	}
	if alternatives {
		return "", errors.New("a { is not closed")
	}
	b.WriteString("$")
	return b.String(), nil
}

// cutClass is the class of characters that s begins with: "[a-z]".
func cutClass(s string) (string, error) {
	end := strings.IndexByte(s, ']')
	switch {
	case end < 0:
		return "", errors.New("a [ is not closed")
	case end == 1 || s[1] == '^' && end == 2:
		return "", errors.New("nothing stands between [ and ]")
	case s[1] == '!':
		return "", errors.New("what is not to match is written [^…]")
	}
	return s[:end+1], nil
}

// covers reports whether the rule matches every file below a directory.
func (r rule) covers(dir string) bool {
	switch r.glob {
	case "*", "**", "/**":
		return true
	}
	return strings.HasSuffix(r.glob, "/**") && r.form.MatchString(dir+"/")
}

// reaches reports whether the rule might match a file below a directory.
func (r rule) reaches(dir string) bool {
	glob, anchored := strings.CutPrefix(r.glob, "/")
	if !anchored {
		return true
	}
	if i := strings.IndexAny(glob, `*?[{\`); i >= 0 {
		glob = glob[:i]
	}
	return strings.HasPrefix(glob, dir+"/") || strings.HasPrefix(dir+"/", glob)
}
