package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"io"
	"math"
	"time"
)

// Numbers from PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 to 4.5, and, for the
// extended timestamp, from Info-ZIP's extrafld.txt.
const (
	zipVersion = 45           // needed to extract: zip64
	zipUnix    = 3 << 8       // made by: the external attributes are a Unix mode
	zipFlags   = 1<<3 | 1<<11 // data descriptor follows; names are UTF-8
	zipDeflate = 8
	zipMode    = 0o100644 << 16

	sigLocal      = 0x04034b50
	sigDescriptor = 0x08074b50
	sigCentral    = 0x02014b50
	sigEnd64      = 0x06064b50
	sigLocator64  = 0x07064b50
	sigEnd        = 0x06054b50

	extraZip64 = 0x0001
	extraTime  = 0x5455
)

// RFC 1951, 3.2.4: a stored block is a byte of flags, the length and its
// complement, and at most 65,535 bytes as they are.
const (
	blockHead = 5
	blockMax  = math.MaxUint16
)

// A zipWriter writes a zip that is never seeked in, neither here nor by a
// reader that gets it from a pipe. Sizes and CRC therefore follow the data,
// and since a reader finds the end of such an entry only by inflating it, the
// data, compressed already, goes into deflate's stored blocks: 0.008 % more
// bytes. A zip64 extra field in every local header announces 8-byte sizes;
// without it libarchive loses its way after 4 GiB. Memory: one block.
type zipWriter struct {
	w       io.Writer
	created time.Time
	off     int64
	entries []zipEntry
	block   [blockHead + blockMax]byte
	err     error // of the first write that failed; nothing is written after it
}

type zipEntry struct {
	Entry
	off, packed int64
	crc         uint32
}

// add writes one entry with what fill writes. After an error the zip is lost.
func (z *zipWriter) add(name string, fill func(io.Writer) error) (Entry, error) {
	e := &entryWriter{z: z, sha: sha256.New(), zipEntry: zipEntry{Entry: Entry{Name: name}, off: z.off}}
	if err := z.write(z.localHeader(name)); err != nil {
		return Entry{}, err
	}
	start := z.off
	if err := fill(e); err != nil {
		return Entry{}, err
	}
	if err := e.flush(true); err != nil {
		return Entry{}, err
	}
	e.packed = z.off - start
	e.SHA256 = hex.EncodeToString(e.sha.Sum(nil))
	b := binary.LittleEndian.AppendUint32(nil, sigDescriptor)
	b = binary.LittleEndian.AppendUint32(b, e.crc)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.packed))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Size))
	if err := z.write(b); err != nil {
		return Entry{}, err
	}
	z.entries = append(z.entries, e.zipEntry)
	return e.Entry, nil
}

func (z *zipWriter) write(b []byte) error {
	if z.err != nil {
		return z.err
	}
	var n int
	n, z.err = z.w.Write(b)
	z.off += int64(n)
	return z.err
}

// An entryWriter puts one entry's bytes into stored blocks. Sums are taken of
// whole blocks, while they are in the processor's cache.
type entryWriter struct {
	zipEntry
	z   *zipWriter
	sha hash.Hash
	n   int // bytes waiting in z.block
}

func (e *entryWriter) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if e.n == blockMax {
			if err := e.flush(false); err != nil {
				return done, err
			}
		}
		n := copy(e.z.block[blockHead+e.n:], p[done:])
		e.n += n
		done += n
	}
	return done, nil
}

func (e *entryWriter) flush(final bool) error {
	b := e.z.block[:blockHead+e.n]
	b[0] = 0
	if final {
		b[0] = 1
	}
	binary.LittleEndian.PutUint16(b[1:], uint16(e.n))
	binary.LittleEndian.PutUint16(b[3:], ^uint16(e.n))
	data := b[blockHead:]
	e.crc = crc32.Update(e.crc, crc32.IEEETable, data)
	e.sha.Write(data)
	e.Size += int64(e.n)
	e.n = 0
	return e.z.write(b)
}
