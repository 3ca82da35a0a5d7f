package rebuild

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// links calls each with every object that an object names, and with the kind
// it must be of. It is as strict as git's own parsers (commit.c, tree-walk.c,
// tag.c), which look at no more than that.
func links(kind plumbing.ObjectType, data []byte, each func(plumbing.ObjectType, plumbing.Hash) error) error {
	switch kind {
	case plumbing.CommitObject:
		return commitLinks(data, each)
	case plumbing.TreeObject:
		return treeLinks(data, each)
	case plumbing.TagObject:
		return tagLinks(data, each)
	}
	return nil
}

// commitLinks yields the tree last, so that it is visited next: successive
// commits share most of their trees.
func commitLinks(data []byte, each func(plumbing.ObjectType, plumbing.Hash) error) error {
	tree, data, ok := idLine(data, "tree ")
	if !ok {
		return errors.New("it is damaged: it does not begin with a tree")
	}
	for bytes.HasPrefix(data, []byte("parent ")) {
		var parent plumbing.Hash
		if parent, data, ok = idLine(data, "parent "); !ok {
			return errors.New("it is damaged: the id of a parent is malformed")
		}
		if err := each(plumbing.CommitObject, parent); err != nil {
			return err
		}
	}
	return each(plumbing.TreeObject, tree)
}

func tagLinks(data []byte, each func(plumbing.ObjectType, plumbing.Hash) error) error {
	id, data, ok := idLine(data, "object ")
	kind, data, ok2 := bytes.Cut(data, []byte("\n"))
	if !ok || !ok2 || !bytes.HasPrefix(kind, []byte("type ")) || !bytes.HasPrefix(data, []byte("tag ")) {
		return errors.New("it is damaged: it does not name an object, a type and a tag")
	}
	name := string(kind[len("type "):])
	for _, k := range []plumbing.ObjectType{plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject} {
		if k.String() == name {
			return each(k, id)
		}
	}
	return fmt.Errorf("it is damaged: type %q is unknown", name)
}

// idLine reads a line of a keyword and an id.
func idLine(data []byte, keyword string) (id plumbing.Hash, rest []byte, ok bool) {
	end := len(keyword) + 2*len(id)
	if len(data) <= end || !bytes.HasPrefix(data, []byte(keyword)) || data[end] != '\n' {
		return id, data, false
	}
	_, err := hex.Decode(id[:], data[len(keyword):end])
	return id, data[end+1:], err == nil
}

// The file types that are told apart in a tree; all others are blobs.
const (
	modeType      = 0o170000
	modeDirectory = 0o040000
	modeSubmodule = 0o160000
)

func treeLinks(data []byte, each func(plumbing.ObjectType, plumbing.Hash) error) error {
	return eachEntry(data, func(mode uint32, name string, id plumbing.Hash) error {
		kind := plumbing.BlobObject
		switch mode & modeType {
		case modeSubmodule:
			return nil
		case modeDirectory:
			kind = plumbing.TreeObject
		}
		if err := each(kind, id); err != nil {
			return fmt.Errorf("entry %q: %w", name, err)
		}
		return nil
	})
}

// eachEntry calls each with the entries of a tree, in its order.
func eachEntry(tree []byte, each func(mode uint32, name string, id plumbing.Hash) error) error {
	for len(tree) > 0 {
		mode, rest, ok := octal(tree)
		name, rest, ok2 := bytes.Cut(rest, []byte{0})
		var id plumbing.Hash
		if !ok || !ok2 || len(name) == 0 || len(rest) < len(id) {
			return errors.New("it is damaged: an entry is malformed")
		}
		tree = rest[copy(id[:], rest):]
		if err := each(mode, string(name), id); err != nil {
			return err
		}
	}
	return nil
}

// octal reads a number and the space after it.
func octal(data []byte) (n uint32, rest []byte, ok bool) {
	for i, c := range data {
		switch {
		case c == ' ':
			return n, data[i+1:], i > 0
		case c < '0' || c > '7' || i > 7:
			return 0, nil, false
		}
		n = n<<3 | uint32(c-'0')
	}
	return 0, nil, false
}
