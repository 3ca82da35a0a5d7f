package inflate

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func TestVerifyAcceptsWhatZlibWrites(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	data := map[string][]byte{
		"empty":          {},
		"one byte":       {'x'},
		"short":          []byte("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor a <a@b> 1 +0000\n"),
		"one run":        bytes.Repeat([]byte{7}, 300_000),
		"period 3":       bytes.Repeat([]byte("abc"), 70_000),
		"period 7":       bytes.Repeat([]byte("abcdefg"), 40_000),
		"text":           randomText(r, 400_000),
		"random":         randomBytes(r, 200_000),
		"window of text": randomText(r, window),
		"buffer of text": randomText(r, bufSize),
	}
	far := randomBytes(r, window)
	data["farthest match"] = append(append([]byte{}, far...), far...)
	for i := range 16 {
		data[fmt.Sprintf("around the room %d", i)] = randomText(r, bufSize-slack-32+4*i)
	}
	var d Decoder
	for name, data := range data {
		for _, level := range []int{zlib.HuffmanOnly, 0, 1, 6, 9} {
			stream := deflate(t, data, level)
			for how, open := range readers {
				// Long streams need not come in small pieces at every level.
				if len(data) > 50_000 && how != "whole" && level != 6 {
					continue
				}
				taken, err := verify(&d, open, append(bytes.Clone(stream), "next object, not to be touched"...), int64(len(data)))
				if err != nil || taken != len(stream) {
					t.Errorf("%s, level %d, %s: took %d of %d, %v", name, level, how, taken, len(stream), err)
				}
			}
		}
	}
}

func TestVerifyWaitsForNothingBeyondTheStream(t *testing.T) {
	t.Parallel()
	var d Decoder
	for _, size := range []int{0, 1, 2, 5, 100, 70_000} {
		data := randomText(rand.New(rand.NewPCG(3, 4)), size)
		for _, level := range []int{0, 1, 9} {
			beyond := errors.New("read beyond the stream")
			in := io.MultiReader(iotest.OneByteReader(bytes.NewReader(deflate(t, data, level))), iotest.ErrReader(beyond))
			if err := d.Verify(bufio.NewReader(in), int64(size)); err != nil {
				t.Errorf("%d bytes at level %d: %v", size, level, err)
			}
		}
	}
}

func TestVerifySize(t *testing.T) {
	t.Parallel()
	var d Decoder
	for _, n := range []int{0, 1, 100, 500_000} {
		stream := deflate(t, bytes.Repeat([]byte("0123456789"), n)[:n], 6)
		for _, size := range []int64{-1, 0, 1, 99, 100, 101, 499_999, 500_000, 500_001, 1 << 40} {
			_, err := verify(&d, readers["whole"], stream, size)
			if got, want := err == nil, size == int64(n); got != want {
				t.Errorf("%d bytes announced as %d: %v", n, size, err)
			}
			if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d bytes announced as %d: %v is no ErrCorrupt", n, size, err)
			}
		}
	}
}

// A stream that goes on for ever must be stopped by the size it was to have.
func TestVerifyStopsAStreamThatIsTooLong(t *testing.T) {
	t.Parallel()
	stored := append([]byte{0, 0xff, 0xff, 0, 0}, make([]byte, 0xffff)...)
	in := io.MultiReader(bytes.NewReader([]byte{0x78, 0x9c}), &forever{p: stored})
	var d Decoder
	err := d.Verify(bufio.NewReader(in), 1000)
	var c *CorruptError
	if !errors.As(err, &c) || c.Offset > 2*bufSize {
		t.Fatalf("got %v, want a *CorruptError early in the stream", err)
	}
}

type forever struct {
	p  []byte
	at int
}

func (f *forever) Read(p []byte) (int, error) {
	n := copy(p, f.p[f.at:])
	f.at = (f.at + n) % len(f.p)
	return n, nil
}

func TestVerifyFindsEveryFlippedBit(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	data := [][]byte{{}, []byte("a"), bytes.Repeat([]byte("z"), 700), randomText(r, 300), randomText(r, 1200), randomBytes(r, 200)}
	var d Decoder
	in := bytes.NewReader(nil)
	br := bufio.NewReader(in)
	check := func(stream []byte, size int) error {
		in.Reset(stream)
		br.Reset(in)
		return d.Verify(br, int64(size))
	}
	for i, data := range data {
		for _, level := range []int{zlib.HuffmanOnly, 0, 1, 9} {
			stream := deflate(t, data, level)
			for bit := range 8 * len(stream) {
				stream[bit/8] ^= 1 << (bit % 8)
				if check(stream, len(data)) == nil && !isPadding(stream, data) {
					t.Errorf("data %d, level %d: bit %d flipped and not found", i, level, bit)
				}
				stream[bit/8] ^= 1 << (bit % 8)
			}
			for cut := range stream {
				if err := check(stream[:cut], len(data)); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("data %d, level %d, cut after %d bytes: %v", i, level, cut, err)
				}
			}
		}
	}
}

// isPadding says whether the standard library reads the same data from the
// changed stream: the unused bits before the checksum or a stored block are the
// only ones that nothing covers.
func isPadding(stream, data []byte) bool {
	got, taken, err := standard(stream)
	return err == nil && taken == len(stream) && bytes.Equal(got, data)
}

func TestVerifyPassesTheReadersError(t *testing.T) {
	t.Parallel()
	stream := deflate(t, randomText(rand.New(rand.NewPCG(7, 8)), 5000), 6)
	broken := errors.New("connection reset")
	var d Decoder
	for cut := range stream {
		in := io.MultiReader(bytes.NewReader(stream[:cut]), iotest.ErrReader(broken))
		if err := d.Verify(bufio.NewReaderSize(in, 64), 5000); err != broken {
			t.Fatalf("after %d bytes: got %v, want %v", cut, err, broken)
		}
	}
}

func TestVerifyAllocatesNothing(t *testing.T) {
	data := randomText(rand.New(rand.NewPCG(9, 10)), 200_000)
	streams := [][]byte{deflate(t, data, 6), deflate(t, data[:100], 6), deflate(t, data[:3000], 0)}
	sizes := []int64{200_000, 100, 3000}
	d := new(Decoder)
	in := bytes.NewReader(nil)
	br := bufio.NewReader(in)
	allocs := testing.AllocsPerRun(20, func() {
		for i, s := range streams {
			in.Reset(s)
			br.Reset(in)
			if err := d.Verify(br, sizes[i]); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}
