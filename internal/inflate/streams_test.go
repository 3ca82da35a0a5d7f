package inflate

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"hash/adler32"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// deflate returns data as a zlib stream of the given level.
func deflate(t testing.TB, data []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// randomText returns n bytes with the repetitions of source code.
func randomText(r *rand.Rand, n int) []byte {
	words := make([][]byte, 400)
	for i := range words {
		w := make([]byte, 1+r.IntN(12))
		for k := range w {
			w[k] = "etaoinshrdlucmfwypvbgkjqxz_ABCDEF0123456789.(){}\t\n"[min(r.IntN(50), r.IntN(50))]
		}
		words[i] = w
	}
	var b []byte
	for len(b) < n {
		if r.IntN(6) == 0 && len(b) > 10 {
			from := r.IntN(len(b))
			b = append(b, b[from:min(len(b), from+r.IntN(300))]...)
		}
		b = append(b, words[min(r.IntN(400), r.IntN(400))]...)
		b = append(b, ' ')
	}
	return b[:n]
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// readers are the ways input arrives: whole, byte by byte, in odd pieces, and
// through buffers of the smallest and of usual sizes.
var readers = map[string]func(p []byte) *bufio.Reader{
	"whole": func(p []byte) *bufio.Reader { return bufio.NewReaderSize(bytes.NewReader(p), 8<<10) },
	"bytes": func(p []byte) *bufio.Reader {
		return bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(p)), 300)
	},
	"half":  func(p []byte) *bufio.Reader { return bufio.NewReaderSize(iotest.HalfReader(bytes.NewReader(p)), 512) },
	"small": func(p []byte) *bufio.Reader { return bufio.NewReaderSize(bytes.NewReader(p), 16) },
	"pieces": func(p []byte) *bufio.Reader {
		return bufio.NewReaderSize(&pieces{p: p, r: rand.New(rand.NewPCG(1, uint64(len(p))))}, 100)
	},
	"data and error": func(p []byte) *bufio.Reader {
		return bufio.NewReaderSize(iotest.DataErrReader(bytes.NewReader(p)), 200)
	},
}

// pieces returns between 1 and 40 bytes each time.
type pieces struct {
	p []byte
	r *rand.Rand
}

func (s *pieces) Read(p []byte) (int, error) {
	if len(s.p) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 1+s.r.IntN(40))], s.p)
	s.p = s.p[n:]
	return n, nil
}

// counting counts what was read from a bytes.Reader; being an io.ByteReader it
// keeps the standard library from buffering ahead.
type counting struct {
	r *bytes.Reader
}

func (c counting) Read(p []byte) (int, error) { return c.r.Read(p) }
func (c counting) ReadByte() (byte, error)    { return c.r.ReadByte() }

// standard inflates with the standard library and returns what was in the
// stream and how long the stream was.
func standard(p []byte) (data []byte, taken int, err error) {
	r := bytes.NewReader(p)
	z, err := zlib.NewReader(counting{r})
	if err != nil {
		return nil, 0, err
	}
	data, err = io.ReadAll(z)
	return data, len(p) - r.Len(), err
}

// verify checks p through the given reader and returns how much was taken.
func verify(d *Decoder, open func([]byte) *bufio.Reader, p []byte, size int64) (int, error) {
	br := open(p)
	if err := d.Verify(br, size); err != nil {
		return 0, err
	}
	rest, err := io.ReadAll(br)
	return len(p) - len(rest), err
}

// withChecksum replaces what follows the last block by the right checksum; ok
// is false when the blocks themselves are wrong.
func withChecksum(p []byte) (fixed []byte, ok bool) {
	r := bytes.NewReader(p[2:])
	data, err := io.ReadAll(flate.NewReader(counting{r}))
	if err != nil {
		return nil, false
	}
	end := len(p) - r.Len()
	return binary.BigEndian.AppendUint32(bytes.Clone(p[:end]), adler32.Checksum(data)), true
}
