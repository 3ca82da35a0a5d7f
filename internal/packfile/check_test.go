package packfile

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"mayfly/internal/gittest"
)

// realPack returns a pack that git made of everything in a repository.
func realPack(tb testing.TB, kind gittest.Kind, args ...string) []byte {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "repo.git")
	if err := gittest.Repo(dir, kind); err != nil {
		tb.Fatal(err)
	}
	return packOf(tb, dir, args...)
}

func packOf(tb testing.TB, dir string, args ...string) []byte {
	tb.Helper()
	out := filepath.Join(tb.TempDir(), "out")
	name, err := gittest.Git(dir, append([]string{"pack-objects", "--all", "-q"}, append(args, out)...)...)
	if err != nil {
		tb.Fatal(err)
	}
	return read(tb, out+"-"+name+".pack")
}

// An entry is one object of a pack made by hand.
type entry struct {
	kind byte
	size int    // as the header says
	base []byte // what stands before the data of a delta
	data []byte // deflated as it is
	raw  []byte // instead of data: already deflated, or broken
}

// pack makes a pack with a valid trailer of the entries; count is what its
// header says.
func pack(count int, entries ...entry) []byte {
	b := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(count))
	for _, e := range entries {
		c, rest := e.kind<<4|byte(e.size&15), e.size>>4
		for ; rest > 0; rest >>= 7 {
			b, c = append(b, c|0x80), byte(rest&0x7f)
		}
		b = append(append(b, c), e.base...)
		if e.raw == nil {
			e.raw = deflate(e.data)
		}
		b = append(b, e.raw...)
	}
	return seal(b)
}

func seal(b []byte) []byte {
	sum := sha1.Sum(b)
	return append(bytes.Clone(b), sum[:]...)
}

func deflate(data []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write(data) // to memory: cannot fail
	_ = z.Close()
	return b.Bytes()
}

func blob(text string) entry { return entry{kind: 3, size: len(text), data: []byte(text)} }

func TestCheck(t *testing.T) {
	t.Parallel()
	base := bytes.Repeat([]byte{7}, 20)
	version3 := pack(1, blob("x"))
	version3[7] = 3
	version3 = seal(version3[:len(version3)-20])
	version4 := bytes.Clone(version3[:len(version3)-20])
	version4[7] = 4
	wrongTrailer := pack(1, blob("hello"))
	wrongTrailer[len(wrongTrailer)-1] ^= 1
	wrongByte := pack(2, blob("hello"), blob("world"))
	wrongByte[12] ^= 0x10 // a blob becomes a tree: only the trailer tells
	wrongSum := deflate([]byte("hello"))
	wrongSum[len(wrongSum)-1] ^= 1
	hello := byte(1 + len(deflate([]byte("hello")))) // its size in a pack
	tests := map[string]struct {
		pack []byte
		want string // in the error; "" is none
	}{
		"no objects":             {pack(0), ""},
		"all types":              {pack(4, entry{kind: 1, size: 2, data: []byte("ab")}, entry{kind: 2}, blob(""), entry{kind: 4, size: 1, data: []byte("t")}), ""},
		"version 3":              {version3, ""},
		"ref delta":              {pack(1, entry{kind: 7, size: 3, base: base, data: []byte("abc")}), ""},
		"offset delta":           {pack(2, blob("hello"), entry{kind: 6, size: 3, base: []byte{hello}, data: []byte("abc")}), ""},
		"large object":           {pack(1, blob(strings.Repeat("mayfly", 1<<20))), ""},
		"version 4":              {seal(version4), "version 4"},
		"not a pack":             {seal([]byte("JUNK\x00\x00\x00\x02\x00\x00\x00\x00")), `"JUNK"`},
		"one object too few":     {pack(2, blob("hello")), "object 2 of 2"},
		"one object too many":    {pack(1, blob("hello"), blob("world")), "follows"},
		"data after the trailer": {append(pack(1, blob("hello")), 0), "follows"},
		"wrong trailer":          {wrongTrailer, "trailer"},
		"wrong byte":             {wrongByte, "trailer"},
		"type 0":                 {pack(1, entry{kind: 0}), "type 0 at offset 12"},
		"type 5":                 {pack(1, entry{kind: 5}), "type 5 at offset 12"},
		"size too large":         {pack(1, entry{kind: 3, size: 6, data: []byte("hello")}), "holds 5 bytes, not 6"},
		"size too small":         {pack(1, entry{kind: 3, size: 4, data: []byte("hello")}), "more than 4"},
		"size out of range":      {seal([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), "size is out of range"},
		"Adler-32":               {pack(1, entry{kind: 3, size: 5, raw: wrongSum}), "Adler-32"},
		"delta on itself":        {pack(1, entry{kind: 6, size: 1, base: []byte{0}, data: []byte("a")}), "not before it"},
		"delta on the header":    {pack(2, blob("hello"), entry{kind: 6, size: 1, base: []byte{hello + 1}, data: []byte("a")}), "not before it"},
		"delta out of range":     {pack(1, entry{kind: 6, size: 1, base: bytes.Repeat([]byte{0xff}, 12), data: []byte("a")}), "out of range"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []io.Reader{bytes.NewReader(test.pack), iotest.OneByteReader(bytes.NewReader(test.pack)), iotest.DataErrReader(bytes.NewReader(test.pack))} {
				var out bytes.Buffer
				p, err := Check(r, &out)
				if test.want == "" {
					if err != nil || !bytes.Equal(out.Bytes(), test.pack) || p.Bytes != int64(len(test.pack)) {
						t.Fatalf("got %+v, %v, %d bytes copied of %d", p, err, out.Len(), len(test.pack))
					}
					continue
				}
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("error is %v, want %q", err, test.want)
				}
			}
		})
	}
}

func TestCheckCountsRefDeltas(t *testing.T) {
	t.Parallel()
	for args, wanted := range map[string]bool{"--no-reuse-delta": true, "--delta-base-offset": false} {
		b := realPack(t, gittest.Normal, args)
		p, err := Check(bytes.NewReader(b), io.Discard)
		if err != nil || p.Objects < 40 || p.RefDeltas > 0 != wanted {
			t.Errorf("%s: %+v, %v", args, p, err)
		}
	}
}

// samples returns a pack that git made and a small one with every kind of
// object, and how far apart to probe them: a check takes its time to set up.
func samples(t *testing.T) map[int][]byte {
	small := pack(4, blob("hello"), entry{kind: 6, size: 3, base: []byte{1 + byte(len(deflate([]byte("hello"))))}, data: []byte("abc")},
		entry{kind: 7, size: 3, base: bytes.Repeat([]byte{7}, 20), data: []byte("abc")}, blob(strings.Repeat("mayfly", 100)))
	return map[int][]byte{1: small, 11: realPack(t, gittest.Wiki, "--delta-base-offset")}
}

// Whatever is cut off the end of a pack is missed, as an end that came too
// soon and not as damage.
func TestCheckCut(t *testing.T) {
	t.Parallel()
	for step, whole := range samples(t) {
		for n := 0; n < len(whole); n += step {
			_, err := Check(bytes.NewReader(whole[:n]), io.Discard)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%d of %d bytes: error is %v", n, len(whole), err)
			}
		}
	}
}

// Whichever bit of a pack is wrong, it is found.
func TestCheckEveryBit(t *testing.T) {
	t.Parallel()
	for step, whole := range samples(t) {
		if _, err := Check(bytes.NewReader(whole), io.Discard); err != nil {
			t.Fatal(err)
		}
		for bit := 0; bit < len(whole)*8; bit += step * 5 {
			bad := bytes.Clone(whole)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := Check(bytes.NewReader(bad), io.Discard); err == nil {
				t.Fatalf("a wrong bit in byte %d of %d was not found", bit/8, len(whole))
			}
		}
	}
}

func TestCheckFindsWhatGittestCorrupts(t *testing.T) {
	t.Parallel()
	whole := realPack(t, gittest.Normal)
	if err := gittest.Corrupt(whole); err != nil {
		t.Fatal(err)
	}
	if sum := sha1.Sum(whole[:len(whole)-20]); !bytes.HasSuffix(whole, sum[:]) {
		t.Fatal("the corrupt pack's trailer does not fit")
	}
	if _, err := Check(bytes.NewReader(whole), io.Discard); !errors.Is(err, ErrDamaged) {
		t.Errorf("error is %v", err)
	}
}

func TestCheckReadAndWriteErrors(t *testing.T) {
	t.Parallel()
	whole := realPack(t, gittest.Wiki)
	lost := errors.New("connection reset")
	_, err := Check(io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), iotest.ErrReader(lost)), io.Discard)
	if !errors.Is(err, lost) || errors.Is(err, ErrDamaged) {
		t.Errorf("error is %v, not the reader's", err)
	}
	_, err = Check(io.MultiReader(bytes.NewReader(whole), iotest.ErrReader(lost)), io.Discard)
	if !errors.Is(err, lost) {
		t.Errorf("after the trailer: error is %v, not the reader's", err)
	}
	full := errors.New("disk full")
	for _, r := range []io.Reader{bytes.NewReader(whole), iotest.DataErrReader(bytes.NewReader(whole))} {
		var failed WriteError
		if _, err = Check(r, failingWriter{full}); !errors.Is(err, full) || !errors.As(err, &failed) {
			t.Errorf("error is %v, not the writer's", err)
		}
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// Writes are large, and memory does not grow with the pack.
func TestCheckMemory(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 512<<10) // 8 MiB
	whole := pack(3, blob(big), entry{kind: 3, size: len(big), raw: stored(big)}, blob(big))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	writes := 0
	_, err := Check(bytes.NewReader(whole), countWrites{&writes})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if most := len(whole)/(100<<10) + 2; writes > most {
		t.Errorf("%d writes for %d bytes", writes, len(whole))
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
}

type countWrites struct{ n *int }

func (c countWrites) Write(p []byte) (int, error) { *c.n++; return len(p), nil }

func stored(data string) []byte {
	var b bytes.Buffer
	z, _ := zlib.NewWriterLevel(&b, zlib.NoCompression) // a valid level
	_, _ = io.WriteString(z, data)
	_ = z.Close()
	return b.Bytes()
}
