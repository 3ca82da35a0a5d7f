package rebuild

import (
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// An entry header says what an object's bytes in a pack are
// (gitformat-pack(5), "Pack file entry").
type header struct {
	kind plumbing.ObjectType
	size int64         // of what follows, inflated
	back int64         // offset delta: how far before this entry its base begins
	base plumbing.Hash // reference delta: its base
}

// A cursor reads the entries of a pack, in any order.
//
// (go-git's packfile.Scanner hands zlib a used buffer as its dictionary, so
// that a damaged stream can inflate to what another object left there.)
type cursor struct {
	r    io.ReaderAt
	buf  []byte // holds the bytes of the pack before next
	from int    // unread are buf[from:]
	next int64

	crc     uint32
	crcFrom int // bytes of buf before it are in crc

	z       io.ReadCloser // nil before the first
	scratch []byte
}

func newCursor(r io.ReaderAt, window int) *cursor {
	return &cursor{r: r, buf: make([]byte, 0, window), scratch: make([]byte, 32<<10)}
}

// offset is where the next byte stands.
func (c *cursor) offset() int64 { return c.next - int64(len(c.buf)-c.from) }

// seek begins an entry: the checksum starts anew.
func (c *cursor) seek(at int64) {
	if start := c.next - int64(len(c.buf)); start <= at && at <= c.next {
		c.from = int(at - start)
	} else {
		c.buf, c.from, c.next = c.buf[:0], 0, at
	}
	c.crc, c.crcFrom = 0, c.from
}

// sum is the CRC-32 of what was read since seek.
func (c *cursor) sum() uint32 {
	return crc32.Update(c.crc, crc32.IEEETable, c.buf[c.crcFrom:c.from])
}

// forget drops what was read ahead, which has been written over.
func (c *cursor) forget() { c.buf, c.from, c.next = c.buf[:0], 0, 0 }

func (c *cursor) fill() error {
	c.crc = c.sum()
	n, err := c.r.ReadAt(c.buf[:cap(c.buf)], c.next)
	c.buf, c.from, c.crcFrom = c.buf[:n], 0, 0
	c.next += int64(n)
	switch {
	case n > 0:
		return nil
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

// ReadByte implements io.ByteReader, which keeps zlib from reading ahead.
func (c *cursor) ReadByte() (byte, error) {
	if c.from == len(c.buf) {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	b := c.buf[c.from]
	c.from++
	return b, nil
}

// Read implements io.Reader.
func (c *cursor) Read(p []byte) (int, error) {
	if c.from == len(c.buf) {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.buf[c.from:])
	c.from += n
	return n, nil
}

// header reads the beginning of the entry at the given offset.
func (c *cursor) header(at int64) (header, error) {
	c.seek(at)
	var h header
	b, err := c.ReadByte()
	if err != nil {
		return h, err
	}
	h.kind, h.size = plumbing.ObjectType(b>>4&7), int64(b&15)
	for shift := 4; b&0x80 != 0; shift += 7 {
		if b, err = c.ReadByte(); err != nil {
			return h, err
		}
		if shift > 62-7 {
			return h, errors.New("its size is out of range")
		}
		h.size |= int64(b&0x7f) << shift
	}
	switch h.kind {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
	case plumbing.OFSDeltaObject:
		h.back, err = c.distance()
		if err == nil && (h.back <= 0 || h.back > at-packHeader) {
			err = errors.New("its base would be outside of the pack")
		}
	case plumbing.REFDeltaObject:
		_, err = io.ReadFull(c, h.base[:])
	default:
		err = fmt.Errorf("type %d is unknown", h.kind)
	}
	return h, err
}

// distance reads an offset delta's number: seven bits at a time, the highest
// first, and one more for every byte that goes on.
func (c *cursor) distance() (int64, error) {
	b, err := c.ReadByte()
	if err != nil {
		return 0, err
	}
	n := int64(b & 0x7f)
	for b&0x80 != 0 {
		if b, err = c.ReadByte(); err != nil {
			return 0, err
		}
		if n >= 1<<54 {
			return 0, errors.New("its base is out of range")
		}
		n = (n+1)<<7 | int64(b&0x7f)
	}
	return n, nil
}

// inflate writes what follows a header to w: exactly size bytes, whose
// Adler-32 is right.
func (c *cursor) inflate(w io.Writer, size int64) error {
	z, err := c.open()
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(w, io.LimitReader(z, size+1), c.scratch)
	if err == nil && n != size {
		err = fmt.Errorf("it does not inflate to the %d bytes that it claims", size)
	}
	return err
}

// bytes is inflate into memory, of which it takes no more than is there.
func (c *cursor) bytes(size int64) ([]byte, error) {
	if size > 1<<62 || int64(int(size)) != size {
		return nil, fmt.Errorf("its %d bytes are more than fit into memory", size)
	}
	w := &memory{data: make([]byte, 0, min(size, 1<<20))}
	err := c.inflate(w, size)
	return w.data, err
}

type memory struct{ data []byte }

func (m *memory) Write(p []byte) (int, error) {
	m.data = append(m.data, p...)
	return len(p), nil
}

func (c *cursor) open() (io.Reader, error) {
	if c.z == nil {
		z, err := zlib.NewReader(c)
		if err == nil {
			c.z = z
		}
		return z, err
	}
	return c.z, c.z.(zlib.Resetter).Reset(c, nil)
}

// appendHeader appends the header of a whole object to b.
func appendHeader(b []byte, kind plumbing.ObjectType, size int64) []byte {
	first, rest := byte(kind)<<4|byte(size&15), uint64(size)>>4
	if rest == 0 {
		return append(b, first)
	}
	return binary.AppendUvarint(append(b, first|0x80), rest)
}
