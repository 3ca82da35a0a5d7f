package rebuild

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// complete resolves the deltas whose bases are in the packs before, and says
// which base is nowhere. A pack on disk must hold the bases of its deltas
// itself, so those that a thin pack lacks are appended to it.
func (x *indexer) complete(ctx context.Context) error {
	end := x.size - sha1.Size
	scanned := len(x.entries)
	for _, r := range x.ref {
		if x.entries[r.entry].resolved() {
			continue
		}
		at, found := x.before.packs.find(r.base)
		if !found {
			continue
		}
		base, err := x.appendObject(at, end)
		if err != nil {
			return fmt.Errorf("append %s, of which the pack holds a delta: %w", r.base, err)
		}
		end = base.end
		if err := x.descend(ctx, base.entry); err != nil {
			return err
		}
	}
	for _, r := range x.ref {
		if !x.entries[r.entry].resolved() {
			return fmt.Errorf("entry at %d is a delta of %s, which neither this pack nor one before it holds", x.entries[r.entry].at, r.base)
		}
	}
	if len(x.entries) == scanned {
		return nil
	}
	return x.seal(end)
}

type appended struct {
	entry int32
	end   int64 // of the pack so far
}

// appendObject copies an object of a pack before to the end of this one.
func (x *indexer) appendObject(from place, end int64) (appended, error) {
	o := x.before.packs.object(from)
	data, err := x.before.read(from)
	if err != nil {
		return appended{}, err
	}
	var b bytes.Buffer
	b.Write(appendHeader(nil, o.kind, int64(len(data))))
	z := zlib.NewWriter(&b)
	z.Write(data) // a bytes.Buffer does not fail
	z.Close()
	if _, err := x.f.WriteAt(b.Bytes(), end); err != nil {
		return appended{}, err
	}
	x.read.cur.forget()
	o.at = end
	x.entries = append(x.entries, entry{object: o, crc: crc32.ChecksumIEEE(b.Bytes()), base: noBase})
	return appended{int32(len(x.entries) - 1), end + int64(b.Len())}, nil
}

// seal makes header and trailer fit what was appended.
func (x *indexer) seal(end int64) error {
	var count [4]byte
	binary.BigEndian.PutUint32(count[:], uint32(len(x.entries)))
	if _, err := x.f.WriteAt(count[:], 8); err != nil {
		return err
	}
	h := sha1.New()
	if _, err := io.Copy(h, io.NewSectionReader(x.f, 0, end)); err != nil {
		return err
	}
	h.Sum(x.sum[:0])
	_, err := x.f.WriteAt(x.sum[:], end)
	return err
}
