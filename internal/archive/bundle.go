package archive

import (
	"bufio"
	"io"
)

// writeBundleHeader writes the header of a git bundle, after which the pack
// follows (gitformat-bundle(5), version 2). HEAD comes first, as `git bundle
// create` has it; a bundle has no place for HEAD's target.
func writeBundleHeader(w io.Writer, s Snapshot) error {
	b := bufio.NewWriter(w) // keeps its first error until Flush
	b.WriteString("# v2 git bundle\n")
	if head, ok := s.resolve(); ok {
		b.WriteString(head.String() + " HEAD\n")
	}
	for _, r := range s.Refs {
		b.WriteString(refLine(r))
	}
	b.WriteString("\n")
	return b.Flush()
}
