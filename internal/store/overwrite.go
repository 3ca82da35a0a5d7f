package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"
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

// Tiny ones have buffers of their own, of which there may be as many as there
// are writers; of the others there are so many at once in the whole process.
const (
	tinyObject    = 32 << 10
	smallAtOnce   = 16
	copyBufferLen = 64 << 10
	readAtOnce    = 512 << 10
)

var (
	tinyBuffers  = sync.Pool{New: func() any { return new([tinyObject]byte) }}
	smallBuffers = sync.Pool{New: func() any { return new([smallObject]byte) }}
	smallOnes    = semaphore.NewWeighted(smallAtOnce)
)

// smallBuffer returns a buffer of size bytes, once there is one, and what gives
// it back.
func smallBuffer(ctx context.Context, size int64) ([]byte, func(), error) {
	if size <= tinyObject {
		b := tinyBuffers.Get().(*[tinyObject]byte)
		return b[:size], func() { tinyBuffers.Put(b) }, nil
	}
	if err := smallOnes.Acquire(ctx, 1); err != nil {
		return nil, nil, context.Cause(ctx)
	}
	b := smallBuffers.Get().(*[smallObject]byte)
	return b[:size], func() { smallBuffers.Put(b); smallOnes.Release(1) }, nil
}

// Overwrite implements Overwriter.
func (s *S3) Overwrite(ctx context.Context, key string, r io.Reader, size int64, a Attributes) (Object, error) {
	if err := CheckKey(key); err != nil {
		return Object{}, err
	}
	if most := s.most(); size > most { // known before all of that is read and sent
		return Object{}, s.wrap("write", key, nil, fmt.Errorf("%w: it has %d bytes, and %d are the most", errTooLarge, size, most))
	}
	over := replacing{any: true, Attributes: a}
	if size <= smallObject {
		buf, done, err := smallBuffer(ctx, size)
		if err != nil {
			return Object{}, s.wrap("write", key, nil, err)
		}
		defer done()
		if err := fill(buf, r); err != nil {
			return Object{}, err
		}
		return s.put(ctx, key, bytes.NewReader(buf), size, crc32.Checksum(buf, castagnoli), over)
	}
	if err := context.Cause(ctx); err != nil {
		return Object{}, s.wrap("write", key, nil, err)
	}
	w := s.writer(ctx, key, over)
	defer w.Close()
	if err := w.readAll(r, size); err != nil {
		return Object{}, err
	}
	return w.Commit()
}

// most is how many bytes an object can have.
func (s *S3) most() int64 {
	small := min(s.o.SmallParts, s.o.MaxParts)
	return int64(s.o.Pool.size) * (int64(small) + int64(s.o.MaxParts-small)*int64(s.o.Pool.parts))
}

// readAll writes size bytes, behind which r must end: it reads them into the
// parts themselves.
func (w *s3Writer) readAll(r io.Reader, size int64) error {
	for left := size; left > 0; {
		space, err := w.space()
		if err != nil {
			return err
		}
		// Not too much at once: whoever counts what was read is to hear of it.
		k, err := io.ReadFull(r, space[:min(int64(len(space)), left, readAtOnce)])
		left -= int64(k)
		switch {
		case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("%d bytes of %d: %w", size-left, size, io.ErrUnexpectedEOF)
		case err != nil:
			return err
		}
		if err := w.took(space[:k]); err != nil {
			return err
		}
	}
	return ended(r)
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
var copyBuffers = sync.Pool{New: func() any { return new([copyBufferLen]byte) }}

// copyAll copies size bytes, behind which r must end.
func copyAll(w io.Writer, r io.Reader, size int64) error {
	buf := copyBuffers.Get().(*[copyBufferLen]byte)
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
