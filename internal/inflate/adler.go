package inflate

import "encoding/binary"

const (
	adlerMod = 65521
	// adlerMax is the most bytes that can be added before a and b must be
	// reduced to stay within 32 bits (RFC 1950, section 9); it is 30*184 and
	// within the 5552 of that section.
	adlerMax = 30 * adlerGroup
	// adlerGroup is 23 words of 8 bytes: with more, a 16-bit lane of the
	// weighted sums, at most 255*(0+1+...+22) = 64515, could overflow.
	adlerGroup = 23 * 8
	lanes      = 0x00ff00ff00ff00ff
)

// adler is a running Adler-32: a is the sum of the bytes plus one, b the sum of
// the values of a, both modulo 65521.
type adler struct{ a, b uint32 }

func (s *adler) value() uint32 { return s.b<<16 | s.a }

// add sums 8 bytes at a time in the four 16-bit lanes of two words.
func (s *adler) add(p []byte) {
	a, b := s.a, s.b
	for len(p) > 0 {
		chunk := p[:min(len(p), adlerMax)]
		p = p[len(chunk):]
		for len(chunk) >= adlerGroup {
			a, b = adlerWords(a, b, chunk[:adlerGroup])
			chunk = chunk[adlerGroup:]
		}
		whole := len(chunk) &^ 7
		a, b = adlerWords(a, b, chunk[:whole])
		for _, c := range chunk[whole:] {
			a += uint32(c)
			b += a
		}
		a %= adlerMod
		b %= adlerMod
	}
	s.a, s.b = a, b
}

// adlerWords adds p, a multiple of 8 and at most adlerGroup bytes.
//
// With words w0 to wk-1 and the byte at place i of a word, b grows by 8k times
// the old a, and by each byte times its distance from the end: 8*(k-1-j) + 8-i
// for the byte at place i of word j. The first part is 8 times the sum over the
// words of the sums before each, which needs no multiplication.
func adlerWords(a, b uint32, p []byte) (uint32, uint32) {
	var even, odd, evenBefore, oddBefore uint64
	b += a * uint32(len(p))
	for len(p) >= 8 {
		w := binary.LittleEndian.Uint64(p)
		p = p[8:]
		evenBefore += even
		oddBefore += odd
		even += w & lanes
		odd += w >> 8 & lanes
	}
	e0, e1, e2, e3 := split(even)
	o0, o1, o2, o3 := split(odd)
	a += e0 + e1 + e2 + e3 + o0 + o1 + o2 + o3
	b += 8*(e0) + 7*o0 + 6*e1 + 5*o1 + 4*e2 + 3*o2 + 2*e3 + o3
	b += 8 * (laneSum(evenBefore) + laneSum(oddBefore))
	return a, b
}

// split returns the four 16-bit lanes, lowest first.
func split(v uint64) (uint32, uint32, uint32, uint32) {
	return uint32(v & 0xffff), uint32(v >> 16 & 0xffff), uint32(v >> 32 & 0xffff), uint32(v >> 48)
}

// laneSum adds the four 16-bit lanes.
func laneSum(v uint64) uint32 {
	pairs := v&0x0000ffff0000ffff + v>>16&0x0000ffff0000ffff
	return uint32(pairs) + uint32(pairs>>32)
}
