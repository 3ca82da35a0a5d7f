package archive

import (
	"strings"
	"testing"
	"time"
)

func TestKey(t *testing.T) {
	t.Parallel()
	east := created.In(time.FixedZone("east", 3*3600))
	for _, c := range []struct {
		prefix, want string
		p            Place
	}{
		{"github", "github/acme/site/20261120T170412Z/0000-full.zip", Place{"acme", "site", created, 0, false}},
		{"github", "github/acme/site/20261120T170412Z/0012-incr.zip", Place{"acme", "site", created, 12, true}},
		{"a/b", "a/b/A_c/-.x/20261120T170412Z/10000-incr.zip", Place{"A_c", "-.x", created, 10000, true}},
		{"", "acme/.github/20261120T170412Z/0000-full.zip", Place{"acme", ".github", created, 0, false}},
	} {
		if got := Key(c.prefix, c.p.Owner, c.p.Name, east, c.p.Number, c.p.Incr); got != c.want {
			t.Errorf("Key = %q, want %q", got, c.want)
		}
		if got, ok := ParseKey(c.prefix, c.want); !ok || got != c.p {
			t.Errorf("ParseKey(%q) = %+v, %v, want %+v", c.want, got, ok, c.p)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"",
		"github/index.json",
		"other/acme/site/20261120T170412Z/0000-full.zip",
		"githubacme/site/20261120T170412Z/0000-full.zip",
		"github/acme/site/20261120T170412Z/0000-full.zip.tmp",
		"github/acme/site/20261120T170412Z/0000-full",
		"github/acme/site/20261120T170412Z/0000-half.zip",
		"github/acme/site/20261120T170412Z/0000-incr.zip",
		"github/acme/site/20261120T170412Z/0001-full.zip",
		"github/acme/site/20261120T170412Z/1-incr.zip",
		"github/acme/site/20261120T170412Z/00001-incr.zip",
		"github/acme/site/20261120T170412Z/+001-incr.zip",
		"github/acme/site/20261120T170412Z/-001-incr.zip",
		"github/acme/site/20261320T170412Z/0000-full.zip",
		"github/acme/site/20261120/0000-full.zip",
		"github/acme/../20261120T170412Z/0000-full.zip",
		"github//site/20261120T170412Z/0000-full.zip",
		"github/acme/si te/20261120T170412Z/0000-full.zip",
		"github/acme/x/site/20261120T170412Z/0000-full.zip",
	} {
		if p, ok := ParseKey("github", key); ok {
			t.Errorf("ParseKey(%q) = %+v, want none", key, p)
		}
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100)
	for _, name := range []string{"a", "A.b-c_9", ".github", "-", "...", long} {
		if err := CheckName("acme", name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", `a\b`, "a b", "é", "a\x00", "a\n", "a'", long + "x"} {
		if CheckName("acme", name) == nil || CheckName(name, "site") == nil {
			t.Errorf("CheckName accepts %q", name)
		}
	}
}

// A key that no store of ours would take is no segment's, whoever put it there:
// its prefix is printed, and restored into.
func TestSplitKey(t *testing.T) {
	t.Parallel()
	tail := Key("", "acme", "site", created, 0, false)
	for prefix, ok := range map[string]bool{
		"": true, "github": true, "a/b": true, "é": true,
		"a\x1b[2Jb": false, "a\nb": false, "..": false, "a/../b": false, "a//b": false, "\xff": false,
	} {
		got, p, is := SplitKey(below(prefix) + tail)
		if is != ok || ok && (got != prefix || p.Name != "site") {
			t.Errorf("%q: %q %+v %t", prefix, got, p, is)
		}
	}
}
