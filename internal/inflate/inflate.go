// Package inflate checks zlib streams without keeping what they hold.
//
// A git pack is a row of zlib streams. To know that a pack is whole every one
// of them has to be inflated, but the bytes that come out are thrown away: only
// the validity, the length and the checksum matter. A decoder that never hands
// its output over can leave out everything that serves a reader, and takes half
// the time of a general one.
package inflate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// ErrCorrupt is wrapped by every error that says the stream itself is wrong.
// The error that wraps it is a *CorruptError.
var ErrCorrupt = errors.New("corrupt zlib stream")

// CorruptError says where a stream is wrong, and how.
type CorruptError struct {
	// Offset counts the bytes of the stream read before the mistake was seen;
	// the mistake is at it or shortly before it.
	Offset int64
	// Reason is what is wrong there.
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%v: %s at byte %d", ErrCorrupt, e.Reason, e.Offset)
}

// Unwrap returns ErrCorrupt.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }

// Decoder checks one zlib stream after another. Its zero value is ready. It
// takes about 120 KiB, allocates nothing while streams are valid, and is not
// safe for concurrent use.
type Decoder struct {
	src  *bufio.Reader
	in   []byte // what src has buffered; in[:pos] is taken but not yet discarded
	pos  int
	bits uint64 // the next bits of the stream, the first one lowest
	n    uint   // how many of bits are valid; those above are zero or the stream's own
	done int64  // bytes of this stream discarded from src

	out    int   // end of what is inflated in buf
	summed int   // buf[:summed] is in the checksum, or older than this stream
	total  int64 // bytes in the checksum
	size   int64 // bytes the stream has to hold
	sum    adler

	builder      builder
	lens         [maxLens]uint8
	used         [maxLens]uint16
	precode      [1 << precodeBits]uint8
	lit          litTable
	dist         distTable
	fixedLit     litTable
	fixedDist    distTable
	fixedIsBuilt bool

	buf [bufSize]byte
}

// Verify reads exactly one zlib stream (RFC 1950 and RFC 1951) from br. It
// returns nil only if the stream is valid, holds exactly size bytes and its
// Adler-32 matches; then br stands at the first byte after the stream, and no
// byte beyond was waited for. It accepts what zlib's inflate accepts; preset
// dictionaries are refused.
//
// A stream that is wrong gives a *CorruptError, input that ends within the
// stream io.ErrUnexpectedEOF, and an error of the reader is returned as it is.
// After an error the position of br is somewhere within the stream.
func (d *Decoder) Verify(br *bufio.Reader, size int64) error {
	d.src, d.in, d.pos = br, nil, 0
	d.bits, d.n, d.done = 0, 0, 0
	d.out, d.summed, d.total, d.size = 0, 0, 0, size
	d.sum = adler{a: 1}
	err := d.stream()
	if err == nil {
		d.giveBack()
		_, err = br.Discard(d.pos)
	}
	d.src, d.in = nil, nil
	return err
}

// stream reads the header, the blocks and the trailer.
func (d *Decoder) stream() error {
	buffered, err := d.src.Peek(d.src.Buffered())
	if err != nil {
		return err
	}
	d.in = buffered
	if err := d.header(); err != nil {
		return err
	}
	for last := false; !last; {
		if last, err = d.block(); err != nil {
			return err
		}
	}
	return d.trailer()
}

// header reads the two bytes of RFC 1950, section 2.2.
func (d *Decoder) header() error {
	if err := d.need(16); err != nil {
		return err
	}
	h := uint(d.take(16))
	cmf, flg := h&0xff, h>>8
	switch {
	case (cmf<<8|flg)%31 != 0:
		return d.corrupt("header check fails")
	case cmf&15 != 8:
		return d.corrupt("compression method is not deflate")
	case cmf>>4 > 7:
		return d.corrupt("window is larger than 32 KiB")
	case flg&0x20 != 0:
		return d.corrupt("preset dictionary is not supported")
	}
	return nil
}

// trailer compares the size and the checksum.
func (d *Decoder) trailer() error {
	d.take(d.n & 7)
	if err := d.need(32); err != nil {
		return err
	}
	t := uint32(d.take(32))
	want := t>>24 | t>>8&0xff00 | t<<8&0xff0000 | t<<24
	if err := d.account(); err != nil {
		return err
	}
	if d.total != d.size {
		return d.corrupt(fmt.Sprintf("holds %d bytes, not %d", d.total, d.size))
	}
	if d.sum.value() != want {
		return d.corrupt("Adler-32 does not match")
	}
	return nil
}

// account adds the new part of buf to the checksum and stops a stream that
// holds too much already.
func (d *Decoder) account() error {
	part := d.buf[d.summed:d.out]
	d.sum.add(part)
	d.total += int64(len(part))
	d.summed = d.out
	if d.total > d.size {
		return d.corrupt(fmt.Sprintf("holds more than %d bytes", d.size))
	}
	return nil
}

// slide makes room in buf and keeps the last 32 KiB, as far back as a match
// can reach.
func (d *Decoder) slide() error {
	if err := d.account(); err != nil {
		return err
	}
	copy(d.buf[:window], d.buf[d.out-window:d.out])
	d.out, d.summed = window, window
	return nil
}

func (d *Decoder) corrupt(reason string) error {
	return &CorruptError{Offset: d.done + int64(d.pos) - int64(d.n>>3), Reason: reason}
}

// need makes sure that k bits are there, at most 32. Anywhere before the
// checksum at least 32 bits follow in every valid stream, so asking for a whole
// symbol before its length is known never waits for a byte beyond the stream.
func (d *Decoder) need(k uint) error {
	if d.n >= k {
		return nil
	}
	return d.refill(k)
}

// take removes k bits that are known to be there.
func (d *Decoder) take(k uint) uint64 {
	v := d.bits & (1<<(k&63) - 1)
	d.bits >>= k & 63
	d.n -= k
	return v
}

func (d *Decoder) refill(k uint) error {
	for {
		if len(d.in)-d.pos >= 8 {
			d.bits |= load64(d.in, d.pos) << (d.n & 63)
			d.pos += int(63-d.n) >> 3
			d.n |= 56
			return nil
		}
		for d.n < 56 && d.pos < len(d.in) {
			d.bits |= uint64(d.in[d.pos]) << (d.n & 63)
			d.pos++
			d.n += 8
		}
		if d.n >= k {
			return nil
		}
		if err := d.more(); err != nil {
			return err
		}
	}
}

// giveBack returns the whole bytes among the bits to in, so that pos is the
// number of bytes really taken.
func (d *Decoder) giveBack() {
	d.pos -= int(d.n >> 3)
	d.n &= 7
	d.bits &= 1<<d.n - 1
}

// more discards what is taken and waits for at least one byte beyond what is
// buffered. Less than 8 bytes remain buffered then, so even the smallest
// bufio.Reader, of 16 bytes, has room.
func (d *Decoder) more() error {
	d.giveBack()
	if _, err := d.src.Discard(d.pos); err != nil {
		return err
	}
	d.done += int64(d.pos)
	d.in, d.pos = nil, 0
	if _, err := d.src.Peek(d.src.Buffered() + 1); err != nil {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	in, err := d.src.Peek(d.src.Buffered())
	d.in = in
	return err
}
