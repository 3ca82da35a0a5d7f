package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A segment's bytes follow from its content: the same entries at the same time
// always make the same zip. So the strict reading of a segment writes it again,
// from the content that it reads, and holds what comes out against what is
// there: no byte of it can have changed without being noticed, whether a zip
// reader looks at it or not.

// A sameBytes is a writer that takes only what in holds next.
type sameBytes struct {
	in  *bufio.Reader
	off int64
}

var errDiffers = errors.New("it is not what a mayfly writes")

func (s *sameBytes) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n := min(len(p)-done, s.in.Size())
		b, err := s.in.Peek(n)
		if err != nil && err != io.EOF {
			return done, err
		}
		if !bytes.Equal(b, p[done:done+n]) {
			return done, damage("%v, at byte %d or soon after", errDiffers, s.off)
		}
		if _, err := s.in.Discard(n); err != nil {
			return done, err
		}
		done += n
		s.off += int64(n)
	}
	return done, nil
}

// A blockReader reads the content of one entry from its stored blocks, and
// writes each into the same entry as it comes.
type blockReader struct {
	in   *bufio.Reader
	e    *entryWriter
	left []byte // of the current block
	last bool   // the current block is the last
	err  error
}

func (b *blockReader) Read(p []byte) (int, error) {
	for len(b.left) == 0 && b.err == nil {
		b.err = b.next()
	}
	if len(b.left) == 0 {
		return 0, b.err
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

// next goes on to the next block. The last is left to the entry's end.
func (b *blockReader) next() error {
	if b.last {
		return io.EOF
	}
	head, err := b.in.Peek(blockHead)
	if err != nil {
		return cutOff(err)
	}
	n := int(binary.LittleEndian.Uint16(head[1:]))
	b.last = head[0] == 1
	if !b.last && n != blockMax {
		return damage("a block of %d bytes stands where one of %d should", n, blockMax)
	}
	all, err := b.in.Peek(blockHead + n)
	if err != nil {
		return cutOff(err)
	}
	if _, err := b.e.Write(all[blockHead:]); err != nil {
		return err
	}
	b.left = b.e.z.block[blockHead : blockHead+n]
	if b.last {
		return nil
	}
	return b.e.flush(false) // what is left stays in its place until the next block
}

func cutOff(err error) error {
	if err == io.EOF {
		return damage("it ends early")
	}
	return err
}

// strictly reads the whole segment, front to back, in one stream. content is
// called with each entry that the manifest names, in its order, and need not
// read all of it.
func (s *segmentReader) strictly(content func(Entry, io.Reader) error) error {
	body, err := s.src.open(0, s.Object.Size)
	if err != nil {
		return err
	}
	defer body.Close()
	in := bufio.NewReaderSize(&metered{body, s.src.read}, 2*blockMax)
	z := &zipWriter{w: &sameBytes{in: in}, created: s.Manifest.Created}
	manifest := Entry{Name: manifestName, SHA256: s.Sum, Size: int64(s.files[manifestName].UncompressedSize64)}
	for _, want := range append(s.Manifest.Entries[:len(s.Manifest.Entries):len(s.Manifest.Entries)], manifest) {
		got, err := z.add(want.Name, func(w io.Writer) error {
			r := &blockReader{in: in, e: w.(*entryWriter)}
			if want.Name != manifestName {
				err := content(want, r)
				if r.err != nil && r.err != io.EOF {
					return r.err
				}
				if err != nil {
					return err
				}
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				return err
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", want.Name, err)
		}
		if got.SHA256 != want.SHA256 || got.Size != want.Size {
			return damage("%s has %d bytes with the SHA-256 %s, and the manifest says %d and %s", want.Name, got.Size, got.SHA256, want.Size, want.SHA256)
		}
	}
	if err := z.close(); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return damage("something follows its end")
	}
	return nil
}

// metered tells of the bytes that come.
type metered struct {
	r    io.Reader
	told func(int64)
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if m.told != nil {
		m.told(int64(n))
	}
	return n, err
}
