package rsyncargs

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// Whatever a client sends: what is run stays in the directory, and holds no
// option that is not in the table.
func FuzzParse(f *testing.F) {
	for _, line := range []string{
		`rsync --server -vlogDtprze.iLsfxCIvu --bwlimit=1000 --delete --partial . /mnt/c/`,
		`rsync --server --sender -vlogDtpre.iLsfxCIvu . dump/*.sql \*lit ~/x "a b"`,
		`rsync --server -logDtpre.iLsf --link-dest ../monday --backup-dir=/mnt/c/x -B12 -@1 . b/tuesday`,
		`rsync --server -s . `,
	} {
		f.Add(line, "rsync\x00.\x00x\x00\x00", true)
	}
	f.Fuzz(func(t *testing.T, line, sent string, appendOnly bool) {
		p := Policy{Root: "/mnt/c", Dir: "/data", Pull: true, AppendOnly: appendOnly, Scratch: "/data/.in"}
		c, err := Parse(line, p, func() ([]string, error) { return ReadSecluded(strings.NewReader(sent)) })
		if err != nil {
			return
		}
		inside := func(from, name string) {
			if strings.ContainsAny(name, "\x00\n\r") || name == "" {
				t.Fatalf("%q: the path %q", line, name)
			}
			full := path.Join(from, name)
			if path.IsAbs(name) {
				full = name
			}
			if full != "/data" && !strings.HasPrefix(full, "/data/") || path.IsAbs(name) && path.Clean(name) != name {
				t.Fatalf("%q: %q from %q is %q", line, name, from, full)
			}
		}
		for _, q := range c.Paths {
			if path.IsAbs(q.Name) || path.IsAbs(q.Pattern) || slices.Contains(strings.Split(q.Name+"/"+q.Pattern, "/"), "..") {
				t.Fatalf("%q: path %q, pattern %q", line, q.Name, q.Pattern)
			}
			inside("/data", q.Name)
		}
		if len(c.Paths) == 0 || c.Push && (len(c.Paths) != 1 || c.Paths[0].Pattern != "") {
			t.Fatalf("%q: paths %q", line, c.Paths)
		}
		for i, o := range c.Options {
			name, isLong := strings.CutPrefix(o, "--")
			if !isLong {
				if !bundle.MatchString(o) && !withValue.MatchString(o) || strings.ContainsAny(strings.SplitN(o, "e", 2)[0], "sKLk") {
					t.Fatalf("%q: option %q", line, o)
				}
				continue
			}
			name, value, _ := strings.Cut(name, "=")
			rule, known := long[name]
			if !known && !(i == 0 && name == "server") && !(i == 1 && name == "sender" && !c.Push) {
				t.Fatalf("%q: option %q", line, o)
			}
			if rule.path {
				inside(path.Join("/data", c.Paths[0].Name), value)
			}
			if c.Push && appendOnly && rule.append != keep && o != "--temp-dir=/data/.in" {
				t.Fatalf("%q: option %q on append_only", line, o)
			}
		}
		if c.Push && appendOnly && !slices.Contains(c.Options, "--ignore-existing") {
			t.Fatalf("%q: overwrites", line)
		}
	})
}
