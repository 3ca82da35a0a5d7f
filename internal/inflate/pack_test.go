package inflate

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// packReader walks the objects of a git pack (gitformat-pack(5)) and has each
// zlib stream checked by a given function.
type packReader struct {
	br       *bufio.Reader
	inflated int64
	objects  uint32
}

// walk reads a pack up to its trailing checksum.
func (p *packReader) walk(check func(br *bufio.Reader, size int64) error) error {
	var head [12]byte
	if _, err := io.ReadFull(p.br, head[:]); err != nil {
		return err
	}
	if !bytes.HasPrefix(head[:], []byte("PACK\x00\x00\x00\x02")) {
		return fmt.Errorf("not a pack of version 2: %x", head)
	}
	p.objects = binary.BigEndian.Uint32(head[8:])
	for i := range p.objects {
		size, err := p.objectHeader()
		if err != nil {
			return err
		}
		if err := check(p.br, size); err != nil {
			return fmt.Errorf("object %d of %d: %w", i, p.objects, err)
		}
		p.inflated += size
	}
	return nil
}

// objectHeader reads the type and size of an object and skips the name of its
// base.
func (p *packReader) objectHeader() (size int64, err error) {
	c, err := p.br.ReadByte()
	if err != nil {
		return 0, err
	}
	kind := c >> 4 & 7
	size = int64(c & 15)
	for shift := 4; c&0x80 != 0; shift += 7 {
		if c, err = p.br.ReadByte(); err != nil {
			return 0, err
		}
		size |= int64(c&0x7f) << shift
	}
	switch kind {
	case 6:
		for c = 0x80; c&0x80 != 0; {
			if c, err = p.br.ReadByte(); err != nil {
				return 0, err
			}
		}
	case 7:
		_, err = p.br.Discard(20)
	}
	return size, err
}

// generatedPack returns a pack, without its trailer, of n objects with the
// sizes of a repository's: most are short, few are long.
func generatedPack(tb testing.TB, n int) []byte {
	r := rand.New(rand.NewPCG(31, 32))
	pack := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(n))
	text := randomText(r, 1<<20)
	for range n {
		size := 20 + r.IntN(300)
		switch r.IntN(20) {
		case 0:
			size = r.IntN(100_000)
		case 1, 2, 3:
			size = r.IntN(10_000)
		}
		from := r.IntN(len(text) - size)
		c := byte(3<<4 | size&15)
		for rest := size >> 4; ; rest >>= 7 {
			if rest == 0 {
				pack = append(pack, c)
				break
			}
			pack = append(pack, c|0x80)
			c = byte(rest & 0x7f)
		}
		pack = append(pack, deflate(tb, text[from:from+size], 6)...)
	}
	return pack
}
