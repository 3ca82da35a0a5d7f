package dirsync

import "testing"

func TestGlobs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		glob    string
		yes, no []string
	}{
		{"*.jpg", []string{"a.jpg", "d/a.jpg", "d/e/.jpg"}, []string{"a.jpgs", "a.jpg/b", "ajpg"}},
		{"/*.jpg", []string{"a.jpg"}, []string{"d/a.jpg"}},
		{"cache", []string{"cache", "d/cache"}, []string{"mycache", "cache/a"}},
		{"cache/", []string{"cache/a", "d/cache/a/b"}, []string{"cache", "mycache/a"}},
		{"/cache/**", []string{"cache/a", "cache/a/b"}, []string{"d/cache/a", "cache"}},
		{"d/*/c", []string{"d/x/c", "e/d/x/c"}, []string{"d/x/y/c", "d/c"}},
		{"d/**/c", []string{"d/x/c", "d/x/y/c"}, []string{"d/c"}},
		{"a**c", []string{"ac", "abc", "a/b/c", "d/a/c"}, []string{"ba", "xac"}},
		{"**.tmp", []string{"a.tmp", "d/a.tmp"}, []string{"a.tmpx"}},
		{"?.txt", []string{"a.txt", "ü.txt"}, []string{"ab.txt", "/.txt"}},
		{"[a-c]1", []string{"a1", "d/c1"}, []string{"d1"}},
		{"[^a-c]1", []string{"d1"}, []string{"a1"}},
		{"*.{jpg,png}", []string{"a.jpg", "d/a.png"}, []string{"a.gif", "a.{jpg,png}"}},
		{`\*.jpg`, []string{"*.jpg"}, []string{"a.jpg"}},
		{"a.b+(c)", []string{"a.b+(c)"}, []string{"aXb+(c)", "a.bb(c)"}},
		{"a*b", []string{"a\nb", "ab"}, nil},
	} {
		r, err := newRule(true, c.glob)
		if err != nil {
			t.Errorf("%s: %v", c.glob, err)
			continue
		}
		for _, p := range c.yes {
			if !r.form.MatchString(p) {
				t.Errorf("%s does not match %q", c.glob, p)
			}
		}
		for _, p := range c.no {
			if r.form.MatchString(p) {
				t.Errorf("%s matches %q", c.glob, p)
			}
		}
	}
	for _, glob := range []string{"", "/", "//", "a[b", "[]", "[^]", "[!a]", "a]", "{a", "a}", "{a,{b}}", "a***", `a\`, "[b-a]", "{{a.*}}"} {
		if _, err := newRule(true, glob); err == nil {
			t.Errorf("%q is taken for a glob", glob)
		}
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config       Config
		takes, not   []string
		skips, walks []string
	}{
		{Config{}, []string{"a", "d/a"}, nil, nil, []string{"d"}},
		{Config{Include: []string{"*.jpg"}}, []string{"d/a.jpg"}, []string{"a.txt"}, nil, []string{"d"}},
		{Config{Include: []string{"/d/*.jpg"}}, []string{"d/a.jpg"}, []string{"e/d/a.jpg"}, []string{"e", "d2"}, []string{"d"}},
		{Config{Include: []string{"*.jpg"}, Exclude: []string{"tmp/"}}, []string{"a.jpg"}, []string{"tmp/a.jpg", "d/tmp/a.jpg"}, []string{"tmp", "d/tmp"}, []string{"d"}},
		{Config{Exclude: []string{"*.tmp"}}, []string{"a"}, []string{"a.tmp", "d/a.tmp"}, nil, []string{"d", "d.tmp"}},
		{Config{Filter: []string{"+ /keep/**", "- *"}}, []string{"keep/a", "keep/d/a"}, []string{"a", "d/keep/a"}, []string{"d"}, []string{"keep", "keep/d"}},
		{Config{Filter: []string{"- *.tmp", "+ *.tmp", "+ a", "- /d/**"}}, []string{"a", "d/a", "b"}, []string{"x.tmp", "d/b"}, nil, []string{"d"}},
		{Config{Filter: []string{"- /d/e/**", "+ /d/**", "- **"}}, []string{"d/a"}, []string{"d/e/a", "a"}, []string{"d/e", "x"}, []string{"d", "d/f"}},
	} {
		f, err := newFilter(&c.config)
		if err != nil {
			t.Fatal(err)
		}
		for want, paths := range map[bool][]string{true: c.takes, false: c.not} {
			for _, p := range paths {
				if f.takes(p) != want {
					t.Errorf("%+v: takes %s: %v", c.config, p, !want)
				}
			}
		}
		for want, dirs := range map[bool][]string{true: c.skips, false: c.walks} {
			for _, d := range dirs {
				if f.skips(d) != want {
					t.Errorf("%+v: skips %s: %v", c.config, d, !want)
				}
			}
		}
	}
}
