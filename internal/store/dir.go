package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// lockName and tmpName are the files that are the store's own business: one
// beside all objects, and those that are being written.
const (
	lockName = ".mayfly-lock"
	tmpName  = ".mayfly-tmp-" // and rand.Text
)

var tmpForm = regexp.MustCompile(`^\.mayfly-tmp-[A-Z2-7]{26}$`)

// isOwn reports whether what has a path below the root is no object, whatever
// it holds.
func isOwn(key string) bool { return key == lockName || tmpForm.MatchString(path.Base(key)) }

// A Dir keeps objects as files in a directory, private to the user (mode
// 0700 and 0600). Several processes may use it at once, on one machine: what is
// conditional happens under a lock file. The clock is the machine's. It is safe
// for concurrent use.
type Dir struct{ root string }

var _ Store = (*Dir)(nil)

// NewDir returns a store in root, which the first write creates if need be.
func NewDir(root string) (*Dir, error) {
	abs, err := filepath.Abs(root)
	if err != nil || root == "" {
		return nil, fmt.Errorf("store directory %q: not a path: name an absolute directory", root)
	}
	fi, err := os.Stat(abs)
	switch {
	case err == nil && !fi.IsDir():
		return nil, fmt.Errorf("store directory %s: is a file: name a directory", abs)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("store directory: %w", err)
	}
	return &Dir{abs}, nil
}

// URL implements Store.
func (d *Dir) URL(key string) string {
	p := filepath.ToSlash(filepath.Join(d.root, filepath.FromSlash(key)))
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // a drive letter
	}
	return (&url.URL{Scheme: "file", Path: p}).String()
}

// path is the file of a valid key.
func (d *Dir) path(key string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	if isOwn(key) {
		return "", fmt.Errorf("bad object key %q: a file of this name is the store's own", key)
	}
	if runtime.GOOS == "windows" {
		if err := windowsProblem(key); err != nil {
			return "", fmt.Errorf("bad object key %q: %w", key, err)
		}
	}
	return filepath.Join(d.root, filepath.FromSlash(key)), nil
}

// wrap turns a file system error into "doing file:///dir/key: what: what to do".
func (d *Dir) wrap(doing, key string, err error) error {
	fix := ""
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &le):
		err = le.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && doing == "write": // not the object: a directory that cannot be made
		fix = ": correct store:"
	case errors.Is(err, syscall.EROFS):
		fix = ": correct store: or mount it for writing"
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrNotExist):
		err = fmt.Errorf("%w (%w)", ErrNotExist, err)
	case isFull(err):
		fix = ": free some space or move the store"
	case errors.Is(err, fs.ErrPermission):
		fix = ": give this user the right to it or correct store:"
	}
	return fmt.Errorf("%s %s: %w%s", doing, d.URL(key), err, fix)
}

// Stat implements Store.
func (d *Dir) Stat(ctx context.Context, key string) (Object, error) {
	p, err := d.path(key)
	if err != nil {
		return Object{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return Object{}, d.wrap("look at", key, err)
	}
	fi, err := statFile(p)
	if err != nil {
		return Object{}, d.wrap("look at", key, err)
	}
	return dirObject(key, fi, time.Now()), nil
}

// statFile looks at an object's file; anything that is no regular file is no
// object.
func statFile(p string) (fs.FileInfo, error) {
	fi, err := os.Lstat(p)
	if err != nil && isNotDir(err) || err == nil && !fi.Mode().IsRegular() {
		return nil, ErrNotExist
	}
	return fi, err
}

func dirObject(key string, fi fs.FileInfo, now time.Time) Object {
	o := Object{Key: key, Size: fi.Size(), ETag: fileETag(fi), Modified: fi.ModTime().UTC()}
	if !now.IsZero() {
		o.Now = now.UTC()
	}
	return o
}

// fileETag tells versions of a file apart without reading it: every version has
// a time of its own. The inode has no part in it: FAT and others make numbers
// up as they go, others after each mount, and so do copies that keep times.
func fileETag(fi fs.FileInfo) ETag {
	return ETag(fmt.Sprintf("%x-%x", fi.ModTime().UnixNano(), fi.Size()))
}

// Open implements Store.
func (d *Dir) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, Object, error) {
	p, err := d.path(key)
	if err != nil {
		return nil, Object{}, err
	}
	if off < 0 {
		return nil, Object{}, fmt.Errorf("read %s: negative offset %d", d.URL(key), off)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, Object{}, d.wrap("read", key, err)
	}
	if _, err := statFile(p); err != nil {
		return nil, Object{}, d.wrap("read", key, err)
	}
	f, err := os.Open(p)
	if err != nil {
		return nil, Object{}, d.wrap("read", key, err)
	}
	fi, err := f.Stat()
	if err == nil && n < 0 {
		n = max(0, fi.Size()-off)
	}
	if err == nil && off+n > fi.Size() {
		err = errors.Join(errPastEnd, io.ErrUnexpectedEOF)
	}
	if err != nil {
		f.Close()
		return nil, Object{}, d.wrap("read", key, err)
	}
	return &fileBody{d, key, ctx, f, io.NewSectionReader(f, off, n), n}, dirObject(key, fi, time.Now()), nil
}

// A fileBody reads a part of a file and notices when it is cut meanwhile.
type fileBody struct {
	d    *Dir
	key  string
	ctx  context.Context
	f    *os.File
	r    io.Reader
	left int64
}

func (b *fileBody) Read(p []byte) (int, error) {
	if err := context.Cause(b.ctx); err != nil {
		return 0, b.d.wrap("read", b.key, err)
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		err = b.d.wrap("read", b.key, err)
	}
	return n, err
}

func (b *fileBody) Close() error { return b.f.Close() }
