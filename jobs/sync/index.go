package dirsync

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"mayfly/internal/store"
)

// indexDir is where the index is, below the job's prefix.
const indexDir = ".mayfly/"

// A record is what the index says of one file: how it was when it was written,
// and as which version of the object.
type record struct {
	Path  string     `json:"path"`
	Size  int64      `json:"size"`
	MTime moment     `json:"mtime"`
	Mode  uint32     `json:"mode"` // as st_mode has it
	ETag  store.ETag `json:"etag"`
	// SHA256 is there when files are compared by checksum.
	SHA256 string `json:"sha256,omitempty"`
	// CRC32C is of all that were written since there is this field, in hex.
	CRC32C string `json:"crc32c,omitempty"`
}

// The index is a cache of what the store would say, file by file, if it were
// asked for the metadata of each object. A run that changes anything writes it
// anew, in pieces of some hundred kilobytes, PREFIX/.mayfly/STAMP/00001.gz …,
// each of them JSON lines in the order of the paths; the piece end.gz, which is
// empty, says that none is missing. A piece that cannot be read ends it.
const (
	pieceSize = 256 << 10 // of the compressed lines
	pieceText = 4 << 20   // of the lines
	endPiece  = "end.gz"
	stampForm = "20060102T150405Z"
)

var pieceForm = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z/([0-9]{5}|end)\.gz$`)

// An indexWriter writes one, unless it would be the same as the last run's. It
// is not safe for concurrent use.
type indexWriter struct {
	ctx    context.Context
	st     store.Store
	prefix string
	stamp  time.Time
	dir    string         // PREFIX/.mayfly/STAMP/
	old    *index         // of the last run
	last   string         // path of the last record
	wrote  bool           // something differs from the old one: it is being written
	n      int            // pieces
	pieces []store.Object // of them, that were written
	buf    bytes.Buffer
	gz     *gzip.Writer
	text   int // bytes in the piece
	failed error
}

func newIndexWriter(ctx context.Context, st store.Store, prefix string, stamp time.Time, old *index) *indexWriter {
	w := &indexWriter{ctx: ctx, st: st, prefix: prefix, stamp: stamp, old: old}
	w.dir = prefix + "/" + indexDir + stamp.UTC().Format(stampForm) + "/"
	w.gz = gzip.NewWriter(&w.buf)
	return w
}

// add appends a record; known is what the old index has for this path, if that
// is about the same version. After a failure it does nothing: the next run is
// slower.
func (w *indexWriter) add(r record, known *record) {
	if known == nil || r != *known {
		w.differs()
	}
	w.last = r.Path
	if w.wrote {
		w.write(r)
	}
}

// differs says that the old index will not do any more. All that has been the
// same so far is copied from it.
func (w *indexWriter) differs() {
	if w.wrote {
		return
	}
	w.wrote = true
	if w.last == "" {
		return
	}
	for r, err := range w.old.records(w.ctx) {
		if err != nil {
			w.failed = err
			return
		}
		if w.write(r); r.Path >= w.last {
			return
		}
	}
}

func (w *indexWriter) write(r record) {
	if w.failed != nil {
		return
	}
	b, err := json.Marshal(r)
	if err == nil {
		_, err = w.gz.Write(append(b, '\n'))
	}
	w.text += len(b)
	if err == nil && w.text >= pieceText || w.buf.Len() >= pieceSize {
		err = w.flush()
	}
	w.failed = err
}

// flush writes the piece that has been filled.
func (w *indexWriter) flush() error {
	if w.text == 0 {
		return nil
	}
	if err := w.gz.Close(); err != nil {
		return err
	}
	w.n++
	o := store.Object{Key: fmt.Sprintf("%s%05d.gz", w.dir, w.n)}
	var err error
	if o.ETag, err = w.st.Put(w.ctx, o.Key, w.buf.Bytes(), ""); err == nil {
		w.pieces = append(w.pieces, o)
	}
	w.buf.Reset()
	w.gz.Reset(&w.buf)
	w.text = 0
	return err
}

// end writes what is left, and with whole that nothing is missing.
func (w *indexWriter) end(whole bool) error {
	if whole && (!w.old.whole || w.old.cut) {
		w.differs()
	}
	if w.failed == nil {
		w.failed = w.flush()
	}
	if w.failed == nil && whole && w.wrote {
		_, w.failed = w.st.Put(w.ctx, w.dir+endPiece, nil, "")
	}
	return w.failed
}

// An index is one that a former run has written.
type index struct {
	st     store.Store
	pieces []string
	whole  bool
	cut    bool   // the newest was cut off: what its run should have written may be missing
	stamp  string // when it was written, about
	newest string // stamp of all there are
	// old are the objects of all there are, which the next one replaces.
	old []store.Object
}

// findIndex finds the newest index below a prefix that is whole, else the
// newest; one without pieces when there is none.
func findIndex(ctx context.Context, st store.Store, prefix string) (*index, error) {
	x := &index{st: st}
	sets := map[string][]string{}
	whole := map[string]bool{}
	var stamps []string
	for o, err := range st.List(ctx, prefix+"/"+indexDir) {
		if err != nil {
			return nil, err
		}
		stamp, piece, ok := strings.Cut(strings.TrimPrefix(o.Key, prefix+"/"+indexDir), "/")
		if !ok || !pieceForm.MatchString(stamp+"/"+piece) {
			continue // not ours
		}
		x.old = append(x.old, o)
		if piece == endPiece {
			whole[stamp] = true
			continue
		}
		if sets[stamp] == nil {
			stamps = append(stamps, stamp)
		}
		sets[stamp] = append(sets[stamp], o.Key)
	}
	slices.Sort(stamps)
	if len(stamps) > 0 {
		x.newest = stamps[len(stamps)-1]
	}
	x.cut = len(stamps) > 0 && !whole[stamps[len(stamps)-1]]
	for _, complete := range []bool{true, false} {
		for _, s := range slices.Backward(stamps) {
			if whole[s] == complete {
				x.pieces, x.whole, x.stamp = sets[s], complete, s
				return x, nil
			}
		}
	}
	return x, nil
}

// errIndex says that an index cannot be read on.
var errIndex = errors.New("the index of the last run is damaged")

// records yields them in order. An error ends them; the rest of the files has
// to be asked about one by one.
func (x *index) records(ctx context.Context) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		last := ""
		for _, key := range x.pieces {
			b, err := x.piece(ctx, key)
			if err != nil {
				yield(record{}, err)
				return
			}
			lines := bufio.NewScanner(b)
			lines.Buffer(nil, 64<<10)
			for lines.Scan() {
				var r record
				if json.Unmarshal(lines.Bytes(), &r) != nil || r.Path <= last {
					yield(record{}, errIndex)
					return
				}
				if last = r.Path; !yield(r, nil) {
					return
				}
			}
			if lines.Err() != nil {
				yield(record{}, errIndex)
				return
			}
		}
	}
}

// piece reads one piece; only its compressed bytes are kept.
func (x *index) piece(ctx context.Context, key string) (io.Reader, error) {
	r, o, err := x.st.Open(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if o.Size > 4*pieceSize {
		return nil, errIndex
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, errIndex
	}
	return z, nil
}

// current is an index of what the store has now: what has been written of the
// new one, or the old one where they do not differ. What cannot be written yet is
// missing from it. Nothing may be added afterwards.
func (w *indexWriter) current() *index {
	if !w.wrote {
		return w.old
	}
	if w.failed == nil {
		w.failed = w.flush()
	}
	x := &index{st: w.st}
	for i := range w.n {
		x.pieces = append(x.pieces, fmt.Sprintf("%s%05d.gz", w.dir, i+1))
	}
	return x
}
