package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unique"

	"mayfly/internal/store"
)

// index.json says of each repository's newest chain what it held after its
// last segment, so that a run that finds nothing changed need not read any
// segment, and that segments which have changed or gone since are noticed. It
// is a cache: every entry is bound by its print to the segments that it was
// made of, and what is not in it is found in the segments. One entry a line,
// the checksum of all bytes before it in the last:
//
//	{"format":2,"repositories":[
//	{"repository":"octocat/hello-world","host":"github.com","id":1296269,"chain":"20261120T170412Z","segments":3,"print":"5f1c…","digest":"sha256:…","checked":"2026-11-20T17:04:12Z"},
//	{"repository":…}
//	],"sha256":"…"}
const (
	indexName   = "index.json"
	indexHead   = `{"format":2,"repositories":[` + "\n"
	indexFormat = 2
	indexLine   = 2 << 10  // bytes that a line may have
	indexMax    = 64 << 20 // bytes that all of it may have: 200,000 repositories
)

// IndexKey is where the index of the segments below prefix is kept.
func IndexKey(prefix string) string { return below(prefix) + indexName }

// A Summary is what the index knows of one chain.
type Summary struct {
	Host string
	ID   int64
	// Chain is the stamp of the chain, Segments how many of its segments it
	// is about, from the first on, and Print theirs.
	Chain    time.Time
	Segments int
	Print    Print
	Digest   string // of the state after the last of them
	// Checked is when the repository was last found to be in that state.
	Checked time.Time
}

// An Index is safe for concurrent use.
type Index struct {
	st  store.Store
	key string

	mu      sync.Mutex
	version store.ETag // of the object in the store, "" when there is none
	entries map[string]summary
	changed bool
}

// summary is a Summary that takes less memory.
type summary struct {
	host    unique.Handle[string]
	id      int64
	chain   int64 // seconds since 1970
	checked int64 // likewise
	count   int32
	print   Print
	digest  [sha256.Size]byte
}

// ReadIndex reads the index. It always returns one to work with: an error says
// why it is empty, and that reading will take longer.
func ReadIndex(ctx context.Context, st store.Store, prefix string) (*Index, error) {
	x := &Index{st: st, key: IndexKey(prefix), entries: map[string]summary{}}
	r, o, err := st.Open(ctx, x.key, 0, -1)
	if errors.Is(err, store.ErrNotExist) {
		return x, nil
	}
	if err == nil {
		defer r.Close()
		x.version = o.ETag
		if o.Size > indexMax {
			x.changed = true
			return x, fmt.Errorf("read %s: %w", st.URL(x.key), damage("it has %d bytes", o.Size))
		}
		var entries map[string]summary
		if entries, err = parseIndex(io.LimitReader(r, indexMax)); err == nil {
			x.entries = entries
			return x, nil
		}
	}
	x.changed = true // to be mended
	return x, fmt.Errorf("read %s: %w", st.URL(x.key), err)
}

type indexEntry struct {
	Repository string    `json:"repository"`
	Host       string    `json:"host"`
	ID         int64     `json:"id"`
	Chain      string    `json:"chain"`
	Segments   int32     `json:"segments"`
	Print      string    `json:"print"`
	Digest     string    `json:"digest"`
	Checked    time.Time `json:"checked"`
}

var errOlder = errors.New("an older mayfly wrote it, and it is made anew")

func parseIndex(r io.Reader) (map[string]summary, error) {
	in := bufio.NewReaderSize(r, indexLine)
	sum := sha256.New()
	line, err := in.ReadSlice('\n')
	if err != nil || string(line) != indexHead {
		var v struct{ Format int }
		d := json.NewDecoder(bytes.NewReader(append(bytes.TrimRight(line, "[\n"), "[]}"...)))
		switch err := d.Decode(&v); {
		case err == nil && v.Format > indexFormat:
			return nil, fmt.Errorf("%w: format %d", ErrNewer, v.Format)
		case err == nil && v.Format > 0 && v.Format < indexFormat:
			return nil, fmt.Errorf("%w: format %d", errOlder, v.Format)
		}
		return nil, damage("it does not begin like an index")
	}
	sum.Write(line)
	entries := map[string]summary{}
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return nil, damage("it ends early or has a line without end: %v", err)
		}
		if bytes.HasPrefix(line, []byte("]")) {
			break
		}
		sum.Write(line)
		name, e, err := parseEntry(bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte(",")))
		if err != nil {
			return nil, damage("%v", err)
		}
		entries[name] = e
	}
	if string(line) != indexEnd(sum.Sum(nil)) {
		return nil, damage("its checksum is wrong")
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return nil, damage("something follows its end")
	}
	return entries, nil
}

func parseEntry(line []byte) (string, summary, error) {
	var j indexEntry
	if err := json.Unmarshal(line, &j); err != nil {
		return "", summary{}, err
	}
	e := summary{host: unique.Make(j.Host), id: j.ID, checked: j.Checked.Unix()}
	owner, name, _ := strings.Cut(j.Repository, "/")
	hexDigest, ok := strings.CutPrefix(j.Digest, "sha256:")
	chain, err := time.Parse(stampLayout, j.Chain)
	e.chain, e.count = chain.Unix(), j.Segments
	if !ok || err != nil || CheckName(owner, name) != nil || j.ID <= 0 || j.Host == "" || j.Segments < 1 ||
		!fromHex(e.print[:], j.Print) || !fromHex(e.digest[:], hexDigest) {
		return "", summary{}, errors.New("an entry is not one of ours")
	}
	return j.Repository, e, nil
}

func fromHex(to []byte, s string) bool {
	if len(s) != hex.EncodedLen(len(to)) {
		return false
	}
	_, err := hex.Decode(to, []byte(s))
	return err == nil && hex.EncodeToString(to) == s
}

func indexEnd(sum []byte) string { return `],"sha256":"` + hex.EncodeToString(sum) + "\"}\n" }

// Find returns the entry of a repository if it is of this chain, and of all of
// it.
func (x *Index) Find(repository string, l Listed) (Summary, bool) {
	e, ok := x.Get(repository)
	return e, ok && e.Chain.Equal(l.Full) && e.Segments == l.Segments && e.Print == l.Print
}

// Get returns the entry of a repository, whatever it is of. A nil index has
// none.
func (x *Index) Get(repository string) (Summary, bool) {
	if x == nil {
		return Summary{}, false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.entries[repository]
	if !ok {
		return Summary{}, false
	}
	return e.full(), true
}

func (e summary) full() Summary {
	return Summary{
		Host: e.host.Value(), ID: e.id, Chain: time.Unix(e.chain, 0).UTC(), Segments: int(e.count), Print: e.print,
		Digest: digest(e.digest[:]), Checked: time.Unix(e.checked, 0).UTC(),
	}
}

// Set remembers a repository. An entry whose digest is not one is ignored.
func (x *Index) Set(repository string, e Summary) {
	in := summary{
		host: unique.Make(e.Host), id: e.ID, chain: e.Chain.Unix(), count: int32(e.Segments), print: e.Print,
		checked: e.Checked.Unix(),
	}
	if !fromHex(in.digest[:], strings.TrimPrefix(e.Digest, "sha256:")) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.entries[repository] != in {
		x.entries[repository] = in
		x.changed = true
	}
}

// Keep forgets the repositories that want does not ask for.
func (x *Index) Keep(want func(repository string) bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name := range x.entries {
		if !want(name) {
			delete(x.entries, name)
			x.changed = true
		}
	}
}

// Save writes the index if anything in it has changed. Another run's that was
// written meanwhile stays: whatever is missing in it is found in the segments.
func (x *Index) Save(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.changed {
		return nil
	}
	version, err := x.st.Put(ctx, x.key, x.text(), x.version)
	if errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", x.st.URL(x.key), err)
	}
	x.version, x.changed = version, false
	return nil
}

func (x *Index) text() []byte {
	var b bytes.Buffer
	b.Grow(len(indexHead) + 330*len(x.entries))
	b.WriteString(indexHead)
	for i, name := range slices.Sorted(maps.Keys(x.entries)) {
		e := x.entries[name]
		if i > 0 {
			b.Truncate(b.Len() - 1)
			b.WriteString(",\n")
		}
		f := e.full()
		line, _ := json.Marshal(indexEntry{name, f.Host, f.ID, f.Chain.Format(stampLayout), e.count, f.Print.String(), f.Digest, f.Checked}) // strings and numbers: cannot fail
		b.Write(line)
		b.WriteByte('\n')
	}
	sum := sha256.Sum256(b.Bytes())
	b.WriteString(indexEnd(sum[:]))
	return b.Bytes()
}
