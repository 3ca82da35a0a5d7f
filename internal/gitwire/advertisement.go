package gitwire

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// An Advertisement is what a server says a repository holds at one moment.
type Advertisement struct {
	// Refs are the references with the objects they name, sorted by name,
	// without HEAD and without what annotated tags finally name.
	Refs []*plumbing.Reference
	// Peeled holds what annotated tags finally name.
	Peeled map[plumbing.ReferenceName]plumbing.Hash
	// Head is symbolic where the server names one of Refs as HEAD's target,
	// and a hash where HEAD is detached or its target is not shown, so that
	// its object is not lost. It is nil when the server does not say: HEAD of
	// an empty repository, or one that names a branch without a commit, is
	// invisible in protocol version 0.
	Head *plumbing.Reference
	// Empty says that the repository has no reference at all.
	Empty bool

	url          string
	capabilities *capability.List
}

// URL returns the repository's URL after redirects, without user information.
func (a *Advertisement) URL() string { return a.url }

// Filter drops the references that keep does not want, refs/pull for example.
func (a *Advertisement) Filter(keep func(plumbing.ReferenceName) bool) {
	a.Refs = slices.DeleteFunc(a.Refs, func(r *plumbing.Reference) bool {
		if keep(r.Name()) {
			return false
		}
		delete(a.Peeled, r.Name())
		return true
	})
}

// newAdvertisement takes over what go-git read; its errors say what this
// package cannot read.
func newAdvertisement(in *packp.AdvRefs) (*Advertisement, error) {
	if len(in.Shallows) > 0 {
		return nil, errors.New("the server itself holds a shallow clone: its history is incomplete; back up its origin")
	}
	if !in.Capabilities.Supports(capability.Sideband64k) {
		return nil, errors.New("the server lacks side-band-64k, which git has had since 2006")
	}
	a := &Advertisement{capabilities: in.Capabilities, Peeled: make(map[plumbing.ReferenceName]plumbing.Hash, len(in.Peeled))}
	if id, ok := in.References["HEAD"]; ok {
		in.Head = &id
		delete(in.References, "HEAD")
	}
	a.Refs = make([]*plumbing.Reference, 0, len(in.References))
	for name, id := range in.References {
		if !validName(name) || id.IsZero() {
			return nil, fmt.Errorf("the server shows a reference that git does not allow: %q %s", name, id)
		}
		a.Refs = append(a.Refs, plumbing.NewHashReference(plumbing.ReferenceName(name), id))
	}
	slices.SortFunc(a.Refs, func(x, y *plumbing.Reference) int { return strings.Compare(string(x.Name()), string(y.Name())) })
	for name, id := range in.Peeled {
		a.Peeled[plumbing.ReferenceName(name)] = id
	}
	a.Head = head(in)
	return a, nil
}

// head reads HEAD from the symref capability, or else from its own line.
func head(in *packp.AdvRefs) *plumbing.Reference {
	for _, pair := range in.Capabilities.Get(capability.SymRef) {
		name, target, _ := strings.Cut(pair, ":")
		if _, shown := in.References[target]; name == "HEAD" && shown {
			return plumbing.NewSymbolicReference(plumbing.HEAD, plumbing.ReferenceName(target))
		}
	}
	if in.Head == nil {
		return nil
	}
	return plumbing.NewHashReference(plumbing.HEAD, *in.Head)
}

// validName reports whether name is a reference as git-check-ref-format(1)
// allows it. What a server says ends up in files and commands.
func validName(name string) bool {
	rest, ok := strings.CutPrefix(name, "refs/")
	if !ok || strings.HasSuffix(name, ".") || strings.Contains(name, "..") || strings.Contains(name, "@{") {
		return false
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c == 0x7f || strings.IndexByte(`~^:?*[\`, c) >= 0 {
			return false
		}
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}
