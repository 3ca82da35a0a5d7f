// Package packfile checks git packs (gitformat-pack(5)) as they stream by, in
// bounded memory.
package packfile

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"mayfly/internal/inflate"
)

// A Pack says what a pack held.
type Pack struct {
	Objects   uint32 // by its header; as many were inflated
	Bytes     int64  // of the pack, trailer included
	RefDeltas uint32 // deltas whose base is named by id: it may lie outside of the pack
}

// ErrDamaged is what every fault of the pack's own content wraps; faults of
// reading and writing do not.
var ErrDamaged = errors.New("pack is damaged")

// Damaged is an error that wraps ErrDamaged and says more.
func Damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// packBuffer is how much of a pack is read, hashed and written at a time.
const packBuffer = 128 << 10

// Check copies a pack from r to w and checks it on the way, in bounded
// memory: header, as many objects as it says, each inflating to its size with
// the right Adler-32, the SHA-1 of it all, and nothing after it
// (gitformat-pack(5)). Object ids and the bases of deltas are not checked:
// that needs the whole pack at hand.
func Check(r io.Reader, w io.Writer) (Pack, error) {
	tap := &tap{r: r, w: w, sum: sha1.New()}
	c := &checker{tap: tap, br: bufio.NewReaderSize(tap, packBuffer)}
	p, err := c.pack()
	p.Bytes = tap.n
	return p, err
}

type checker struct {
	tap     *tap
	br      *bufio.Reader
	inflate inflate.Decoder
	p       Pack
}

func (c *checker) pack() (Pack, error) {
	var header [12]byte
	if _, err := io.ReadFull(c.br, header[:]); err != nil {
		return c.p, early(err)
	}
	if !bytes.HasPrefix(header[:], []byte("PACK")) {
		return c.p, Damaged("it does not begin with PACK but with %q", header[:4])
	}
	if v := binary.BigEndian.Uint32(header[4:8]); v != 2 && v != 3 {
		return c.p, Damaged("version %d", v)
	}
	c.p.Objects = binary.BigEndian.Uint32(header[8:12])
	for i := range c.p.Objects {
		if err := c.object(); err != nil {
			return c.p, fmt.Errorf("object %d of %d: %w", i+1, c.p.Objects, err)
		}
	}
	return c.p, c.trailer()
}

// The types of objects in a pack.
const (
	ofsDelta = 6
	refDelta = 7
)

func (c *checker) object() error {
	start := c.offset()
	kind, size, err := c.typeAndSize()
	if err != nil {
		return err
	}
	switch kind {
	case 1, 2, 3, 4: // commit, tree, blob, tag
	case ofsDelta:
		if err := c.baseOffset(start); err != nil {
			return err
		}
	case refDelta:
		c.p.RefDeltas++
		if _, err := c.br.Discard(sha1.Size); err != nil {
			return early(err)
		}
	default:
		return Damaged("type %d at offset %d", kind, start)
	}
	err = c.inflate.Verify(c.br, size)
	if errors.Is(err, inflate.ErrCorrupt) {
		return Damaged("at offset %d: %v", start, err)
	}
	return err
}

// typeAndSize reads three bits of type and a size, low bits first.
func (c *checker) typeAndSize() (kind byte, size int64, err error) {
	b, err := c.br.ReadByte()
	if err != nil {
		return 0, 0, early(err)
	}
	kind, size = b>>4&7, int64(b&15)
	for shift := 4; b&0x80 != 0; shift += 7 {
		if shift > 62-7 {
			return 0, 0, Damaged("an object's size is out of range")
		}
		if b, err = c.br.ReadByte(); err != nil {
			return 0, 0, early(err)
		}
		size |= int64(b&0x7f) << shift
	}
	return kind, size, nil
}

// baseOffset reads how far before start an offset delta's base begins.
func (c *checker) baseOffset(start int64) error {
	b, err := c.br.ReadByte()
	if err != nil {
		return early(err)
	}
	back := int64(b & 0x7f)
	for b&0x80 != 0 {
		if b, err = c.br.ReadByte(); err != nil {
			return early(err)
		}
		if back >= 1<<54 {
			return Damaged("the base of the delta at offset %d is out of range", start)
		}
		back = (back+1)<<7 | int64(b&0x7f)
	}
	if back <= 0 || back > start-12 {
		return Damaged("the base of the delta at offset %d is not before it in the pack", start)
	}
	return nil
}

func (c *checker) trailer() error {
	if _, err := c.br.Discard(sha1.Size); err != nil {
		return early(err)
	}
	switch _, err := c.br.ReadByte(); {
	case err == nil:
		return Damaged("data follows its %d objects and the trailer", c.p.Objects)
	case !errors.Is(err, io.EOF):
		return err
	}
	if got, want := c.tap.sum.Sum(nil), c.tap.tail[:]; !bytes.Equal(got, want) {
		return Damaged("its SHA-1 is %x, its trailer says %x", got, want)
	}
	return nil
}

// offset returns where in the pack the next byte stands.
func (c *checker) offset() int64 { return c.tap.n - int64(c.br.Buffered()) }

// early turns the end of the input into an unexpected one.
func early(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A tap passes everything read from r on to w and into the sum, but for the
// last 20 bytes: the trailer.
type tap struct {
	r    io.Reader
	w    io.Writer
	sum  hash.Hash
	tail [sha1.Size]byte
	held int // bytes in tail
	n    int64
	err  error // of r or w, sticky
}

// A WriteError marks an error of the writer among those of Check.
type WriteError struct{ err error }

func (e WriteError) Error() string { return "write the pack: " + e.err.Error() }
func (e WriteError) Unwrap() error { return e.err }

// Read fills p as far as it can: what it is given at a time is hashed and
// written at a time.
func (t *tap) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	var n int
	var err error
	for n < len(p) && err == nil {
		var got int
		got, err = t.r.Read(p[n:])
		n += got
	}
	t.n += int64(n)
	t.hash(p[:n])
	if n > 0 {
		if _, werr := t.w.Write(p[:n]); werr != nil {
			err = WriteError{werr}
		}
	}
	t.err = err
	return n, err
}

// hash adds all but the last 20 bytes seen so far to the sum.
func (t *tap) hash(p []byte) {
	if len(p) >= sha1.Size {
		t.sum.Write(t.tail[:t.held])
		t.sum.Write(p[:len(p)-sha1.Size])
		t.held = copy(t.tail[:], p[len(p)-sha1.Size:])
		return
	}
	if out := t.held + len(p) - sha1.Size; out > 0 {
		t.sum.Write(t.tail[:out])
		t.held = copy(t.tail[:], t.tail[out:t.held])
	}
	t.held += copy(t.tail[t.held:], p)
}
