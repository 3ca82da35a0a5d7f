package store

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// castagnoli is CRC-32C: S3 checks it, and both amd64 and arm64 compute it in
// hardware.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum64 is a checksum as S3's headers carry it.
func sum64(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// A part is the piece of an object that is being filled or sent.
type part struct {
	number int32
	bufs   [][]byte // all of one length
	size   int      // bytes filled
	sum    uint32
}

func (p *part) full() bool { return p.size == len(p.bufs)*len(p.bufs[0]) }

// space is what is left of the buffer that is being filled.
func (p *part) space() []byte {
	each := len(p.bufs[0])
	return p.bufs[p.size/each][p.size%each:]
}

// took adds b, which stands at the beginning of space.
func (p *part) took(b []byte) {
	p.sum = crc32.Update(p.sum, castagnoli, b)
	p.size += len(b)
}

// reader reads the part from its start; it can seek, so that a failed request
// can be sent again.
func (p *part) reader() io.ReadSeeker { return &partReader{part: p} }

type partReader struct {
	part *part
	at   int64
}

func (r *partReader) Read(b []byte) (int, error) {
	if r.at >= int64(r.part.size) {
		return 0, io.EOF
	}
	each := int64(len(r.part.bufs[0]))
	buf := r.part.bufs[r.at/each]
	end := min(each, int64(r.part.size)-r.at/each*each)
	n := copy(b, buf[r.at%each:end])
	r.at += int64(n)
	return n, nil
}

func (r *partReader) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += r.at
	case io.SeekEnd:
		off += int64(r.part.size)
	}
	if off < 0 {
		return 0, errors.New("seek before the start of a part")
	}
	r.at = off
	return off, nil
}
