package archive

import (
	"bufio"
	"encoding/hex"
	"errors"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gitref"
)

const bundleMagic = "# v2 git bundle\n"

// A bundleHead is the header of a git bundle (gitformat-bundle(5), version 2).
type bundleHead struct {
	// Needs are commits that a repository must hold before the pack is added.
	Needs []plumbing.Hash
	// Head is what HEAD resolves to, zero when it is not there. A bundle has no
	// place for HEAD's target.
	Head plumbing.Hash
	Refs []*plumbing.Reference
}

// write writes the header, after which the pack follows. HEAD comes first, as
// `git bundle create` has it.
func (h bundleHead) write(w io.Writer) error {
	b := bufio.NewWriter(w) // keeps its first error until Flush
	b.WriteString(bundleMagic)
	for _, id := range h.Needs {
		b.WriteString("-" + id.String() + "\n")
	}
	if !h.Head.IsZero() {
		b.WriteString(h.Head.String() + " HEAD\n")
	}
	for _, r := range h.Refs {
		b.WriteString(refLine(r))
	}
	b.WriteString("\n")
	return b.Flush()
}

// lineMax bounds a line of a bundle's header: an id, and a ref's name, which
// file systems limit to 4,096 bytes.
const lineMax = 8 << 10

// readBundleHead reads the header and leaves r at the pack.
func readBundleHead(r *bufio.Reader) (bundleHead, error) {
	var h bundleHead
	line, err := headLine(r)
	if err != nil {
		return h, err
	}
	if line+"\n" != bundleMagic {
		return h, errors.New("this is no git bundle of version 2")
	}
	for {
		if line, err = headLine(r); err != nil || line == "" {
			return h, err
		}
		need := strings.HasPrefix(line, "-")
		id, name, named := strings.Cut(strings.TrimPrefix(line, "-"), " ")
		oid := plumbing.NewHash(id)
		switch {
		case len(id) != hex.EncodedLen(len(oid)) || oid.String() != id || oid.IsZero():
			return h, errors.New("a line of its header names no object")
		case need:
			h.Needs = append(h.Needs, oid)
		case !named:
			return h, errors.New("a line of its header names no ref")
		case name == "HEAD":
			h.Head = oid
		default:
			if err := gitref.CheckName(name); err != nil {
				return h, err
			}
			h.Refs = append(h.Refs, plumbing.NewHashReference(plumbing.ReferenceName(name), oid))
		}
	}
}

// headLine reads one line without its end.
func headLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return string(line[:len(line)-1]), nil
		case errors.Is(err, io.EOF):
			return "", io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		case len(line) > lineMax:
			return "", errors.New("a line of its header has no end")
		}
	}
}
