package secret

import (
	"encoding/binary"
	"maps"
	"math/bits"
	"unicode/utf16"
)

// gram is how many bytes of a secret are recognised in a dump. What a dump has
// of a secret at the beginning or the end of a line and is shorter stays.
const gram = 4

const (
	// maxBetween is how many characters may stand between two digits of a dump,
	// 0x not counted.
	maxBetween = 6
	// maxBlank is how many may stand between two letters of one.
	maxBlank = 16
	// maxPiece is more than the longest spelling of a piece, and what is looked
	// at around it.
	maxPiece = 128
)

// grams are all pieces of secrets, gram bytes long. Dumps break secrets into
// lines at any place, so no whole secret need be in one.
type grams struct {
	set map[uint32]struct{}
	// sieve has a bit for each that is in set, and for few others: it is what
	// makes looking cheap.
	sieve [1 << 10]uint64
}

func newGrams() *grams { return &grams{set: map[uint32]struct{}{}} }

func (g *grams) clone() *grams {
	if g == nil {
		return newGrams()
	}
	return &grams{set: maps.Clone(g.set), sieve: g.sieve}
}

// is reports whether w is a piece of a secret.
func (g *grams) is(w uint32) bool {
	h := w * 0x9e3779b1 >> 16
	if g.sieve[h>>6]&(1<<(h&63)) == 0 {
		return false
	}
	_, ok := g.set[w]
	return ok
}

// add makes the pieces of plain known, as it is and in UTF-16 of both orders.
func (g *grams) add(plain string) {
	for _, b := range [][]byte{[]byte(plain), utf16Bytes(plain, binary.LittleEndian), utf16Bytes(plain, binary.BigEndian)} {
		for i := 0; i+gram <= len(b); i++ {
			w := binary.BigEndian.Uint32(b[i:])
			g.set[w] = struct{}{}
			h := w * 0x9e3779b1 >> 16
			g.sieve[h>>6] |= 1 << (h & 63)
		}
	}
}

func utf16Bytes(s string, order binary.AppendByteOrder) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

// has also finds the pieces in the words of two and of four bytes that od,
// hexdump and others print on machines that begin with the lowest.
func (g *grams) has(w uint32) bool {
	return g.is(w) || g.is(bits.ReverseBytes32(w)) || g.is(w&0x00ff00ff<<8|w>>8&0x00ff00ff)
}

// find returns where pieces stand in s in digits of base 16, with whatever
// usually stands between them, in base 64, or letter by letter.
func (g *grams) find(s string) (found []span) {
	if g == nil {
		return nil
	}
	found = g.inHex(s)
	found = append(found, g.inBase64(s)...)
	return append(found, g.inLetters(s)...)
}

// inHex looks at each eight digits that follow one another on a line.
func (g *grams) inHex(s string) (found []span) {
	var at [2 * gram]int
	var w uint32
	n, between := 0, 0
	for i := 0; i < len(s); i++ {
		if s[i] == '0' && i+2 < len(s) && s[i+1]|0x20 == 'x' && nibble(s[i+2]) >= 0 {
			i += 2 // 0x is none of the digits
		}
		c := s[i]
		v := nibble(c)
		if v < 0 {
			between++
			// \x73, %73, &#x73; 73:33 and columns.
			if between > maxBetween || !isBetween(c) && !(c == 'x' && i > 0 && (s[i-1] == '\\' || s[i-1] == '#')) {
				n, between = 0, 0
			}
			continue
		}
		between = 0
		at[n%len(at)] = i
		n++
		w = w<<4 | uint32(v)
		if n >= len(at) && g.has(w) {
			found = append(found, span{at[n%len(at)], i + 1})
		}
	}
	return found
}

func isBetween(c byte) bool {
	switch c {
	case ' ', '\t', ':', ',', ';', '-', '_', '\\', '%', '&', '#', '\'', '"', '{', '}', '[', ']':
		return true
	}
	return false
}

func nibble(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// inBase64 looks at each six digits: a byte begins with the first one's first,
// third or fifth bit.
func (g *grams) inBase64(s string) (found []span) {
	var w uint64
	n := 0
	for i := 0; i < len(s); i++ {
		v := digit64(s[i])
		if v < 0 {
			n = 0
			continue
		}
		w, n = w<<6|uint64(v), n+1
		if n < 6 {
			continue
		}
		for shift := 0; shift <= 4; shift += 2 {
			if g.is(uint32(w >> shift)) {
				found = append(found, span{i - 5, i + 1})
				break
			}
		}
	}
	return found
}

func digit64(c byte) int {
	switch {
	case c >= 'A' && c <= 'Z':
		return int(c - 'A')
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 26
	case c >= '0' && c <= '9':
		return int(c-'0') + 52
	case c == '+' || c == '-':
		return 62
	case c == '/' || c == '_':
		return 63
	}
	return -1
}

// inLetters looks at letters that stand alone, as od -c has them, and at bytes
// in three octal digits, as \163 or between spaces.
func (g *grams) inLetters(s string) (found []span) {
	var at [gram]int
	var w uint32
	n, blank := 0, 0
	for i := 0; i < len(s); {
		if isSpace(s[i]) {
			if blank++; blank > maxBlank || s[i] == '\n' || s[i] == '\r' {
				n = 0
			}
			i++
			continue
		}
		blank = 0
		v, size := lone(s, i)
		if size == 0 {
			n = 0
			for i < len(s) && !isSpace(s[i]) && s[i] != '\\' {
				i++
			}
			if i < len(s) && s[i] == '\\' && octal(s, i+1) < 0 {
				i++
			}
			continue
		}
		at[n%gram] = i
		n++
		w = w<<8 | uint32(v)
		i += size
		if n >= gram {
			if g.is(w) {
				found = append(found, span{at[n%gram], i})
			}
		}
	}
	return found
}

// lone is the byte that stands for itself at s[i:], and the length of its
// spelling: \163, 163 or s.
func lone(s string, i int) (v byte, size int) {
	if s[i] == '\\' {
		if v := octal(s, i+1); v >= 0 {
			return byte(v), 4
		}
	}
	if v := octal(s, i); v >= 0 && (i+3 == len(s) || isSpace(s[i+3])) {
		return byte(v), 3
	}
	if i+1 == len(s) || isSpace(s[i+1]) {
		return s[i], 1
	}
	return 0, 0
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// octal is the value of three octal digits at s[i:], -1 when there are none.
func octal(s string, i int) int {
	if i+3 > len(s) {
		return -1
	}
	v := 0
	for _, c := range []byte(s[i : i+3]) {
		if c < '0' || c > '7' {
			return -1
		}
		v = v<<3 | int(c-'0')
	}
	if v > 255 {
		return -1
	}
	return v
}

// columns are the spans, on the same line, of what a hit in a dump stands for:
// the column of text beside the digits. It is left to the caller to merge.
func (g *grams) columns(s string, hits []span) (found []span) {
	line := -1
	for _, h := range hits {
		if h.to <= line {
			continue // of the line that was looked at last
		}
		end := h.to
		for end < len(s) && s[end] != '\n' {
			end++
		}
		line = end
		// A piece may begin or end with the column.
		for i := h.to; i+gram <= end; i++ {
			if g.is(binary.BigEndian.Uint32([]byte(s[i : i+gram]))) {
				found = append(found, span{i, i + gram})
			}
		}
	}
	return found
}
