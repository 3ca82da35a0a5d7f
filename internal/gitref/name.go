// Package gitref knows which names git allows for refs.
package gitref

import (
	"fmt"
	"strings"
)

// CheckName applies the rules of git-check-ref-format(1) to the full name of a
// ref. A server that sends another name is broken, or wants to write a line of
// its own into a bundle's header. (go-git's ReferenceName.Validate refuses
// names that git allows, such as refs/heads/-x and refs/heads/@.)
func CheckName(name string) error {
	bad := !strings.HasPrefix(name, "refs/") || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "@{") ||
		strings.ContainsAny(name, " ~^:?*[\\\x7f")
	for i := range len(name) {
		bad = bad || name[i] < ' '
	}
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock")
	}
	if bad {
		return fmt.Errorf("ref %q is not a name that git allows", name)
	}
	return nil
}
