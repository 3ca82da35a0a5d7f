package rebuild

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// connected implements engine.
func (p *packs) connected(ctx context.Context, tips []plumbing.Hash) error {
	w := &walk{packs: p, read: p.reader(), seen: make([][]uint64, len(p.list))}
	for i, pk := range p.list {
		w.seen[i] = make([]uint64, (len(pk.objects)+63)/64)
	}
	return errors.Join(w.from(ctx, tips), w.read.close())
}

// A walk visits every object once. What it has seen is one bit per object of
// the packs; what it has yet to read is a stack, because histories are long.
type walk struct {
	packs *packs
	read  *reader
	seen  [][]uint64
	todo  []place
}

func (w *walk) from(ctx context.Context, tips []plumbing.Hash) error {
	for _, id := range tips {
		at, found := w.packs.find(id)
		if !found {
			return fmt.Errorf("object %s is missing", id)
		}
		w.visit(at)
		// One tip after the other: few of them wait on the stack.
		if err := w.rest(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) rest(ctx context.Context) error {
	for len(w.todo) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		at := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		data, err := w.read.read(at)
		if err != nil {
			return err
		}
		o := w.packs.object(at)
		if err := links(o.kind, data, w.follow); err != nil {
			return fmt.Errorf("%s %s: %w", o.kind, o.id, err)
		}
	}
	return nil
}

// follow looks for an object that another one names, and what it names in
// turn will be looked for.
func (w *walk) follow(kind plumbing.ObjectType, id plumbing.Hash) error {
	at, found := w.packs.find(id)
	if !found {
		return fmt.Errorf("%s %s, which it names, is missing", kind, id)
	}
	if is := w.packs.object(at).kind; is != kind {
		return fmt.Errorf("it names %s as a %s, which is a %s", id, kind, is)
	}
	w.visit(at)
	return nil
}

// visit puts an object that was not seen before on the stack. Blobs name
// nothing: that they are there is enough.
func (w *walk) visit(at place) {
	word, bit := &w.seen[at.pack][at.index/64], uint64(1)<<(at.index%64)
	if *word&bit == 0 {
		*word |= bit
		if w.packs.object(at).kind != plumbing.BlobObject {
			w.todo = append(w.todo, at)
		}
	}
}
