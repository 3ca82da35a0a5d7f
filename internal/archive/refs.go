package archive

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
)

// refs.json, one ref per line:
//
//	{
//	"format": 1,
//	"kind": "full",
//	"selection": {"pull":false,"wiki":true},
//	"digest": "sha256:…",
//	"repo": {
//	"head": {"name":"refs/heads/main"},
//	"digest": "sha256:…",
//	"refs": [
//	{"oid":"…","name":"refs/heads/main"},
//	{"oid":"…","name":"refs/tags/v1"}
//	]
//	},
//	"wiki": null
//	}
//
// head is {"name":…} when symbolic, {"oid":…} when detached, null when the
// server did not say. A part that is absent is null. The same state always
// yields the same bytes.
//
// An increment has, instead of "refs", what became of them since the segment
// before: "set", the new ones and those that name another object, and
// "deleted", a list of {"name":…}. Its digests are of the whole state.

// A namedRef is one line. Git allows names that are not UTF-8 and JSON does
// not: such a name has its exact bytes beside it, in base64.
type namedRef struct {
	OID   string `json:"oid,omitempty"`
	Name  string `json:"name,omitempty"`
	Bytes string `json:"bytes,omitempty"`
}

func (r *namedRef) setName(name plumbing.ReferenceName) {
	r.Name = name.String()
	if !utf8.ValidString(r.Name) {
		r.Bytes = base64.StdEncoding.EncodeToString([]byte(r.Name))
	}
}

// writeRefs streams refs.json; memory does not grow with the refs.
func writeRefs(w io.Writer, m *Manifest, repo, wiki *Changes) error {
	sel, err := json.Marshal(m.Selection)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "{\n\"format\": %d,\n\"kind\": %q,\n\"selection\": %s,\n\"digest\": %q,\n\"repo\": ", m.Format, m.Kind, sel, m.Digest); err != nil {
		return err
	}
	if err := writePart(w, m.Kind, repo, m.Parts.Repo.Digest); err != nil {
		return err
	}
	if _, err := io.WriteString(w, ",\n\"wiki\": "); err != nil {
		return err
	}
	if err := writePart(w, m.Kind, wiki, m.Parts.Wiki.Digest); err != nil {
		return err
	}
	_, err = io.WriteString(w, "\n}\n")
	return err
}

func writePart(w io.Writer, kind string, c *Changes, digest string) error {
	if c == nil {
		_, err := io.WriteString(w, "null")
		return err
	}
	head, err := json.Marshal(headRef(c.Head))
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "{\n\"head\": %s,\n\"digest\": %q,\n", head, digest); err != nil {
		return err
	}
	set := "refs"
	if kind == KindIncr {
		set = "set"
	}
	if err := writeList(w, set, len(c.Set), func(i int) namedRef {
		r := namedRef{OID: c.Set[i].Hash().String()}
		r.setName(c.Set[i].Name())
		return r
	}); err != nil {
		return err
	}
	if kind == KindIncr {
		if _, err := io.WriteString(w, ",\n"); err != nil {
			return err
		}
		if err := writeList(w, "deleted", len(c.Deleted), func(i int) (r namedRef) {
			r.setName(c.Deleted[i])
			return r
		}); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, "\n}")
	return err
}

func writeList(w io.Writer, key string, n int, at func(int) namedRef) error {
	if _, err := fmt.Fprintf(w, "%q: [", key); err != nil {
		return err
	}
	end := "\n"
	for i := range n {
		b, err := json.Marshal(at(i))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s%s", end, b); err != nil {
			return err
		}
		end = ",\n"
	}
	_, err := io.WriteString(w, "\n]")
	return err
}

func headRef(head *plumbing.Reference) *namedRef {
	if head == nil {
		return nil
	}
	var r namedRef
	if head.Type() == plumbing.SymbolicReference {
		r.setName(head.Target())
	} else {
		r.OID = head.Hash().String()
	}
	return &r
}
