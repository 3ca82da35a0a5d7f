package dirsync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"mayfly/internal/store"
	"mayfly/runner"
)

// download brings one file from the store, if it differs.
func (r *run) download(ctx context.Context, t *task) {
	it := r.rec.Start(t.path)
	it.Expect(t.object.Size)
	if t.local != nil {
		differs, _, err := r.differs(ctx, r.root, t.pair, nil)
		switch {
		case err == nil && !differs:
			it.Fold(runner.Unchanged)
			return
		case err != nil && !errors.Is(err, errVanished) && !errors.Is(err, errChanged):
			if ctx.Err() == nil {
				r.fail(it, t.pair, "compare", err, "")
			}
			return
		}
	}
	f := Fetch{Store: r.env.Store, Root: r.root, Prefix: r.env.Prefix}
	err := f.one(ctx, *t.object, t.known, it.Read)
	switch {
	case err == nil:
		r.counted(nil)
		it.Wrote(t.object.Size)
		it.Fold(runner.Changed)
	case errors.Is(err, store.ErrNotExist):
		r.vanished.Add(1)
		it.Forget()
	case ctx.Err() == nil:
		r.counted(err)
		r.fail(it, t.pair, "fetch", err, "")
	}
}

// A Fetch brings objects that a sync job has written into a directory.
type Fetch struct {
	Store  store.Store
	Root   *os.Root
	Prefix string // the job's
	// Sub is the part of the directory that is wanted, and that Root is to be;
	// "" is all of it.
	Sub string
}

// one brings one object, as a whole or not at all. known is what the index says
// of it, nil where it says nothing.
func (f Fetch) one(ctx context.Context, o store.Object, known *record, read func(int64)) error {
	rel, err := f.local(o.Key)
	if err != nil {
		return err
	}
	mtime, mode, err := f.attributes(ctx, o, known)
	if err != nil {
		return err
	}
	body, now, err := f.Store.Open(ctx, o.Key, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	if known != nil && now.ETag != o.ETag {
		if mtime, mode, err = f.attributes(ctx, now, nil); err != nil {
			return err
		}
	}
	if dir := path.Dir(rel); dir != "." {
		if err := f.Root.MkdirAll(dir, 0o777); err != nil {
			return fmt.Errorf("make the directory %s: %w", dir, plain(err))
		}
	}
	tmp := path.Join(path.Dir(rel), ".mayfly-"+rand.Text()+".tmp")
	w, err := f.Root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return plain(err)
	}
	defer f.Root.Remove(tmp) // after the renaming it is not there
	_, err = io.Copy(w, counting{body, read})
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if err := f.Root.Chmod(tmp, mode); err != nil {
		return plain(err)
	}
	if err := f.Root.Chtimes(tmp, time.Time{}, mtime); err != nil {
		return plain(err)
	}
	return plain(f.Root.Rename(tmp, rel))
}

// local is where an object goes.
func (f Fetch) local(key string) (string, error) {
	prefix := f.Prefix + "/"
	if f.Sub != "" {
		prefix += f.Sub + "/"
	}
	if len(key) <= len(prefix) || key[:len(prefix)] != prefix {
		return "", fmt.Errorf("%s is not below %s", key, prefix)
	}
	rel := key[len(prefix):]
	if !fs.ValidPath(rel) {
		return "", errors.New("this name leads out of the directory")
	}
	return rel, nil
}

// attributes are the time and the permissions that a file is to have.
func (f Fetch) attributes(ctx context.Context, o store.Object, known *record) (time.Time, fs.FileMode, error) {
	if known != nil {
		return time.Unix(0, known.MTime), permissions(known.Mode), nil
	}
	mtime, mode := o.Modified, fs.FileMode(0o644)
	if over, ok := f.Store.(store.Overwriter); ok {
		_, meta, err := over.Meta(ctx, o.Key)
		if err != nil {
			return mtime, mode, err
		}
		if t, ok := timeIn(meta); ok {
			mtime = time.Unix(0, t)
		}
		if m, ok := modeIn(meta); ok {
			mode = permissions(m)
		}
	}
	return mtime, mode, nil
}

// A counting reader tells how much has been read.
type counting struct {
	io.Reader
	read func(int64)
}

func (c counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if c.read != nil && n > 0 {
		c.read(int64(n))
	}
	return n, err
}
