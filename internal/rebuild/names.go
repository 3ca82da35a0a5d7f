package rebuild

import (
	"runtime"
	"strings"
)

// isDangerous reports whether a name in a tree could mean something else than
// a file of that name: verify_path in git's read-cache.c. What some file
// system takes for .git is refused everywhere, as with core.protectHFS and
// core.protectNTFS.
func isDangerous(name string) bool {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return true
	}
	if runtime.GOOS == "windows" && strings.ContainsAny(name, `\:`) {
		return true
	}
	if strings.EqualFold(strings.Map(ignoredByHFS, name), ".git") {
		return true
	}
	for part := range strings.SplitSeq(name, `\`) {
		part, _, _ = strings.Cut(part, ":") // a stream of the file
		part = strings.TrimRight(part, " .")
		if strings.EqualFold(part, ".git") || strings.EqualFold(part, "git~1") {
			return true
		}
	}
	return false
}

// ignoredByHFS drops what HFS+ takes no account of in names: next_hfs_char in
// git's utf8.c.
func ignoredByHFS(r rune) rune {
	switch {
	case r >= 0x200c && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x206a && r <= 0x206f, r == 0xfeff:
		return -1
	}
	return r
}
