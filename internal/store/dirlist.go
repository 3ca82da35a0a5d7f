package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// List implements Store. A store that nothing was written to is empty.
func (d *Dir) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		stopped := false
		err := d.walk(ctx, "", prefix, func(key string, fi fs.FileInfo) bool {
			if isOwn(key) {
				return true
			}
			stopped = !yield(dirObject(key, fi, time.Time{}), nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(Object{}, d.wrap("list", prefix, err))
		}
	}
}

var errStop = errors.New("stop")

// walk calls f for every regular file whose path from the root begins with
// prefix, in the order of these paths, the store's own files included, until f
// returns false.
func (d *Dir) walk(ctx context.Context, dir, prefix string, f func(string, fs.FileInfo) bool) error {
	err := d.walkDir(ctx, dir, prefix, f)
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

func (d *Dir) walkDir(ctx context.Context, dir, prefix string, f func(string, fs.FileInfo) bool) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(d.root, filepath.FromSlash(dir)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not there, or gone since the parent was read
	}
	if err != nil {
		return err
	}
	// "a.b" comes before "a/c": directories sort by their name with the slash.
	paths := make([]string, 0, len(entries))
	for _, e := range entries {
		p := dir + e.Name()
		if !strings.HasPrefix(p+"/", prefix) && !strings.HasPrefix(prefix, p+"/") {
			continue
		}
		mode, err := d.mode(p, e)
		switch {
		case err != nil:
			return err
		case mode.IsDir():
			paths = append(paths, p+"/")
		case mode.IsRegular() && strings.HasPrefix(p, prefix):
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	for _, p := range paths {
		if strings.HasSuffix(p, "/") {
			if err := d.walkDir(ctx, p, prefix, f); err != nil {
				return err
			}
			continue
		}
		fi, err := os.Stat(filepath.Join(d.root, filepath.FromSlash(p)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return err
		}
		if !f(p, fi) {
			return errStop
		}
	}
	return nil
}

// mode is that of an entry, or of what it links to: reads and writes follow
// symbolic links, so a listing that did not would say that nothing is there. A
// link that leads nowhere, or around, is an error for the same reason.
func (d *Dir) mode(p string, e fs.DirEntry) (fs.FileMode, error) {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.Type(), nil
	}
	if strings.Count(p, "/") > maxDepth {
		return 0, fmt.Errorf("%s: symbolic links lead around in a circle: remove them", p)
	}
	fi, err := os.Stat(filepath.Join(d.root, filepath.FromSlash(p)))
	if err != nil {
		return 0, fmt.Errorf("%s: this symbolic link leads nowhere: %v: mend or remove it", p, err) // not ErrNotExist: the listing is incomplete
	}
	return fi.Mode().Type(), nil
}

// maxDepth is more than any key of ours has, and less than what a system
// follows.
const maxDepth = 20

// AbortUploads implements Store.
func (d *Dir) AbortUploads(ctx context.Context, prefix string, before time.Time) (int, error) {
	n := 0
	var failed error
	// A temporary file has no name to compare, only its directory.
	top := prefix[:strings.LastIndex(prefix, "/")+1]
	err := d.walk(ctx, "", top, func(p string, fi fs.FileInfo) bool {
		if !tmpForm.MatchString(filepath.Base(p)) || !fi.ModTime().Before(before) {
			return true
		}
		full := filepath.Join(d.root, filepath.FromSlash(p))
		if err := os.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = err
			return false
		}
		d.prune(filepath.Dir(full))
		n++
		return true
	})
	if err = errors.Join(err, failed); err != nil {
		return n, d.wrap("remove unfinished writes under", prefix, err)
	}
	return n, nil
}
