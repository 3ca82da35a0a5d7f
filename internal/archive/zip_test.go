package archive

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"testing"
)

// sizes lie around the edges of deflate's stored blocks.
var sizes = []int{0, 1, blockMax - 1, blockMax, blockMax + 1, 2 * blockMax, 2*blockMax + 1, 1 << 20}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// writeSizes makes a zip with an entry of each size, written in pieces.
func writeSizes(t *testing.T, piece int) (zipped []byte, entries []Entry) {
	t.Helper()
	var out bytes.Buffer
	z := &zipWriter{w: &out, created: created}
	for _, size := range sizes {
		e, err := z.add(fmt.Sprintf("entry %d é", size), func(w io.Writer) error {
			for b := randomBytes(size); len(b) > 0; {
				n, err := w.Write(b[:min(piece, len(b))])
				if err != nil {
					return err
				}
				b = b[n:]
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	if err := z.close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), entries
}

func TestZipByDirectory(t *testing.T) {
	t.Parallel()
	for _, piece := range []int{1000, blockMax, 1 << 20} {
		b, entries := writeSizes(t, piece)
		r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.File) != len(sizes) {
			t.Fatalf("%d entries, want %d", len(r.File), len(sizes))
		}
		for i, f := range r.File {
			want := randomBytes(sizes[i])
			if got := readEntry(t, f); !bytes.Equal(got, want) {
				t.Errorf("%s in pieces of %d: content differs", f.Name, piece)
			}
			sum := sha256.Sum256(want)
			if e := entries[i]; e.Name != f.Name || e.Size != int64(len(want)) || e.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("entry %+v does not fit its data", e)
			}
			if !f.Modified.Equal(created) || f.Mode() != 0o644 || f.NonUTF8 {
				t.Errorf("%s: modified %v, mode %v, not UTF-8 %v", f.Name, f.Modified, f.Mode(), f.NonUTF8)
			}
		}
	}
}

func readEntry(t testing.TB, f *zip.File) []byte {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r) // checks the CRC
	if err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	return b
}

// A reader behind a pipe sees local headers, data and descriptors only.
func TestZipFromPipe(t *testing.T) {
	t.Parallel()
	b, _ := writeSizes(t, 5000)
	r := bufio.NewReader(bytes.NewReader(b))
	for _, size := range sizes {
		var head struct {
			Sig                        uint32
			Version, Flags, Method     uint16
			Modified, CRC, Packed, Raw uint32
			Name, Extra                uint16
		}
		read(t, r, &head)
		extra := make([]byte, int(head.Name)+int(head.Extra))
		read(t, r, extra)
		extra = extra[head.Name:]
		if head.Sig != sigLocal || head.Flags != 1<<3|1<<11 || head.Method != 8 {
			t.Fatalf("local header %+v", head)
		}
		if id, n := binary.LittleEndian.Uint16(extra), binary.LittleEndian.Uint16(extra[2:]); id != 1 || n != 16 {
			t.Fatalf("first extra field is %#x of %d bytes, want zip64 of 16", id, n)
		}
		data, err := io.ReadAll(flate.NewReader(r)) // r is a ByteReader: not a byte too much is read
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(data, randomBytes(size)) {
			t.Errorf("entry of %d bytes differs", size)
		}
		var desc struct {
			Sig, CRC    uint32
			Packed, Raw uint64
		}
		read(t, r, &desc)
		blocks := max(1, (size+blockMax-1)/blockMax)
		if desc.Sig != sigDescriptor || desc.CRC != crc32.ChecksumIEEE(data) || desc.Raw != uint64(size) || desc.Packed != uint64(size+5*blocks) {
			t.Errorf("entry of %d bytes: descriptor %+v", size, desc)
		}
	}
	var sig uint32
	if read(t, r, &sig); sig != sigCentral {
		t.Errorf("signature %#x after the last entry, want the central directory", sig)
	}
}

func read(t *testing.T, r io.Reader, v any) {
	t.Helper()
	if err := binary.Read(r, binary.LittleEndian, v); err != nil {
		t.Fatal(err)
	}
}

// 65,535 entries and more need zip64's end record.
func TestZipManyEntries(t *testing.T) {
	t.Parallel()
	for _, n := range []int{65534, 65535} {
		var out bytes.Buffer
		z := &zipWriter{w: &out, created: created}
		for i := range n {
			if _, err := z.add(fmt.Sprint(i), func(io.Writer) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.close(); err != nil {
			t.Fatal(err)
		}
		r, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			t.Fatalf("%d entries: %v", n, err)
		}
		if len(r.File) != n || r.File[n-1].Name != fmt.Sprint(n-1) {
			t.Errorf("%d entries, want %d", len(r.File), n)
		}
	}
}

// Beyond 4 GiB: an entry whose sizes and one whose offset need 64 bits. The
// first one's data is not there; only the directory knows of it.
func TestZipBigEntries(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1<<32 - 6, 1<<32 - 2, 1<<32 - 1, 1 << 32, 5 << 32} {
		var out bytes.Buffer
		z := &zipWriter{w: &out, created: created, off: size}
		z.entries = []zipEntry{{Entry: Entry{Name: "a", Size: size}, packed: size + 5}}
		if _, err := z.add("b", func(w io.Writer) error { _, err := io.WriteString(w, "tail"); return err }); err != nil {
			t.Fatal(err)
		}
		if err := z.close(); err != nil {
			t.Fatal(err)
		}
		r, err := zip.NewReader(&sparse{at: size, b: out.Bytes()}, size+int64(out.Len()))
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		a, b := r.File[0], r.File[1]
		if a.UncompressedSize64 != uint64(size) || a.CompressedSize64 != uint64(size+5) {
			t.Errorf("%d bytes: read as %d, packed %d", size, a.UncompressedSize64, a.CompressedSize64)
		}
		if got := readEntry(t, b); string(got) != "tail" {
			t.Errorf("entry at %d reads %q", size, got)
		}
	}
}

// sparse is zeros, and b at a place.
type sparse struct {
	at int64
	b  []byte
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off+int64(len(p)) > s.at {
		from := max(0, s.at-off)
		if n := copy(p[from:], s.b[max(0, off-s.at):]); from+int64(n) < int64(len(p)) {
			return int(from) + n, io.EOF
		}
	}
	return len(p), nil
}

// failAfter takes n bytes, fails once, and would take more.
type failAfter struct{ n int }

func (f *failAfter) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		f.n = 1 << 40
		return 0, errFull
	}
	return len(p), nil
}

var errFull = errors.New("no space left")

// A caller that overlooks an error of Write does not get a zip with a hole.
func TestZipKeepsWriteError(t *testing.T) {
	t.Parallel()
	z := &zipWriter{w: &failAfter{n: 3 * blockMax}, created: created}
	_, err := z.add("x", func(w io.Writer) error {
		for range 10 {
			w.Write(make([]byte, blockMax))
		}
		return nil
	})
	if !errors.Is(err, errFull) {
		t.Errorf("add: %v, want the write's error", err)
	}
	if err := z.close(); !errors.Is(err, errFull) {
		t.Errorf("close: %v, want the write's error", err)
	}
}

func BenchmarkZip(b *testing.B) {
	piece := randomBytes(64 << 10)
	b.SetBytes(64 << 20)
	for b.Loop() {
		z := &zipWriter{w: io.Discard, created: created}
		if _, err := z.add("repo.bundle", func(w io.Writer) error {
			for range 1 << 10 {
				w.Write(piece)
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
}
