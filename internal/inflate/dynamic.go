package inflate

// precodeOrder is the order in which a dynamic block gives the lengths of the
// code of code lengths (RFC 1951, section 3.2.7).
var precodeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// buildFixed builds the tables of the fixed code (RFC 1951, section 3.2.6) the
// first time they are needed.
func (d *Decoder) buildFixed() {
	if d.fixedIsBuilt {
		return
	}
	var lens [maxLit]uint8
	var used [maxLit]uint16
	for i := range lens {
		used[i] = uint16(i)
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		default:
			lens[i] = 8
		}
	}
	d.builder.build(d.fixedLit[:], litBits, lens[:], used[:], litEntries[:])
	for i := range maxDist {
		lens[i] = 5
	}
	d.builder.build(d.fixedDist[:], distBits, lens[:], used[:maxDist], distEntries[:])
	d.fixedIsBuilt = true
}

// dynamic reads the codes of a dynamic block and builds their tables.
func (d *Decoder) dynamic() error {
	if err := d.need(14); err != nil {
		return err
	}
	numLit := int(d.take(5)) + 257
	numDist := int(d.take(5)) + 1
	numPre := int(d.take(4)) + 4
	if numLit > 286 || numDist > 30 {
		return d.corrupt("too many length or distance codes")
	}
	if err := d.readPrecode(numPre); err != nil {
		return err
	}
	used, err := d.readLens(numLit + numDist)
	if err != nil {
		return err
	}
	if d.lens[256] == 0 {
		return d.corrupt("no code for the end of a block")
	}
	first := len(used) // of the distances
	for first > 0 && int(used[first-1]) >= numLit {
		first--
		used[first] -= uint16(numLit)
	}
	if !d.builder.build(d.lit[:], litBits, d.lens[:numLit], used[:first], litEntries[:]) {
		return d.corrupt("impossible set of literal and length codes")
	}
	if !d.builder.build(d.dist[:], distBits, d.lens[numLit:numLit+numDist], used[first:], distEntries[:]) {
		return d.corrupt("impossible set of distance codes")
	}
	return nil
}

// readPrecode reads the code in which the code lengths are written. An entry of
// its table is the symbol in the low 5 bits and the length of its code above.
func (d *Decoder) readPrecode(num int) error {
	var lens [19]uint8
	var count, next [8]uint
	for _, sym := range precodeOrder[:num] {
		if err := d.need(3); err != nil {
			return err
		}
		l := d.take(3)
		lens[sym] = uint8(l)
		count[l]++
	}
	count[0] = 0
	code := uint(0)
	for l := 1; l < len(count); l++ {
		code = (code + count[l-1]) << 1
		next[l] = code
	}
	if code+count[7] != 1<<precodeBits {
		return d.corrupt("impossible set of code length codes")
	}
	for sym, l := range lens {
		if l == 0 {
			continue
		}
		for i := reverse(next[l], uint(l)); i < 1<<precodeBits; i += 1 << l {
			d.precode[i] = l<<5 | uint8(sym)
		}
		next[l]++
	}
	return nil
}

// readLens reads num code lengths, those of literals and lengths and those of
// distances in one row. It returns the places of those that are not zero.
func (d *Decoder) readLens(num int) ([]uint16, error) {
	clear(d.lens[:])
	used := 0
	for i := 0; i < num; {
		if err := d.need(precodeBits + 7); err != nil {
			return nil, err
		}
		acc, n := d.bits, d.n
		for n >= precodeBits+7 && i < num {
			e := d.precode[acc&(1<<precodeBits-1)]
			acc >>= e >> 5
			n -= uint(e >> 5)
			sym := e & 31
			if sym < 16 {
				d.lens[i] = sym
				d.used[used] = uint16(i)
				if sym != 0 {
					used++
				}
				i++
				continue
			}
			run, extra := 11+int(acc&127), uint(7)
			switch {
			case sym == 17:
				run, extra = 3+int(acc&7), 3
			case sym == 16:
				run, extra = 3+int(acc&3), 2
				if i == 0 {
					return nil, d.corrupt("repeat of a code length before the first")
				}
				if l := d.lens[i-1]; l != 0 {
					for k := i; k < i+run; k++ {
						d.lens[k] = l
						d.used[used] = uint16(k)
						used++
					}
				}
			}
			acc >>= extra
			n -= extra
			i += run
			if i > num {
				return nil, d.corrupt("repeat of a code length after the last")
			}
		}
		d.bits, d.n = acc, n
	}
	return d.used[:used], nil
}
