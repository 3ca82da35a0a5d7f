package dirsync

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"mayfly/internal/store"
)

// A fetch brings objects that a sync job has written into a directory.
type fetch struct {
	store store.Store
	dir   *folder
}

var fetchBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// one brings one object to a path below root, as a whole or not at all. known
// is what the index says of it, nil where it says nothing; copied what it is then
// if its sum fits.
func (f fetch) one(ctx context.Context, rel string, o store.Object, known, copied *record, read func(int64)) (err error) {
	defer func() {
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = fmt.Errorf("%w: free some space there, or name a directory on a larger disk", err)
		}
	}()
	if !fs.ValidPath(rel) {
		return errors.New("this name leads out of the directory")
	}
	mtime, mode, err := attributes(ctx, f.store, o, known)
	if err != nil {
		return err
	}
	body, now, err := f.store.Open(ctx, o.Key, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	if now.ETag != o.ETag {
		known = nil
		if mtime, mode, err = attributes(ctx, f.store, now, nil); err != nil {
			return err
		}
	}
	dir, err := f.dir.mkdirs(path.Dir(rel))
	if err != nil {
		return err
	}
	defer dir.Close()
	name, tmp := path.Base(rel), ".mayfly-"+rand.Text()+".tmp"
	w, err := dir.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return plain(err)
	}
	defer func() {
		if err != nil {
			_ = dir.Remove(tmp)
		}
	}()
	sum := cmp.Or(known, copied).sums()
	err = fill(io.MultiWriter(w, sum), body, now.Size, read)
	if known == nil && copied != nil && sum.fit() {
		known, mtime, mode = copied, copied.MTime.settable(), permissions(copied.Mode)
	}
	if err == nil {
		err = plain(w.Chmod(mode))
	}
	if err = errors.Join(err, plain(w.Close())); err != nil {
		return err
	}
	if known != nil && !sum.fit() {
		return errOther
	}
	if err := dir.Chtimes(tmp, time.Time{}, mtime); err != nil {
		return plain(err)
	}
	if fi, err := dir.Lstat(name); err == nil && !fi.Mode().IsRegular() {
		return errInTheWay
	}
	if err := dir.Rename(tmp, name); err != nil {
		return plain(err)
	}
	return nil
}

// fill copies a body, which must have so many bytes.
func fill(w io.Writer, body io.Reader, size int64, read func(int64)) error {
	buf := fetchBuffers.Get().(*[64 << 10]byte)
	defer fetchBuffers.Put(buf)
	n, werr := int64(0), error(nil)
	for {
		k, err := body.Read(buf[:])
		if k > 0 {
			if _, werr = w.Write(buf[:k]); werr != nil {
				return plain(werr)
			}
			n += int64(k)
			if read != nil {
				read(int64(k))
			}
		}
		switch {
		case err == io.EOF && n == size:
			return nil
		case err == io.EOF:
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
	}
}

// attributes are the time and the permissions that a file is to have.
func attributes(ctx context.Context, st store.Store, o store.Object, known *record) (time.Time, fs.FileMode, error) {
	if known != nil {
		return known.MTime.settable(), permissions(known.Mode), nil
	}
	mtime, mode := o.Modified, fs.FileMode(0o644)
	over, ok := st.(store.Overwriter)
	if !ok {
		return mtime, mode, nil
	}
	_, meta, err := over.Meta(ctx, o.Key)
	if err != nil {
		return mtime, mode, err
	}
	if t, ok := timeIn(meta); ok {
		mtime = t.settable()
	}
	if m, ok := modeIn(meta); ok {
		mode = permissions(m)
	}
	return mtime, mode, nil
}
