package rebuild

import (
	"errors"
	"fmt"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

const (
	// cacheSize bounds the objects that are kept because deltas may be based
	// on them. 64 MiB took 2.5 times the memory and no less time, for 265 MB
	// of hugo's packs.
	cacheSize = 16 << 20
	// window is how much of a pack is read at a time when objects are read one
	// by one.
	window = 8 << 10
)

// contents gives the objects of one pack, following deltas.
type contents struct {
	cur   *cursor
	cache *cache.BufferLRU
	key   int64 // makes offsets unique in the cache
	// base returns where in this pack the base of the reference delta at an
	// offset begins.
	base func(at int64, id plumbing.Hash) (int64, bool)
}

// of returns the content of the object whose entry begins at an offset.
// Nobody may change it.
func (c *contents) of(at int64) ([]byte, error) {
	type link struct {
		at    int64
		delta []byte
	}
	var chain []link
	data, cached := c.cache.Get(c.key + at)
	for !cached {
		h, err := c.cur.header(at)
		if err != nil {
			return nil, fmt.Errorf("entry at %d: %w", at, err)
		}
		body, err := c.cur.bytes(h.size)
		if err != nil {
			return nil, fmt.Errorf("entry at %d: %w", at, err)
		}
		if !h.kind.IsDelta() {
			c.cache.Put(c.key+at, body)
			data = body
			break
		}
		chain = append(chain, link{at, body})
		if h.kind == plumbing.OFSDeltaObject {
			at -= h.back
		} else if base, found := c.base(at, h.base); found {
			at = base
		} else {
			return nil, fmt.Errorf("entry at %d is a delta of %s, which is not in the pack", at, h.base)
		}
		data, cached = c.cache.Get(c.key + at)
	}
	for len(chain) > 0 {
		last := chain[len(chain)-1]
		chain = chain[:len(chain)-1]
		var err error
		if data, err = packfile.PatchDelta(data, last.delta); err != nil {
			return nil, fmt.Errorf("entry at %d: %w", last.at, err)
		}
		c.cache.Put(c.key+last.at, data)
	}
	return data, nil
}

// A reader reads objects of all packs. It opens the files as it needs them.
type reader struct {
	packs    *packs
	cache    *cache.BufferLRU
	handles  []*os.File // by pack; nil until it is needed
	contents []*contents
}

func (p *packs) reader() *reader {
	n := len(p.list)
	return &reader{packs: p, cache: cache.NewBufferLRU(cacheSize), handles: make([]*os.File, n), contents: make([]*contents, n)}
}

// read returns the content of an object. Nobody may change it.
func (r *reader) read(at place) ([]byte, error) {
	c := r.contents[at.pack]
	if c == nil {
		var err error
		if c, err = r.open(at.pack); err != nil {
			return nil, err
		}
	}
	o := r.packs.object(at)
	data, err := c.of(o.at)
	if err != nil {
		return nil, fmt.Errorf("%s %s in %s: %w", o.kind, o.id, r.packs.list[at.pack].path, err)
	}
	return data, nil
}

func (r *reader) open(i int) (*contents, error) {
	pk := r.packs.list[i]
	f, err := os.Open(pk.path)
	if err != nil {
		return nil, err
	}
	base := func(_ int64, id plumbing.Hash) (int64, bool) {
		j, found := pk.find(id)
		if !found {
			return 0, false
		}
		return pk.objects[j].at, true
	}
	r.handles[i] = f
	r.contents[i] = &contents{cur: newCursor(f, window), cache: r.cache, key: int64(i) << 48, base: base}
	return r.contents[i], nil
}

func (r *reader) close() error {
	var errs []error
	for _, f := range r.handles {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
