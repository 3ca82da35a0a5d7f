package inflate

import (
	"errors"
	"hash/adler32"
	"strings"
	"testing"
)

// bitWriter writes a stream bit by bit; n counts the bits after the header.
type bitWriter struct {
	out []byte
	n   uint
}

func (w *bitWriter) bit(b byte) {
	if w.n%8 == 0 {
		w.out = append(w.out, 0)
	}
	w.out[len(w.out)-1] |= b << (w.n % 8)
	w.n++
}

// code writes a Huffman code, its first bit first.
func (w *bitWriter) code(bits string) {
	for _, c := range bits {
		w.bit(byte(c - '0'))
	}
}

// number writes the lowest n bits of v, the lowest first.
func (w *bitWriter) number(v, n uint) {
	for i := range n {
		w.bit(byte(v >> i & 1))
	}
}

// dynamicStream returns a stream of one dynamic block with the given lengths,
// the codes of its symbols, and the checksum of data. The code of code lengths
// gives 4 bits to each of 0 to 15.
func dynamicStream(lit, dist map[int]uint, numLit, numDist uint, codes, data string) []byte {
	w := &bitWriter{out: []byte{0x78, 0x9c}}
	w.number(1, 1)
	w.number(2, 2)
	w.number(numLit-257, 5)
	w.number(numDist-1, 5)
	w.number(15, 4)
	for _, sym := range precodeOrder {
		if sym < 16 {
			w.number(4, 3)
		} else {
			w.number(0, 3)
		}
	}
	length := func(l uint) {
		for i := range 4 {
			w.bit(byte(l >> (3 - i) & 1))
		}
	}
	for i := range int(numLit) {
		length(lit[i])
	}
	for i := range int(numDist) {
		length(dist[i])
	}
	w.code(codes)
	sum := adler32.Checksum([]byte(data))
	return append(w.out, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
}

// What is accepted and refused here is what zlib 1.2.13 accepts and refuses.
func TestVerifyJudgesSetsOfCodesAsZlibDoes(t *testing.T) {
	t.Parallel()
	type lens = map[int]uint
	abc := lens{'a': 2, 'b': 2, 256: 2, 257: 2} // a 00, b 01, end 10, length 3 11
	deep := lens{}                              // a code of each length: 0, 10, 110, ...
	for i := range 15 {
		deep['a'+i] = uint(i + 1)
	}
	deep[256] = 15
	for _, c := range []struct {
		name            string
		lit, dist       lens
		numLit, numDist uint
		codes, data     string
		want            string // part of the error
	}{
		{"literals only, no distance code", abc, nil, 258, 1, "00" + "01" + "10", "ab", ""},
		{"no distance code, but a match", abc, nil, 258, 1, "00" + "11" + "0" + "10", "aaaa", "unknown distance"},
		{"a single distance code of one bit", abc, lens{0: 1}, 258, 1, "00" + "11" + "0" + "10", "aaaa", ""},
		{"its other value", abc, lens{0: 1}, 258, 1, "00" + "11" + "1" + "10", "aaaa", "unknown distance"},
		{"a single distance code of two bits", abc, lens{0: 2}, 258, 1, "00" + "10", "a", "impossible set of distance"},
		{"two distance codes", abc, lens{0: 1, 1: 1}, 258, 2, "00" + "01" + "11" + "1" + "10", "ababa", ""},
		{"incomplete distance codes", abc, lens{0: 1, 1: 2}, 258, 2, "00" + "10", "a", "impossible set of distance"},
		{"too many distance codes", abc, lens{0: 1, 1: 1, 2: 1}, 258, 3, "00" + "10", "a", "impossible set of distance"},
		{"too far back", abc, lens{0: 1, 1: 1}, 258, 2, "00" + "11" + "1" + "10", "aaaa", "too far back"},
		{"match before anything", abc, lens{0: 1}, 258, 1, "11" + "0" + "10", "aaa", "too far back"},
		{"only the end, one bit", lens{256: 1}, nil, 257, 1, "0", "", ""},
		{"only the end, the other value", lens{256: 1}, nil, 257, 1, "1", "", "unknown literal"},
		{"only the end, two bits", lens{256: 2}, nil, 257, 1, "00", "", "impossible set of literal"},
		{"no end", lens{'a': 1, 'b': 1}, nil, 257, 1, "01", "ab", "no code for the end"},
		{"no codes at all", nil, nil, 257, 1, "", "", "no code for the end"},
		{"incomplete literals", lens{'a': 2, 256: 2}, nil, 257, 1, "00" + "01", "a", "impossible set of literal"},
		{"too many literals", lens{'a': 1, 'b': 1, 256: 1}, nil, 257, 1, "0", "a", "impossible set of literal"},
		{"287 literals", abc, nil, 287, 1, "00" + "10", "a", "too many"},
		{"31 distances", abc, nil, 258, 31, "00" + "10", "a", "too many"},
		{"286 and 30", abc, nil, 286, 30, "00" + "10", "a", ""},
		{"codes of 15 bits", deep, nil, 257, 1, "0" + "10" + strings.Repeat("1", 13) + "0" + "1111111111110" + strings.Repeat("1", 14) + "0" + strings.Repeat("1", 15), "abnmo", ""},
	} {
		stream := dynamicStream(c.lit, c.dist, c.numLit, c.numDist, c.codes, c.data)
		for how, open := range readers {
			_, err := verify(new(Decoder), open, stream, int64(len(c.data)))
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s, %s: got %v, want %q", c.name, how, err, c.want)
			}
		}
		if c.want == "" {
			agree(t, new(Decoder), stream)
		}
	}
}

func TestVerifyRefusesBadHeadersAndBlocks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, stream, want string
	}{
		{"header check", "\x78\x9d\x03\x00\x00\x00\x00\x01", "corrupt zlib stream: header check fails at byte 2"},
		{"method", "\x77\x09\x03\x00\x00\x00\x00\x01", "corrupt zlib stream: compression method is not deflate at byte 2"},
		{"window of 64 KiB", "\x88\x1c\x03\x00\x00\x00\x00\x01", "corrupt zlib stream: window is larger than 32 KiB at byte 2"},
		{"dictionary", "\x78\xbb\x00\x00\x00\x01\x03\x00\x00\x00\x00\x01", "corrupt zlib stream: preset dictionary is not supported at byte 2"},
		{"block type", "\x78\x9c\x07\x00\x00\x00\x00\x01", "corrupt zlib stream: unknown block type at byte 3"},
		{"stored length", "\x78\x9c\x01\x01\x00\x00\x00x\x00\x00\x00\x01", "corrupt zlib stream: length of a stored block fails its check at byte 7"},
		{"checksum", "\x78\x9c\x03\x00\x00\x00\x00\x02", "corrupt zlib stream: Adler-32 does not match at byte 8"},
		{"end within the header", "\x78", "unexpected EOF"},
		{"nothing", "", "unexpected EOF"},
	} {
		for how, open := range readers {
			if _, err := verify(new(Decoder), open, []byte(c.stream), 0); err == nil || err.Error() != c.want {
				t.Errorf("%s, %s: got %v, want %s", c.name, how, err, c.want)
			}
		}
	}
}
