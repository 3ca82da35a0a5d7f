package archive

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gitref"
)

// A refsFile is refs.json as it was read.
type refsFile struct {
	Format    int
	Kind      string
	Selection Selection
	Digest    string
	Repo      *refsPart // nil: absent
	Wiki      *refsPart
}

// A refsPart is what refs.json says of one part. In a full segment Set is all
// of the refs.
type refsPart struct {
	Changes
	Digest string
}

// readRefs reads refs.json, one ref at a time, so that memory holds the refs
// and nothing else. It checks form and names, not the digests.
func readRefs(r io.Reader) (*refsFile, error) {
	d := newRefsDecoder(r)
	f := &refsFile{}
	err := eachField(d, func(key string) error {
		switch key {
		case "format":
			if err := d.Decode(&f.Format); err != nil {
				return err
			}
			if f.Format > Format {
				return fmt.Errorf("%w: format %d", ErrNewer, f.Format)
			}
			return nil
		case "kind":
			return d.Decode(&f.Kind)
		case "selection":
			return d.Decode(&f.Selection)
		case "digest":
			return d.Decode(&f.Digest)
		case "repo":
			return readPart(d, &f.Repo)
		case "wiki":
			return readPart(d, &f.Wiki)
		}
		return fmt.Errorf("unknown key %q", key)
	})
	if err == nil {
		_, err = d.Token()
		if err == io.EOF {
			err = nil
		} else if err == nil {
			err = errors.New("something follows its end")
		}
	}
	if err != nil {
		return nil, err
	}
	if f.Format < 1 {
		return nil, errors.New("it names no format")
	}
	return f, f.check()
}

// check refuses what a kind does not have.
func (f *refsFile) check() error {
	if f.Kind != KindFull && f.Kind != KindIncr {
		return fmt.Errorf("kind %q", f.Kind)
	}
	if f.Repo == nil {
		return errors.New("it has no repo")
	}
	for _, p := range []*refsPart{f.Repo, f.Wiki} {
		if p == nil {
			continue
		}
		if f.Kind == KindFull && p.Deleted != nil {
			return errors.New("refs are deleted in a full segment")
		}
		if err := p.Changes.check(); err != nil {
			return err
		}
	}
	return nil
}

func readPart(d *refsDecoder, to **refsPart) error {
	if *to != nil {
		return errors.New("a part stands there twice")
	}
	t, err := d.Token()
	if err != nil || t == nil {
		return err // null: absent
	}
	if t != json.Delim('{') {
		return fmt.Errorf("a part is %v, not an object", t)
	}
	p := &refsPart{}
	*to = p
	return members(d, func(key string) error {
		switch key {
		case "head":
			var h *namedRef
			if err := d.Decode(&h); err != nil || h == nil {
				return err
			}
			p.Head, err = h.head()
			return err
		case "digest":
			return d.Decode(&p.Digest)
		case "refs", "set":
			return eachItem(d, func() error {
				var n namedRef
				if err := d.Decode(&n); err != nil {
					return err
				}
				r, err := n.ref()
				p.Set = append(p.Set, r)
				return err
			})
		case "deleted":
			p.Deleted = []plumbing.ReferenceName{}
			return eachItem(d, func() error {
				var n namedRef
				if err := d.Decode(&n); err != nil {
					return err
				}
				name, err := n.name()
				p.Deleted = append(p.Deleted, name)
				return err
			})
		}
		return fmt.Errorf("unknown key %q", key)
	})
}

// valueMax is how much of refs.json is read for one key or ref. A line of git's
// protocol has at most 65,516 bytes; JSON may take six for one of them, and those
// of a name that is not UTF-8 stand there once more in base64.
const valueMax = 512 << 10

var errLong = errors.New("a value in it is longer than any that a git server can have sent")

// A refsDecoder is a json.Decoder that holds no more than one value in memory,
// and refuses a long one.
type refsDecoder struct {
	*json.Decoder
	in *valueReader
}

func newRefsDecoder(r io.Reader) *refsDecoder {
	in := &valueReader{bufio.NewReader(r), valueMax}
	d := &refsDecoder{json.NewDecoder(in), in}
	d.DisallowUnknownFields()
	return d
}

// A valueReader reads left more bytes.
type valueReader struct {
	r    io.Reader
	left int
}

func (v *valueReader) Read(p []byte) (int, error) {
	if v.left <= 0 {
		return 0, errLong
	}
	n, err := v.r.Read(p[:min(len(p), v.left)])
	v.left -= n
	return n, err
}

// Decode and Token read one value, in which nested ones count as one.
func (d *refsDecoder) Decode(v any) error {
	d.in.left = valueMax
	return d.Decoder.Decode(v)
}

func (d *refsDecoder) Token() (json.Token, error) {
	d.in.left = valueMax
	return d.Decoder.Token()
}

// More is another value's beginning, perhaps behind white space.
func (d *refsDecoder) More() bool {
	d.in.left = valueMax
	return d.Decoder.More()
}

// eachField reads an object and calls f at each value.
func eachField(d *refsDecoder, f func(key string) error) error {
	if err := expect(d, json.Delim('{')); err != nil {
		return err
	}
	return members(d, f)
}

// members is eachField behind the opening brace.
func members(d *refsDecoder, f func(key string) error) error {
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		if err := f(key); err != nil {
			return err
		}
	}
	return expect(d, json.Delim('}'))
}

func eachItem(d *refsDecoder, f func() error) error {
	if err := expect(d, json.Delim('[')); err != nil {
		return err
	}
	for d.More() {
		if err := f(); err != nil {
			return err
		}
	}
	return expect(d, json.Delim(']'))
}

func expect(d *refsDecoder, want json.Delim) error {
	t, err := d.Token()
	if err == nil && t != want {
		err = fmt.Errorf("%v stands where %v should", t, want)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// ref is the inverse of what writeRefs does.
func (r *namedRef) ref() (*plumbing.Reference, error) {
	name, err := r.name()
	if err != nil {
		return nil, err
	}
	oid, err := r.oid()
	if err != nil {
		return nil, err
	}
	return plumbing.NewHashReference(name, oid), nil
}

// head is HEAD: symbolic when it has a name, else detached.
func (r *namedRef) head() (*plumbing.Reference, error) {
	if r.OID == "" {
		name, err := r.name()
		return plumbing.NewSymbolicReference(plumbing.HEAD, name), err
	}
	oid, err := r.oid()
	if err == nil && r.Name != "" {
		err = errors.New("HEAD is both symbolic and detached")
	}
	return plumbing.NewHashReference(plumbing.HEAD, oid), err
}

func (r *namedRef) oid() (plumbing.Hash, error) {
	oid := plumbing.NewHash(r.OID)
	if oid.String() != r.OID || oid.IsZero() {
		return oid, fmt.Errorf("%q is no object id", r.OID)
	}
	return oid, nil
}

func (r *namedRef) name() (plumbing.ReferenceName, error) {
	name := r.Name
	if r.Bytes != "" {
		b, err := base64.StdEncoding.DecodeString(r.Bytes)
		if err != nil {
			return "", fmt.Errorf("the bytes of ref %q: %w", r.Name, err)
		}
		if name = string(b); utf8.ValidString(name) {
			return "", fmt.Errorf("ref %q has its bytes beside it and needs none", name)
		}
	}
	return plumbing.ReferenceName(name), gitref.CheckName(name)
}
