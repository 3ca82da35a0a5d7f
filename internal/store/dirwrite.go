package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A dirWriter writes a temporary file beside the object's final place.
type dirWriter struct {
	d    *Dir
	ctx  context.Context
	key  string
	path string
	f    *os.File // nil after Commit or Close
	err  error
}

// Create implements Store.
func (d *Dir) Create(ctx context.Context, key string) (Writer, error) {
	return d.create(ctx, key)
}

func (d *Dir) create(ctx context.Context, key string) (*dirWriter, error) {
	p, err := d.path(key)
	if err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, d.wrap("write", key, err)
	}
	var f *os.File
	for range 10 {
		if err = mkdirs(filepath.Dir(p)); err == nil {
			tmp := filepath.Join(filepath.Dir(p), tmpName+rand.Text())
			f, err = os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		}
		// Another writer may have removed a directory that was still empty.
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		d.prune(filepath.Dir(p))
		return nil, d.wrap("write", key, err)
	}
	return &dirWriter{d: d, ctx: ctx, key: key, path: p, f: f}, nil
}

func (w *dirWriter) Write(b []byte) (int, error) {
	if w.err == nil && w.f == nil {
		w.err = w.d.wrap("write", w.key, errClosed)
	}
	if w.err == nil && w.ctx.Err() != nil {
		w.err = w.d.wrap("write", w.key, context.Cause(w.ctx))
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.f.Write(b)
	if err != nil {
		w.err = w.d.wrap("write", w.key, err)
	}
	return n, w.err
}

// Commit implements Writer.
func (w *dirWriter) Commit() (Object, error) { return w.commit("", false) }

// commit makes the file the object, if the object's version is old, or
// whatever is there.
func (w *dirWriter) commit(old ETag, whatever bool) (Object, error) {
	if w.f == nil {
		return Object{}, w.d.wrap("write", w.key, errClosed)
	}
	defer w.Close()
	if w.err != nil {
		return Object{}, w.err
	}
	if err := context.Cause(w.ctx); err != nil {
		return Object{}, w.d.wrap("write", w.key, err)
	}
	// The data is made durable before the lock is taken: others wait for it.
	if err := w.f.Sync(); err != nil {
		return Object{}, w.d.wrap("write", w.key, err)
	}
	unlock, err := w.d.lock(w.ctx)
	if err != nil {
		return Object{}, w.d.wrap("lock for writing", w.key, err)
	}
	defer unlock()
	o, err := w.publish(old, whatever)
	if err != nil {
		return Object{}, w.d.wrap("write", w.key, err)
	}
	return o, nil
}

// publish gives the temporary file its name, under the lock.
func (w *dirWriter) publish(old ETag, whatever bool) (Object, error) {
	cur, err := statFile(w.path)
	if whatever && err == nil {
		old = fileETag(cur)
	}
	switch {
	case err == nil && old == "":
		return Object{}, ErrExists
	case errors.Is(err, ErrNotExist) && old == "":
		return Object{}, fmt.Errorf("a directory stands at this key: %w", ErrBlocked)
	case err == nil && fileETag(cur) != old, err != nil && old != "":
		return Object{}, ErrChanged
	}
	fi, err := w.date(cur)
	if err != nil {
		return Object{}, err
	}
	if err := w.f.Close(); err != nil {
		return Object{}, err
	}
	if old == "" {
		err = linkOnce(w.f.Name(), w.path)
	} else {
		err = os.Rename(w.f.Name(), w.path)
	}
	if err != nil {
		return Object{}, err
	}
	if err := syncDir(filepath.Dir(w.path)); err != nil {
		// Nobody may take for durable what is not.
		if old == "" {
			os.Remove(w.path)
		}
		return Object{}, err
	}
	return dirObject(w.key, fi, time.Now()), nil
}

// date gives the new version a time of its own, later than that of the one
// before, if there is one: the file system's may have steps of milliseconds, or
// of two seconds (FAT).
func (w *dirWriter) date(before fs.FileInfo) (fs.FileInfo, error) {
	at := time.Now()
	for _, step := range []time.Duration{time.Microsecond, 10 * time.Millisecond, 2 * time.Second, 4 * time.Second} {
		if before != nil && !at.After(before.ModTime()) {
			at = before.ModTime().Add(step)
		}
		if err := os.Chtimes(w.f.Name(), at, at); err != nil {
			return nil, err
		}
		fi, err := w.f.Stat()
		if err != nil || before == nil || fi.ModTime().After(before.ModTime()) {
			return fi, err
		}
		at = before.ModTime()
	}
	return nil, errors.New("the file system does not keep the times of files: use another for the store")
}

// linkOnce moves a file to a name that must be free. link(2) refuses to
// replace; where the file system has no links (FAT), the lock that the caller
// holds has to do.
func linkOnce(from, to string) error {
	err := os.Link(from, to)
	switch {
	case err == nil:
		return os.Remove(from)
	case errors.Is(err, fs.ErrExist):
		return ErrExists
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return ErrExists
	}
	return os.Rename(from, to)
}

// Close implements Writer.
func (w *dirWriter) Close() error {
	if w.f == nil {
		return nil
	}
	name := w.f.Name()
	w.f.Close() // a second time after publish: harmless
	w.f = nil
	err := os.Remove(name)
	w.d.prune(filepath.Dir(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return w.d.wrap("clean up after", w.key, err)
	}
	return nil
}

// Put implements Store.
func (d *Dir) Put(ctx context.Context, key string, b []byte, old ETag) (ETag, error) {
	w, err := d.create(ctx, key)
	if err != nil {
		return "", err
	}
	defer w.Close()
	if _, err := w.Write(b); err != nil {
		return "", err
	}
	o, err := w.commit(old, false)
	return o.ETag, err
}

// Delete implements Store.
func (d *Dir) Delete(ctx context.Context, key string, old ETag) error {
	p, err := d.path(key)
	if err != nil {
		return err
	}
	if _, err := statFile(p); err != nil {
		return d.wrap("delete", key, err)
	}
	unlock, err := d.lock(ctx)
	if err != nil {
		return d.wrap("lock for deleting", key, err)
	}
	defer unlock()
	fi, err := statFile(p)
	if err == nil && fileETag(fi) != old {
		err = ErrChanged
	}
	if err == nil {
		err = os.Remove(p)
	}
	if err == nil {
		err = syncDir(filepath.Dir(p))
	}
	if err != nil {
		return d.wrap("delete", key, err)
	}
	d.prune(filepath.Dir(p))
	return nil
}

// ErrBlocked says that a store in a directory cannot have a key: a file system
// has no file and directory of one name.
var ErrBlocked = errors.New("the two names are in each other's way")

// mkdirs is os.MkdirAll that makes durable what it creates.
func mkdirs(dir string) error {
	if fi, err := os.Stat(dir); err == nil && fi.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := mkdirs(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		fi, serr := os.Stat(dir)
		switch {
		case serr == nil && fi.IsDir():
			return nil
		case serr == nil:
			return fmt.Errorf("an object stands where a directory is needed: %w", ErrBlocked)
		}
		return err
	}
	return syncDir(parent)
}

// prune removes directories below the root that have become empty. os.Remove
// will not do: it takes a file as well, so an object on the way to a key that
// could not be created.
func (d *Dir) prune(dir string) {
	for len(dir) > len(d.root) && rmdir(dir) == nil {
		dir = filepath.Dir(dir)
	}
}
