package packfile

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"

	"mayfly/internal/gittest"
)

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// FuzzPack checks packs of any content behind a fitting trailer, or else
// nothing would get past that. It compares with a plain reading of the format
// on the standard library, and with git for packs without deltas.
func FuzzPack(f *testing.F) {
	f.Add([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00"))
	for _, p := range [][]byte{
		pack(2, blob("hello"), entry{kind: 6, size: 3, base: []byte{14}, data: []byte("abc")}),
		pack(1, entry{kind: 7, size: 3, base: make([]byte, 20), data: []byte("abc")}),
		pack(2, blob("hello"), blob("world")),
	} {
		f.Add(p[:len(p)-20])
	}
	repo := filepath.Join(f.TempDir(), "repo.git")
	if err := gittest.Repo(repo, gittest.Empty); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 1<<16 {
			return
		}
		var out bytes.Buffer
		_, _ = Check(bytes.NewReader(body), io.Discard) // may not panic
		whole := seal(body)
		got, err := Check(bytes.NewReader(whole), &out)
		refDeltas, ofsDeltas, plain := plainly(body)
		if (err == nil) != plain {
			t.Fatalf("error is %v; a plain reading accepts: %v", err, plain)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(out.Bytes(), whole) || got.RefDeltas != refDeltas || got.Bytes != int64(len(whole)) {
			t.Fatalf("got %+v with %d ref deltas, %d of %d bytes copied", got, refDeltas, out.Len(), len(whole))
		}
		if refDeltas == 0 && ofsDeltas == 0 && got.Objects > 0 {
			if _, err := gittest.GitInput(repo, bytes.NewReader(whole), "index-pack", "--stdin"); err != nil {
				t.Fatalf("accepted, but %v", err)
			}
		}
	})
}

// plainly reads a pack without its trailer and reports whether it is one.
func plainly(body []byte) (refDeltas, ofsDeltas uint32, ok bool) {
	if len(body) < 12 || string(body[:4]) != "PACK" || body[4]|body[5]|body[6] != 0 || body[7] != 2 && body[7] != 3 {
		return 0, 0, false
	}
	left := bytes.NewReader(body[12:])
	for range binary.BigEndian.Uint32(body[8:12]) {
		start := len(body) - left.Len()
		c, err := left.ReadByte()
		if err != nil {
			return 0, 0, false
		}
		kind, size := c>>4&7, uint64(c&15)
		for shift := 4; c&0x80 != 0; shift += 7 {
			if c, err = left.ReadByte(); err != nil || shift > 55 {
				return 0, 0, false
			}
			size |= uint64(c&0x7f) << shift
		}
		switch kind {
		case 0, 5:
			return 0, 0, false
		case ofsDelta:
			ofsDeltas++
			if !baseBefore(left, start) {
				return 0, 0, false
			}
		case refDelta:
			refDeltas++
			if _, err := io.CopyN(io.Discard, left, 20); err != nil {
				return 0, 0, false
			}
		}
		z, err := zlib.NewReader(left) // a ByteReader: nothing is read ahead
		if err != nil {
			return 0, 0, false
		}
		if n, err := io.Copy(io.Discard, z); err != nil || uint64(n) != size {
			return 0, 0, false
		}
	}
	return refDeltas, ofsDeltas, left.Len() == 0
}

func baseBefore(r *bytes.Reader, start int) bool {
	c, err := r.ReadByte()
	back := uint64(c & 0x7f)
	for c&0x80 != 0 && err == nil && back < 1<<50 {
		c, err = r.ReadByte()
		back = (back+1)<<7 | uint64(c&0x7f)
	}
	return err == nil && back > 0 && int64(back) <= int64(start)-12
}
