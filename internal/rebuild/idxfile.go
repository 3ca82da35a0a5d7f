package rebuild

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"encoding/binary"
	"io"
	"math"
	"os"
	"slices"
)

// writeIndex writes the index of the pack, version 2 as in gitformat-pack(5),
// and returns the objects in its order.
func (x *indexer) writeIndex(path string) ([]object, error) {
	slices.SortFunc(x.entries, func(a, b entry) int {
		return cmp.Or(bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.at, b.at))
	})
	err := replaceFile(path, func(w io.Writer) error {
		sum := sha1.New()
		if err := x.writeTables(io.MultiWriter(w, sum)); err != nil {
			return err
		}
		_, err := w.Write(sum.Sum(nil))
		return err
	})
	if err != nil {
		return nil, err
	}
	objects := make([]object, len(x.entries))
	for i, e := range x.entries {
		objects[i] = e.object
	}
	return objects, os.Chmod(path, 0o444)
}

func (x *indexer) writeTables(w io.Writer) error {
	b := []byte("\377tOc\x00\x00\x00\x02")
	// How many ids begin with this byte or a lower one.
	for first, i := 0, 0; first < 256; first++ {
		for i < len(x.entries) && int(x.entries[i].id[0]) <= first {
			i++
		}
		b = binary.BigEndian.AppendUint32(b, uint32(i))
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	var far []byte
	for _, column := range []func([]byte, *entry) []byte{
		func(b []byte, e *entry) []byte { return append(b, e.id[:]...) },
		func(b []byte, e *entry) []byte { return binary.BigEndian.AppendUint32(b, e.crc) },
		func(b []byte, e *entry) []byte {
			if e.at <= math.MaxInt32 {
				return binary.BigEndian.AppendUint32(b, uint32(e.at))
			}
			far = binary.BigEndian.AppendUint64(far, uint64(e.at))
			return binary.BigEndian.AppendUint32(b, 1<<31|uint32(len(far)/8-1))
		},
	} {
		for i := range x.entries {
			if _, err := w.Write(column(b[:0], &x.entries[i])); err != nil {
				return err
			}
		}
	}
	_, err := w.Write(append(far, x.sum[:]...))
	return err
}
