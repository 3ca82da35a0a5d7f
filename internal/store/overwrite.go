package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
)

var (
	_ Overwriter = (*S3)(nil)
	_ Overwriter = (*Dir)(nil)
)

var errLonger = errors.New("there is more of it than was said")

// smallObject is up to which size an object goes in one request, from a buffer
// that is none of the pool's: many of them may be on their way at once, and the
// pool has few buffers.
const smallObject = 256 << 10

var smallBuffers = sync.Pool{New: func() any { return new([smallObject]byte) }}

// Overwrite implements Overwriter.
func (s *S3) Overwrite(ctx context.Context, key string, r io.Reader, size int64, a Attributes) (Object, error) {
	if err := CheckKey(key); err != nil {
		return Object{}, err
	}
	over := replacing{any: true, Attributes: a}
	if size <= smallObject {
		buf := smallBuffers.Get().(*[smallObject]byte)
		defer smallBuffers.Put(buf)
		if err := fill(buf[:size], r); err != nil {
			return Object{}, err
		}
		return s.put(ctx, key, bytes.NewReader(buf[:size]), size, crc32.Checksum(buf[:size], castagnoli), over)
	}
	if err := context.Cause(ctx); err != nil {
		return Object{}, s.wrap("write", key, nil, err)
	}
	w := s.writer(ctx, key, over)
	defer w.Close()
	if err := copyAll(w, r, size); err != nil {
		return Object{}, err
	}
	return w.Commit()
}

// fill reads all of b, behind which r must end.
func fill(b []byte, r io.Reader) error {
	n, err := io.ReadFull(r, b)
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%d bytes of %d: %w", n, len(b), io.ErrUnexpectedEOF)
	}
	if err != nil {
		return err
	}
	return ended(r)
}

// ended reports whether r has nothing left.
func ended(r io.Reader) error {
	var one [1]byte
	for {
		n, err := r.Read(one[:])
		switch {
		case n > 0:
			return errLonger
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// copyBuffers are for the way from a file to a part.
var copyBuffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// copyAll copies size bytes, behind which r must end.
func copyAll(w io.Writer, r io.Reader, size int64) error {
	buf := copyBuffers.Get().(*[128 << 10]byte)
	defer copyBuffers.Put(buf)
	n, err := io.CopyBuffer(w, io.LimitReader(r, size), buf[:])
	if err == nil && n < size {
		return fmt.Errorf("%d bytes of %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return err
	}
	return ended(r)
}

// Overwrite implements Overwriter.
func (d *Dir) Overwrite(ctx context.Context, key string, r io.Reader, size int64, _ Attributes) (Object, error) {
	w, err := d.create(ctx, key)
	if err != nil {
		return Object{}, err
	}
	defer w.Close()
	if err := copyAll(w, r, size); err != nil {
		return Object{}, err
	}
	return w.commit("", true)
}

// Meta implements Overwriter.
func (d *Dir) Meta(ctx context.Context, key string) (Object, map[string]string, error) {
	o, err := d.Stat(ctx, key)
	return o, nil, err
}
