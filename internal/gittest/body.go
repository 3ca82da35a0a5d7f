package gittest

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// body spoils what git writes. It holds the whole answer, so use it with
// small repositories.
type body struct {
	http.ResponseWriter
	request *http.Request
	fault   *Fault
	whole   []byte
}

func (b *body) Write(p []byte) (int, error) {
	b.whole = append(b.whole, p...)
	return len(p), nil
}

func (b *body) finish() {
	if b.fault.Corrupt {
		b.whole = corrupt(b.whole)
	}
	stop := int64(len(b.whole))
	if c := b.fault.Cut; c != nil {
		stop = min(stop, c.After)
		if c.Packet {
			stop = boundary(b.whole, stop)
		}
	}
	if s := b.fault.Stall; s != nil && s.After < stop {
		b.send(b.whole[:s.After])
		s.wait(b.request)
		b.send(b.whole[s.After:stop])
	} else {
		b.send(b.whole[:stop])
	}
	if c := b.fault.Cut; c != nil && !c.Clean {
		panic(http.ErrAbortHandler)
	}
}

func (b *body) send(p []byte) {
	if _, err := b.ResponseWriter.Write(p); err == nil {
		_ = http.NewResponseController(b.ResponseWriter).Flush()
	}
}

// packets calls each with the offset and length of every packet of whole,
// header included, until it returns false.
func packets(whole []byte, each func(from, size int) bool) {
	for at := 0; at+4 <= len(whole); {
		n, err := strconv.ParseUint(string(whole[at:at+4]), 16, 16)
		if err != nil {
			return
		}
		size := max(int(n), 4)
		if at+size > len(whole) || !each(at, size) {
			return
		}
		at += size
	}
}

// boundary returns the end of the last packet that ends at or before limit.
func boundary(whole []byte, limit int64) (end int64) {
	packets(whole, func(from, size int) bool {
		if int64(from+size) > limit {
			return false
		}
		end = int64(from + size)
		return true
	})
	return end
}

// corrupt flips bits inside one object of the pack in a sideband answer and
// sets the trailer right again, as a server does whose disk has rotted: the
// answer differs from git's in content alone.
func corrupt(whole []byte) []byte {
	var pack []byte
	var where []int // offset in whole of each byte of pack
	packets(whole, func(from, size int) bool {
		if size > 5 && whole[from+4] == 1 {
			for i := from + 5; i < from+size; i++ {
				pack, where = append(pack, whole[i]), append(where, i)
			}
		}
		return true
	})
	if len(pack) < 12+20 || !bytes.HasPrefix(pack, []byte("PACK")) {
		return whole
	}
	if err := Corrupt(pack); err != nil {
		panic(fmt.Sprintf("gittest: %v", err))
	}
	for i, at := range where {
		whole[at] = pack[i]
	}
	return whole
}

// Corrupt damages one object of a pack in place so that it no longer
// inflates to what it was, and makes the pack's trailer fit.
func Corrupt(pack []byte) error {
	end := len(pack) - sha1.Size
	if end < 12 || binary.BigEndian.Uint32(pack[8:12]) == 0 {
		return fmt.Errorf("corrupt a pack: it holds no object")
	}
	at := 12
	for pack[at]&0x80 != 0 {
		at++
	}
	at++ // the first object of a pack is never an offset delta: its data begins here
	left := bytes.NewReader(pack[at:end])
	if err := inflate(left); err != nil {
		return fmt.Errorf("corrupt a pack: find its first object: %w", err)
	}
	size := end - at - left.Len()
	for i := at + size/2; i < at+size; i++ {
		pack[i] ^= 0x10
		if inflate(bytes.NewReader(pack[at:end])) != nil {
			sum := sha1.Sum(pack[:end])
			copy(pack[end:], sum[:])
			return nil
		}
		pack[i] ^= 0x10
	}
	return fmt.Errorf("corrupt a pack: no byte of the first object matters")
}

func inflate(r io.Reader) error {
	z, err := zlib.NewReader(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, z)
	return err
}
