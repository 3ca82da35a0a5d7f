package rebuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// packs is the engine that needs no git. Of go-git it uses the parts: its
// hash, which notices known collisions, and its deltas. Its own indexer
// (dotgit.PackWriter) holds whole blobs in memory, knows no thin packs, drops
// objects that are twice in a pack, so that git refuses the index, and leaves
// open files behind when it fails.
type packs struct {
	dir  string // objects/pack
	list []*pack
}

// A pack is a file of dir whose objects are all known by their ids.
type pack struct {
	path    string
	objects []object // sorted by id
}

// An object is 32 bytes in memory: this is what a repository costs here.
type object struct {
	id   plumbing.Hash
	kind plumbing.ObjectType // of the content, never a delta
	at   int64               // where its entry begins in the pack
}

// A place is where an object stands: list[pack].objects[index].
type place struct{ pack, index int }

// find returns where the object stands first.
func (p *packs) find(id plumbing.Hash) (place, bool) {
	for i, pk := range p.list {
		if j, found := pk.find(id); found {
			return place{i, j}, true
		}
	}
	return place{}, false
}

func (p *packs) object(at place) object { return p.list[at.pack].objects[at.index] }

func (p *pack) find(id plumbing.Hash) (int, bool) {
	return slices.BinarySearchFunc(p.objects, id, func(o object, id plumbing.Hash) int {
		return bytes.Compare(o.id[:], id[:])
	})
}

// addPack implements engine: to disk first, then an index for it, then both
// get their names, the index last, because git takes a pack for there when it
// sees the index.
func (p *packs) addPack(ctx context.Context, in *input) (err error) {
	f, err := os.CreateTemp(p.dir, "tmp_pack_*")
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); !errors.Is(cerr, os.ErrClosed) {
			err = errors.Join(err, cerr)
		}
	}()
	if _, err := io.Copy(f, in); err != nil {
		return err
	}
	if err := in.finish(); err != nil {
		return err
	}
	x := newIndexer(f, in.n, p)
	defer x.before.close()
	if err := x.index(ctx); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// Windows renames no file that is open.
	if err := f.Close(); err != nil {
		return err
	}
	return p.publish(f.Name(), x)
}

// publish gives the pack its name, which is its checksum.
func (p *packs) publish(temporary string, x *indexer) error {
	name := filepath.Join(p.dir, fmt.Sprintf("pack-%x", x.sum))
	for _, pk := range p.list {
		if pk.path == name+".pack" {
			return os.Remove(temporary)
		}
	}
	if err := os.Chmod(temporary, 0o444); err != nil {
		return err
	}
	if err := os.Rename(temporary, name+".pack"); err != nil {
		return err
	}
	objects, err := x.writeIndex(name + ".idx")
	if err != nil {
		return err
	}
	p.list = append(p.list, &pack{path: name + ".pack", objects: objects})
	return nil
}
