package archive

import (
	"encoding/binary"
	"math"
	"time"
)

// fields builds a header: APPNOTE's fields, little-endian, in its order.
type fields []byte

func (f *fields) u16(v ...uint16) {
	for _, v := range v {
		*f = binary.LittleEndian.AppendUint16(*f, v)
	}
}

func (f *fields) u32(v ...uint32) {
	for _, v := range v {
		*f = binary.LittleEndian.AppendUint32(*f, v)
	}
}

func (f *fields) u64(v ...int64) {
	for _, v := range v {
		*f = binary.LittleEndian.AppendUint64(*f, uint64(v))
	}
}

// localHeader comes before an entry's data (4.3.7).
func (z *zipWriter) localHeader(name string) []byte {
	var extra fields
	extra.u16(extraZip64, 16)
	extra.u64(0, 0) // sizes: see the data descriptor
	extra = append(extra, z.timeExtra()...)
	var f fields
	f.u32(sigLocal)
	f.u16(zipVersion, zipFlags, zipDeflate)
	f.u32(z.dosTime(), 0, math.MaxUint32, math.MaxUint32)
	f.u16(uint16(len(name)), uint16(len(extra)))
	f = append(f, name...)
	return append(f, extra...)
}

// centralHeader is an entry's line in the central directory (4.3.12).
func (z *zipWriter) centralHeader(e zipEntry) []byte {
	var big fields // what does not fit in 32 bits, in the order of 4.5.3
	small := func(v int64) uint32 {
		if v < math.MaxUint32 {
			return uint32(v)
		}
		big.u64(v)
		return math.MaxUint32
	}
	size := small(e.Size)
	packed := small(e.packed)
	off := small(e.off)
	var extra fields
	if len(big) > 0 {
		extra.u16(extraZip64, uint16(len(big)))
		extra = append(extra, big...)
	}
	extra = append(extra, z.timeExtra()...)
	var f fields
	f.u32(sigCentral)
	f.u16(zipUnix|zipVersion, zipVersion, zipFlags, zipDeflate)
	f.u32(z.dosTime(), e.crc, packed, size)
	f.u16(uint16(len(e.Name)), uint16(len(extra)), 0, 0, 0) // no comment, disk 0, no internal attributes
	f.u32(zipMode, off)
	f = append(f, e.Name...)
	return append(f, extra...)
}

// close writes the central directory and its end records.
func (z *zipWriter) close() error {
	start := z.off
	for _, e := range z.entries {
		if err := z.write(z.centralHeader(e)); err != nil {
			return err
		}
	}
	count, size, end := int64(len(z.entries)), z.off-start, z.off
	var f fields
	if count >= math.MaxUint16 || size >= math.MaxUint32 || start >= math.MaxUint32 {
		f.u32(sigEnd64) // 4.3.14
		f.u64(44)       // bytes of this record from here
		f.u16(zipUnix|zipVersion, zipVersion)
		f.u32(0, 0)
		f.u64(count, count, size, start)
		f.u32(sigLocator64, 0) // 4.3.15
		f.u64(end)
		f.u32(1)
	}
	n := uint16(min(count, math.MaxUint16))
	f.u32(sigEnd) // 4.3.16
	f.u16(0, 0, n, n)
	f.u32(uint32(min(size, math.MaxUint32)), uint32(min(start, math.MaxUint32)))
	f.u16(0)
	return z.write(f)
}

// dosTime is the modification time in MS-DOS form, date in the upper half:
// two seconds fine, from 1980 to 2107, in UTC.
func (z *zipWriter) dosTime() uint32 {
	t := z.created.UTC()
	date := (t.Year()-1980)<<9 | int(t.Month())<<5 | t.Day()
	return uint32(date)<<16 | uint32(t.Hour()<<11|t.Minute()<<5|t.Second()/2)
}

// timeExtra is the modification time in seconds since 1970, for readers that
// know this field: unlike the MS-DOS time it does not depend on the zone.
func (z *zipWriter) timeExtra() []byte {
	var f fields
	f.u16(extraTime, 5)
	f = append(f, 1) // modification time only
	f.u32(uint32(z.created.Unix()))
	return f
}

// zipTime reports whether the fields above can carry t.
func zipTime(t time.Time) bool {
	return t.Unix() >= 315532800 && t.Unix() <= math.MaxUint32 // 1980 to 2106
}
