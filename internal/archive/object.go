package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"mayfly/internal/store"
)

const (
	// tailSize is how much of an object's end is read at once: manifest,
	// directory and, but for repositories with many refs, refs.json.
	tailSize = 32 << 10
	// skipMax is how far a stream is read on rather than begun anew.
	skipMax = 256 << 10
)

// An objectReader reads one object of a store at any offset, as archive/zip
// wants it, without holding it: the tail is kept, and all else comes from one
// stream that goes on as long as reads follow each other. Not for concurrent
// use.
type objectReader struct {
	ctx  context.Context
	st   store.Store
	o    store.Object
	tail []byte
	body io.ReadCloser // at off pos; nil: none is open
	pos  int64
	read func(int64) // told of bytes that came; may be nil
}

// openObject reads the tail of o, which a listing named.
func openObject(ctx context.Context, st store.Store, o store.Object) (*objectReader, error) {
	r := &objectReader{ctx: ctx, st: st, o: o}
	n := min(o.Size, tailSize)
	if n == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrDamaged)
	}
	body, err := r.open(o.Size-n, n)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	r.tail = make([]byte, n)
	if _, err := io.ReadFull(body, r.tail); err != nil {
		return nil, err
	}
	return r, nil
}

// open reads n bytes from off of the very object that was listed.
func (r *objectReader) open(off, n int64) (io.ReadCloser, error) {
	body, o, err := r.st.Open(r.ctx, r.o.Key, off, n)
	if err != nil {
		return nil, err
	}
	if o.ETag != r.o.ETag || o.Size != r.o.Size {
		body.Close()
		return nil, fmt.Errorf("read %s: %w: it was listed with %d bytes (%s) and has %d (%s)", r.st.URL(r.o.Key), store.ErrChanged, r.o.Size, r.o.ETag, o.Size, o.ETag)
	}
	return body, nil
}

// ReadAt implements io.ReaderAt.
func (r *objectReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, damage("its directory points before its beginning")
	}
	start := r.o.Size - int64(len(r.tail))
	if off >= start {
		if off >= r.o.Size {
			return 0, io.EOF
		}
		n := copy(p, r.tail[off-start:])
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	want := p[:min(int64(len(p)), start-off)]
	n, err := r.stream(want, off, start)
	if err != nil || len(want) == len(p) {
		return n, err
	}
	more, err := r.ReadAt(p[n:], start)
	return n + more, err
}

// stream reads what stands before the tail, which begins at end.
func (r *objectReader) stream(p []byte, off, end int64) (int, error) {
	if r.body != nil && (off < r.pos || off-r.pos > skipMax) {
		r.Close()
	}
	if r.body == nil {
		body, err := r.open(off, end-off)
		if err != nil {
			return 0, err
		}
		r.body, r.pos = body, off
	}
	if skip := off - r.pos; skip > 0 {
		n, err := io.CopyN(io.Discard, r.body, skip)
		r.pos += n
		if err != nil {
			return 0, r.cut(err)
		}
	}
	n, err := io.ReadFull(r.body, p)
	r.pos += int64(n)
	if r.read != nil {
		r.read(int64(n))
	}
	if err != nil {
		return n, r.cut(err)
	}
	return n, nil
}

// cut is an error in mid-stream. The stream ends with it.
func (r *objectReader) cut(err error) error {
	r.Close()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %s: %w", r.st.URL(r.o.Key), err)
}

// Close ends the stream, if one is open. Reading may begin again.
func (r *objectReader) Close() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	return err
}
