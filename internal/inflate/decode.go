package inflate

import "encoding/binary"

const (
	// slack is what decode may write in one turn beyond where it last looked:
	// four literals and a match of 258 bytes, copied in steps of 16.
	slack = 4 + 258 + 16
	// margin is how much input decode needs ahead for one turn: it refills
	// twice, each time reading 8 bytes and taking at most 7 of them.
	margin = 16
)

// decode reads symbols as long as there is room for a turn and input for it.
// Most of the time of a check is spent here, so everything is in local
// variables, and bits are refilled without a branch: 8 bytes are read at once,
// and those that do not fit are read again next time. Of n only the lowest 6
// bits count: so a whole entry can be subtracted without masking it first.
func (d *Decoder) decode(lit *litTable, dist *distTable) state {
	in, pos, acc, n := d.in, d.pos, d.bits, uint64(d.n)
	buf, out := &d.buf, d.out
	st := more
	lastPos := len(in) - margin
	acc |= load64(in, pos) << (n & 63)
	pos += int(^n >> 3 & 7)
	n |= 56
	e := lit[acc&(1<<litBits-1)]
	for pos <= lastPos && out <= bufSize-slack {
		acc |= load64(in, pos) << (n & 63)
		pos += int(^n >> 3 & 7)
		n |= 56
		// At least 56 bits are there, and the first entry was looked up before
		// the refill, so that neither waits for the other. Three literals of at
		// most 10 bits, then a fourth or a length of at most 20 bits with its
		// extra bits, leave enough for the next look-up.
		if int32(e) < 0 {
			acc >>= e & 63
			n -= uint64(e)
			buf[out] = byte(e >> 16)
			out++
			e = lit[acc&(1<<litBits-1)]
			if int32(e) < 0 {
				acc >>= e & 63
				n -= uint64(e)
				buf[out] = byte(e >> 16)
				out++
				e = lit[acc&(1<<litBits-1)]
				if int32(e) < 0 {
					acc >>= e & 63
					n -= uint64(e)
					buf[out] = byte(e >> 16)
					out++
					e = lit[acc&(1<<litBits-1)]
					if int32(e) < 0 {
						acc >>= e & 63
						n -= uint64(e)
						buf[out] = byte(e >> 16)
						out++
						e = lit[acc&(1<<litBits-1)]
						continue
					}
				}
			}
		}
		if e&flagSpecial != 0 {
			if e&flagSubtable != 0 {
				acc >>= e & 63
				n -= uint64(e)
				e = lit[subIndex(e, acc)]
				if int32(e) < 0 {
					acc >>= e & 63
					n -= uint64(e)
					buf[out] = byte(e >> 16)
					out++
					e = lit[acc&(1<<litBits-1)]
					continue
				}
			}
			if e&flagSpecial != 0 {
				acc >>= e & 63
				n -= uint64(e)
				st = badLit
				if e&flagEnd != 0 {
					st = end
				}
				break
			}
		}
		length := value(e, acc)
		acc >>= e & 63
		n -= uint64(e)

		acc |= load64(in, pos) << (n & 63)
		pos += int(^n >> 3 & 7)
		n |= 56
		e = dist[acc&(1<<distBits-1)]
		if e&flagSpecial != 0 {
			if e&flagSubtable != 0 {
				acc >>= e & 63
				n -= uint64(e)
				e = dist[subIndex(e, acc)]
			}
			if e&flagSpecial != 0 {
				st = badDist
				break
			}
		}
		from := out - value(e, acc)
		acc >>= e & 63
		n -= uint64(e)
		if from < 0 {
			st = tooFar
			break
		}
		e = lit[acc&(1<<litBits-1)]
		copyMatch(buf, out, from, length)
		out += length
	}
	d.pos, d.bits, d.n, d.out = pos, acc, uint(n&63), out
	return st
}

// value returns the length or distance of an entry with the extra bits from acc.
func value(e uint32, acc uint64) int {
	return int(e>>16) + int(acc&(1<<(e&63)-1)>>(e>>8&15))
}

// subIndex returns where the entry for acc is that e, the entry of a subtable,
// leads to.
func subIndex(e uint32, acc uint64) uint32 {
	return e>>16 + uint32(acc)&(1<<(e>>8&15)-1)
}

// copyMatch repeats length bytes from an earlier place in buf. It may write up
// to 15 bytes more than that.
func copyMatch(buf *[bufSize]byte, out, from, length int) {
	stop := out + length
	if out-from < 8 {
		// The match overlaps itself closely: the bytes before out repeat with
		// a period of out-from. Write 8 of them one by one; from then on a
		// multiple of the period is at least 8.
		period := out - from
		for i := range 8 {
			buf[out+i] = buf[from+i]
		}
		out += 8
		from = out - (7+period)/period*period
		if out >= stop {
			return
		}
	}
	for {
		store64(buf, out, load64(buf[:], from))
		store64(buf, out+8, load64(buf[:], from+8))
		out += 16
		from += 16
		if out >= stop {
			return
		}
	}
}

func load64(p []byte, i int) uint64 {
	return binary.LittleEndian.Uint64(p[i : i+8])
}

func store64(p *[bufSize]byte, i int, v uint64) {
	binary.LittleEndian.PutUint64(p[i:i+8], v)
}
