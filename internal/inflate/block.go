package inflate

const (
	window = 32 << 10
	// bufSize is the room for inflated bytes. The larger it is, the less often
	// the window is moved to its front.
	bufSize = 96 << 10
)

// block reads one block (RFC 1951, section 3.2.3) and says whether it is the
// last.
func (d *Decoder) block() (last bool, err error) {
	if err := d.need(3); err != nil {
		return false, err
	}
	h := d.take(3)
	switch h >> 1 {
	case 0:
		err = d.stored()
	case 1:
		d.buildFixed()
		err = d.compressed(&d.fixedLit, &d.fixedDist)
	case 2:
		if err = d.dynamic(); err == nil {
			err = d.compressed(&d.lit, &d.dist)
		}
	default:
		err = d.corrupt("unknown block type")
	}
	return h&1 != 0, err
}

// stored copies a block that is not compressed.
func (d *Decoder) stored() error {
	d.take(d.n & 7)
	if err := d.need(32); err != nil {
		return err
	}
	h := d.take(32)
	left := int(h & 0xffff)
	if left != int(^h>>16&0xffff) {
		return d.corrupt("length of a stored block fails its check")
	}
	d.giveBack()
	for left > 0 {
		if d.pos == len(d.in) {
			if err := d.more(); err != nil {
				return err
			}
		}
		if d.out == len(d.buf) {
			if err := d.slide(); err != nil {
				return err
			}
		}
		k := copy(d.buf[d.out:], d.in[d.pos:min(len(d.in), d.pos+left)])
		d.pos += k
		d.out += k
		left -= k
	}
	return nil
}

// state is why decode or symbol stopped.
type state int

const (
	more    state = iota // room or input is short
	end                  // end of the block
	badLit               // a literal or length code that does not exist
	badDist              // a distance code that does not exist
	tooFar               // a distance to before the start
	noInput              // the reader failed
)

// compressed reads the symbols of a block up to its end.
func (d *Decoder) compressed(lit *litTable, dist *distTable) error {
	for {
		if d.out > bufSize-slack {
			if err := d.slide(); err != nil {
				return err
			}
		}
		st, err := more, error(nil)
		if len(d.in)-d.pos >= margin {
			st = d.decode(lit, dist)
		} else {
			st, err = d.symbol(lit, dist)
		}
		switch st {
		case end:
			return nil
		case badLit:
			return d.corrupt("unknown literal or length code")
		case badDist:
			return d.corrupt("unknown distance code")
		case tooFar:
			return d.corrupt("distance is too far back")
		case noInput:
			return err
		}
	}
}

// symbol reads one literal or match where decode cannot: within the last bytes
// that are buffered.
func (d *Decoder) symbol(lit *litTable, dist *distTable) (state, error) {
	if err := d.need(maxCodeLen + 5); err != nil {
		return noInput, err
	}
	e := lit[d.bits&(1<<litBits-1)]
	if e&flagSpecial != 0 && e&flagSubtable != 0 {
		d.take(uint(e & 63))
		e = lit[subIndex(e, d.bits)]
	}
	if e&flagLiteral != 0 {
		d.take(uint(e & 63))
		d.buf[d.out] = byte(e >> 16)
		d.out++
		return more, nil
	}
	if e&flagSpecial != 0 {
		d.take(uint(e & 63))
		if e&flagEnd != 0 {
			return end, nil
		}
		return badLit, nil
	}
	length := value(e, d.bits)
	d.take(uint(e & 63))
	if err := d.need(maxCodeLen + 13); err != nil {
		return noInput, err
	}
	e = dist[d.bits&(1<<distBits-1)]
	if e&flagSpecial != 0 && e&flagSubtable != 0 {
		d.take(uint(e & 63))
		e = dist[subIndex(e, d.bits)]
	}
	if e&flagSpecial != 0 {
		return badDist, nil
	}
	from := d.out - value(e, d.bits)
	d.take(uint(e & 63))
	if from < 0 {
		return tooFar, nil
	}
	for i := range length {
		d.buf[d.out+i] = d.buf[from+i]
	}
	d.out += length
	return more, nil
}
