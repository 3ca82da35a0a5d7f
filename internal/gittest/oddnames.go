package gittest

import (
	"fmt"
	"runtime"
	"strings"
)

// oddNames end names of references: all are legal (git-check-ref-format(1)),
// each breaks some program. Only Linux's file systems take the second half.
func oddNames() []string {
	names := []string{
		"ümläut-日本語", "😀", "ends-with-\u00a0", "-rf", "--upload-pack=id", "$HOME", "$(id)", "`id`", ";id;", "a&&id",
		"%2e%2e%2f", "%00", "{x}", "(x)", "!x", "'quoted'", "#1", "x=y,z", "@", "HEAD", "refs/heads/main", "main.zip", "refs.json",
		strings.Repeat("long-", 39) + "name", strings.Repeat("deep/", 40) + "name",
	}
	if runtime.GOOS == "linux" {
		names = append(names, `"quoted"`, `'"'`, "<b>&lt;", "a>b", "a|b", "\xff\xfe", "caf\xe9", "caf\u00e9", "cafe\u0301", "right\u202eleft", "nul.txt")
	}
	return names
}

func (e *Evolution) oddName() string {
	ends := oddNames()
	name := e.pick([]string{"refs/heads/", "refs/tags/", "refs/heads/dir/"}) + e.pick(ends)
	if e.taken(name) {
		return ""
	}
	e.refs[name] = e.base()
	return fmt.Sprintf("%q", name)
}

// twins makes two branches whose names differ by case alone.
func (e *Evolution) twins() string {
	if runtime.GOOS != "linux" {
		return e.newBranch()
	}
	e.tick++
	one, two := fmt.Sprintf("refs/heads/Twin-%d", e.tick), fmt.Sprintf("refs/heads/tWIN-%d", e.tick)
	e.refs[one], e.refs[two] = e.base(), e.base()
	return fmt.Sprintf("%q and %q", one, two)
}
