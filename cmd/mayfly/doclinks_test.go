package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile("(?m)^#+ (.+)$")
	fenced  = regexp.MustCompile("(?s)\n```.*?\n```")
)

// anchor is the name that GitHub gives a heading: lower case, blanks as
// hyphens, and no other punctuation.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// TestLinks checks that what the documents point to is there, headings
// included.
func TestLinks(t *testing.T) {
	t.Parallel()
	root := "../.."
	text := map[string]string{}
	add := func(path string) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text[filepath.Clean(path)] = fenced.ReplaceAllString(string(b), "")
	}
	add(root + "/README.md")
	add(root + "/bench/README.md")
	err := filepath.WalkDir(root+"/docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			add(path)
		}
		return err
	})
	if err != nil || len(text) < 10 {
		t.Fatalf("only %d documents are found: %v", len(text), err)
	}
	links := 0
	for page, doc := range text {
		for _, m := range link.FindAllStringSubmatch(doc, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			links++
			path, name, _ := strings.Cut(m[1], "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s: %v", page, m[1], err)
				continue
			}
			found := name == ""
			for _, h := range heading.FindAllStringSubmatch(text[target], -1) {
				found = found || anchor(h[1]) == name
			}
			if !found {
				t.Errorf("%s: %s: there is no such heading", page, m[1])
			}
		}
	}
	if links < 30 {
		t.Errorf("only %d links are found", links)
	}
}
