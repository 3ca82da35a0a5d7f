package inflate

import "math/bits"

// A table is indexed by the next bits of the stream and holds entries of 32
// bits:
//
//	bits 0-5    bits to drop: the code and the extra bits after it
//	bits 8-11   bits of the code alone
//	bit 15      set when the entry is none of the usual: the flags below
//	bits 16-30  the literal, the base of a length, the base of a distance
//	bit 31      set for a literal
//
// Codes longer than the table's index continue in a subtable: the entry in the
// table then has in bits 0-5 the bits of the index, in 8-11 the bits of the
// subtable's index and in 16-30 where the subtable starts.
const (
	flagLiteral  = 1 << 31
	flagSpecial  = 1 << 15
	flagSubtable = 1 << 14
	flagEnd      = 1 << 13
	flagInvalid  = 1 << 12
)

const (
	maxCodeLen  = 15
	litBits     = 10
	distBits    = 8
	precodeBits = 7
	maxLit      = 288 // 286 are used, the fixed code has two more
	maxDist     = 32  // 30 are used, likewise
	// maxLens has room for a run that overshoots the end before it is refused.
	maxLens = maxLit + maxDist + 138

	// Room for the largest complete code with its subtables: zlib's
	// examples/enough.c computes 1334 for 288 symbols and 10 bits, 402 for 32
	// symbols and 8 bits.
	litRoom  = 1<<litBits + 512
	distRoom = 1<<distBits + 256
	sortRoom = 512 // for maxLit, as a power of two
)

type (
	litTable  [litRoom]uint32
	distTable [distRoom]uint32
)

// litEntries and distEntries are the entries of the symbols before the length
// of the code is added (RFC 1951, section 3.2.5).
var (
	litEntries  = makeLitEntries()
	distEntries = makeDistEntries()
)

func makeLitEntries() (t [maxLit]uint32) {
	for i := range 256 {
		t[i] = flagLiteral | uint32(i)<<16
	}
	t[256] = flagSpecial | flagEnd
	base := uint32(3)
	for i := range uint32(28) {
		extra := uint32(0)
		if i >= 8 {
			extra = i/4 - 1
		}
		t[257+i] = base<<16 | extra
		base += 1 << extra
	}
	t[285] = 258 << 16
	t[286] = flagSpecial | flagInvalid
	t[287] = flagSpecial | flagInvalid
	return t
}

func makeDistEntries() (t [maxDist]uint32) {
	base := uint32(1)
	for i := range uint32(30) {
		extra := uint32(0)
		if i >= 4 {
			extra = i/2 - 1
		}
		t[i] = base<<16 | extra
		base += 1 << extra
	}
	t[30] = flagSpecial | flagInvalid
	t[31] = flagSpecial | flagInvalid
	return t
}

// builder turns code lengths into tables.
type builder struct {
	sorted [sortRoom]uint16 // the symbols in order of their codes
}

// build fills table, whose index has indexBits bits, for the code in which
// symbol i has lens[i] bits; used lists the symbols that have any, in order. It
// returns false for a set of lengths that zlib's inflate refuses: one with too
// many codes, or one with too few unless it is empty or a single code of one
// bit.
func (b *builder) build(table []uint32, indexBits uint, lens []uint8, used []uint16, entries []uint32) bool {
	var count, next [maxCodeLen + 1]uint16
	for _, sym := range used {
		count[lens[sym]&15]++
	}
	left := 1
	for l := 1; l <= maxCodeLen; l++ {
		next[l] = next[l-1] + count[l-1]
		left = left<<1 - int(count[l])
		if left < 0 {
			return false
		}
	}
	if left > 0 {
		return b.incomplete(table[:1<<indexBits], lens, used, entries)
	}
	for _, sym := range used {
		l := lens[sym] & 15
		b.sorted[next[l]%sortRoom] = sym
		next[l]++
	}
	b.fill(table, indexBits, &count, entries)
	return true
}

// incomplete fills table for no code or a single one of one bit. The other
// codes are mistakes only if they are met.
func (b *builder) incomplete(table []uint32, lens []uint8, used []uint16, entries []uint32) bool {
	if len(used) > 1 || len(used) == 1 && lens[used[0]] != 1 {
		return false
	}
	for i := range table {
		table[i] = flagSpecial | flagInvalid | 1
	}
	if len(used) == 1 {
		for i := 0; i < len(table); i += 2 {
			table[i] = entries[used[0]] + 1<<8 + 1
		}
	}
	return true
}

// fill enters a complete code. Codes stand in the stream with their first bit
// lowest, so a table of the first l bits, once all codes of up to l bits are in
// it, is the first half of the table of l+1 bits, and its second half as well.
func (b *builder) fill(table []uint32, indexBits uint, count *[maxCodeLen + 1]uint16, entries []uint32) {
	code, k := uint(0), 0
	size := 1
	for l := uint(1); l <= indexBits; l++ {
		copy(table[size:2*size], table[:size])
		size *= 2
		code <<= 1
		add := uint32(l<<8 | l)
		for _, sym := range b.sorted[k : k+int(count[l])] {
			table[reverse(code, l)] = entries[sym] + add
			code++
		}
		k += int(count[l])
	}
	free := size // where the next subtable starts
	var subBits uint
	prefix := uint(1) << 16 // none
	start := 0
	for l := indexBits + 1; l <= maxCodeLen; l++ {
		code <<= 1
		add := uint32((l-indexBits)<<8 | (l - indexBits))
		for left := count[l]; left > 0; left-- {
			rev := reverse(code, l)
			if p := rev & (1<<indexBits - 1); p != prefix {
				prefix, start = p, free
				subBits = subtableBits(l-indexBits, l, left, count)
				free += 1 << subBits
				table[p] = uint32(start)<<16 | flagSpecial | flagSubtable | uint32(subBits)<<8 | uint32(indexBits)
			}
			entry := entries[b.sorted[k]] + add
			for i := rev >> indexBits; i < 1<<subBits; i += 1 << (l - indexBits) {
				table[start+int(i)] = entry
			}
			code++
			k++
		}
	}
}

// subtableBits returns how many bits the subtable needs whose first code has l
// bits, sub of them in the subtable, when left codes of that length remain.
func subtableBits(sub, l uint, left uint16, count *[maxCodeLen + 1]uint16) uint {
	room := 1<<sub - int(left)
	for room > 0 && l < maxCodeLen {
		sub++
		l++
		room = room<<1 - int(count[l])
	}
	return sub
}

// reverse returns the lowest l bits of code in reverse order.
func reverse(code, l uint) uint {
	return uint(bits.Reverse16(uint16(code)) >> ((16 - l) & 15))
}
