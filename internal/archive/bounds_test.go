package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// An endless reader goes on for ever after its beginning, and counts.
type endless struct {
	begin io.Reader
	more  byte
	read  int
}

func (e *endless) Read(p []byte) (int, error) {
	n, err := e.begin.Read(p)
	if err == io.EOF {
		for n = range p {
			p[n] = e.more
		}
		n = len(p)
	}
	e.read += n
	return n, nil
}

// Of a value that nobody can have sent no more is read than shows it.
func TestRefsBound(t *testing.T) {
	t.Parallel()
	for _, begin := range []string{
		`{"format":1,"kind":"`, `{"`, `{"format":1,"repo":{"refs":[{"oid":"`, `{"format":1,"repo":{"refs":[`,
		`{"format":1,"selection":{"pull":`, `{"format":1,"repo":{"head":{"name":"`, `{"format":`,
	} {
		for _, more := range []byte{'x', ' ', '[', '1'} {
			in := &endless{begin: strings.NewReader(begin), more: more}
			if _, err := readRefs(in); err == nil {
				t.Errorf("%s%c…: accepted", begin, more)
			}
			if in.read > 2*valueMax+64<<10 { // and what is read ahead
				t.Errorf("%s%c…: %d bytes were read", begin, more, in.read)
			}
		}
	}
}

// The longest name that a server can send comes back.
func TestRefsLongestName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"refs/heads/" + strings.Repeat("a", 65_000), "refs/heads/\xff" + strings.Repeat("<", 65_000)} {
		var b strings.Builder
		m := &Manifest{Format: Format, Kind: KindFull}
		c := &Changes{Set: []*plumbing.Reference{plumbing.NewHashReference(plumbing.ReferenceName(name), plumbing.NewHash(oidA))}}
		if err := writeRefs(&b, m, c, nil); err != nil {
			t.Fatal(err)
		}
		f, err := readRefs(strings.NewReader(b.String()))
		if err != nil || f.Repo.Set[0].Name().String() != name {
			t.Errorf("%.20q…: %v", name, err)
		}
	}
}

// An index that is larger than any is not read at all.
func TestIndexBound(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	file := filepath.Join(st.root, "github", "index.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(indexHead), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, indexMax+1); err != nil {
		t.Fatal(err)
	}
	x, err := ReadIndex(t.Context(), st, "github")
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), fmt.Sprint(indexMax+1)) {
		t.Error(err)
	}
	if err := x.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadIndex(t.Context(), st, "github"); err != nil {
		t.Errorf("it is not mended: %v", err)
	}
}
