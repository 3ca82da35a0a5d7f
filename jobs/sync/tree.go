package dirsync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"mayfly/internal/store"
)

// A Tree is a directory that a sync job keeps in a store, or a part of it.
type Tree struct {
	Store  store.Store
	Prefix string // of the job
	Sub    string // the part: a directory or a file; "" is all
	// Changed is when the run began that last changed something; zero when the
	// index is lost.
	Changed time.Time

	index *index
}

// Find finds the synced directory that a path in a store names, or is within;
// nil when there is none. Prefixes are those of sync jobs, which count as such
// without an index.
func Find(ctx context.Context, st store.Store, at string, prefixes ...string) (*Tree, error) {
	for i := range len(at) + 1 {
		if i < len(at) && at[i] != '/' {
			continue
		}
		t, err := open(ctx, st, at[:i], prefixes)
		if t == nil && err == nil {
			continue
		}
		if err == nil && i < len(at) {
			t.Sub = at[i+1:]
		}
		return t, err
	}
	return nil, nil
}

// open opens the synced directory of a prefix; nil when there is none.
func open(ctx context.Context, st store.Store, prefix string, prefixes []string) (*Tree, error) {
	x, err := findIndex(ctx, st, prefix)
	if err != nil {
		return nil, err
	}
	known := len(x.pieces) > 0
	for _, p := range prefixes {
		known = known || p == prefix
	}
	if !known {
		return nil, nil
	}
	t := &Tree{Store: st, Prefix: prefix, index: x}
	if at, err := time.Parse(stampForm, x.stamp); err == nil {
		t.Changed = at
	}
	return t, nil
}

// Path is how restore and list take it.
func (t *Tree) Path() string { return path.Join(t.Prefix, t.Sub) }

// A File is one file as the store has it.
type File struct {
	Path     string // relative to the tree; "" if the tree is this file
	Size     int64
	Modified time.Time // of the file, if Known; else of the object
	Mode     fs.FileMode
	Known    bool // the index knows time and mode

	object store.Object
	record *record
	copied *record // of this file if the sum fits
}

// Files yields what the store has, in the order of its keys. An error ends it.
func (t *Tree) Files(ctx context.Context) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for p, err := range t.pairs(ctx, func(error) {}) {
			if err != nil {
				yield(File{}, err)
				return
			}
			if !p.stale && !yield(t.file(p), nil) {
				return
			}
		}
	}
}

// each calls file for each, and missing with the path of each that the index
// has and the store has not; other with that of each whose object is certainly
// another version than the index has. lost is told why the index cannot be read on: what
// is missing behind that nobody knows.
func (t *Tree) each(ctx context.Context, file func(File), missing, other func(path string), lost func(error)) error {
	for p, err := range t.pairs(ctx, lost) {
		switch {
		case err != nil:
			return err
		case !p.stale:
			file(t.file(p))
		case p.path != "" && p.object == nil:
			missing(p.path)
		case p.object != nil && p.copied == nil:
			other(p.path) // the file itself comes next
		}
	}
	return nil
}

// pairs are what store and index have of the tree.
func (t *Tree) pairs(ctx context.Context, lost func(error)) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		none := func(func(entry) bool) {}
		for p, err := range merge(ctx, none, t.Store.List(ctx, t.Prefix+"/"+t.Sub), t.index.records(ctx), t.Prefix, lost) {
			if _, inside := t.relative(p.path); (err != nil || inside) && !yield(p, err) {
				return
			}
		}
	}
}

// relative is a path within the tree.
func (t *Tree) relative(path string) (string, bool) {
	switch {
	case t.Sub == "":
		return path, true
	case path == t.Sub:
		return "", true
	}
	return strings.CutPrefix(path, t.Sub+"/")
}

func (t *Tree) file(p pair) File {
	f := File{Size: p.object.Size, Modified: p.object.Modified, object: *p.object, record: p.known, copied: p.copied}
	f.Path, _ = t.relative(p.path)
	if p.known != nil {
		f.Modified, f.Mode, f.Known = p.known.MTime.time(), permissions(p.known.Mode), true
	}
	return f
}

// Sum counts the files and their bytes.
func (t *Tree) Sum(ctx context.Context) (files int, bytes int64, err error) {
	for f, err := range t.Files(ctx) {
		if err != nil {
			return files, bytes, err
		}
		files++
		bytes += f.Size
	}
	return files, bytes, nil
}

// A Restored says what a restore has come to.
type Restored struct {
	Files  int
	Bytes  int64
	Failed []string // what is not there, and why: the first of them
	Missed int      // all that failed
	// Index is why the index of the last run cannot be read: then nobody knows
	// what the store has lost.
	Index error
}

const failuresNamed = 20

// Restore brings the files into a directory that is nobody else's; single names
// the file if the tree is one. read is told how many bytes have come. What
// cannot be brought, or the store has lost since the last run has recorded it, is
// named in the result; an error means that the list is not complete.
func (t *Tree) Restore(ctx context.Context, root *os.Root, single string, read func(int64)) (Restored, error) {
	var mu sync.Mutex
	var res Restored
	inside, err := root.OpenRoot(".")
	if err != nil {
		return res, err
	}
	to, err := newFolder(inside)
	if err != nil {
		return res, err
	}
	defer to.Close()
	missed := func(key string, err error) {
		if res.Missed++; res.Missed <= failuresNamed {
			res.Failed = append(res.Failed, fmt.Sprintf("%s: %v", key, err))
		}
	}
	files := make(chan File)
	var workers sync.WaitGroup
	for range defaultParallel {
		workers.Go(func() {
			for f := range files {
				err := t.fetch(ctx, to, f, single, read)
				mu.Lock()
				if err == nil {
					res.Files++
					res.Bytes += f.Size
				} else {
					missed(f.object.Key, err)
				}
				mu.Unlock()
			}
		})
	}
	err = t.each(ctx, func(f File) { files <- f }, func(path string) {
		if !t.index.cut { // else a run may have deleted it, and not come to say so
			mu.Lock()
			defer mu.Unlock()
			missed(t.Prefix+"/"+path, errLost)
		}
	}, func(string) {}, func(err error) { res.Index = err })
	close(files)
	workers.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return res, err
}

func (t *Tree) fetch(ctx context.Context, dir *folder, f File, single string, read func(int64)) error {
	rel := f.Path
	if rel == "" {
		rel = single
	}
	for try := 1; ; try++ {
		err := fetch{store: t.Store, dir: dir}.one(ctx, rel, f.object, f.record, f.copied, read)
		if !errors.Is(err, errBroken) || try == tries || ctx.Err() != nil {
			return err
		}
	}
}

// A Watcher is a store that takes down which synced directories it lists.
type Watcher struct {
	store.Store
	// Prefixes are those of the synced directories that were listed.
	Prefixes []string
}

// List implements store.Store.
func (w *Watcher) List(ctx context.Context, prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		for o, err := range w.Store.List(ctx, prefix) {
			if at := strings.LastIndex(o.Key, "/"+indexDir); err == nil && at > 0 && pieceForm.MatchString(o.Key[at+1+len(indexDir):]) {
				if n := len(w.Prefixes); n == 0 || w.Prefixes[n-1] != o.Key[:at] {
					w.Prefixes = append(w.Prefixes, o.Key[:at])
				}
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// inOther reports whether a prefix lies within that of another one: then what
// looks like an index there is files of that one, like the copy of a store.
func (w *Watcher) inOther(prefix string) bool {
	return slices.ContainsFunc(w.Prefixes, func(p string) bool { return strings.HasPrefix(prefix, p+"/") })
}

// Trees opens them.
func (w *Watcher) Trees(ctx context.Context) ([]*Tree, error) {
	var list []*Tree
	for _, p := range w.Prefixes {
		if w.inOther(p) {
			continue
		}
		t, err := open(ctx, w.Store, p, nil)
		if err != nil {
			return nil, err
		}
		if t != nil {
			list = append(list, t)
		}
	}
	return list, nil
}
