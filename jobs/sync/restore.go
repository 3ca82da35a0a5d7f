package dirsync

import (
	"context"
	"errors"
	"iter"
	"path"
	"strings"
	"sync"
	"time"

	"mayfly/internal/store"
)

// Find takes a path apart into the prefix of a sync job, which has an index in
// the store, and what is below it; ok is false when no leading part of path is
// such a prefix.
func Find(ctx context.Context, st store.Store, at string) (prefix, sub string, ok bool, err error) {
	parts := strings.Split(at, "/")
	for n := 1; n <= len(parts); n++ {
		prefix := strings.Join(parts[:n], "/")
		for _, err := range st.List(ctx, prefix+"/"+indexDir) {
			if err != nil {
				return "", "", false, err
			}
			return prefix, strings.Join(parts[n:], "/"), true, nil
		}
	}
	return "", "", false, nil
}

// A File is one that a sync job keeps.
type File struct {
	Path     string // below the job's prefix
	Size     int64
	Modified time.Time // the file's own time; the object's where that is not known

	object store.Object
	known  *record
}

// Files lists those below a part of what a job keeps, "" for all of it, in the
// order of their paths. Where the index does not know a file, its time is the
// object's.
func Files(ctx context.Context, st store.Store, prefix, sub string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		x, err := findIndex(ctx, st, prefix)
		if err != nil {
			yield(File{}, err)
			return
		}
		below := prefix + "/"
		if sub != "" {
			below += sub + "/"
		}
		nothing := func(func(entry) bool) {}
		for p, err := range merge(ctx, nothing, st.List(ctx, below), x.records(ctx), prefix, func(error) {}) {
			if err != nil {
				yield(File{}, err)
				return
			}
			f := File{Path: p.path, Size: p.object.Size, Modified: p.object.Modified, object: *p.object, known: p.known}
			if p.known != nil {
				f.Modified = time.Unix(0, p.known.MTime)
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

// One looks at a single file. store.ErrNotExist: there is none of that path.
func One(ctx context.Context, st store.Store, prefix, sub string) (File, error) {
	o, err := st.Stat(ctx, prefix+"/"+sub)
	if err != nil {
		return File{}, err
	}
	f := File{Path: sub, Size: o.Size, Modified: o.Modified, object: o}
	x, err := findIndex(ctx, st, prefix)
	if err != nil {
		return File{}, err
	}
	for r, err := range x.records(ctx) {
		if err != nil || r.Path > sub {
			break
		}
		if r.Path == sub && r.ETag == o.ETag {
			f.known, f.Modified = &r, time.Unix(0, r.MTime)
			break
		}
	}
	return f, nil
}

// A FileError is a file that could not be brought back.
type FileError struct {
	Path string
	Err  error
}

func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *FileError) Unwrap() error { return e.Err }

// atOnce is how many files are brought back at the same time.
const atOnce = 16

// All brings files into Root, each as a whole or not at all, and returns how
// many. The error joins a FileError for each that could not be brought back,
// and what ended the listing.
func (f Fetch) All(ctx context.Context, files iter.Seq2[File, error], read func(int64)) (int, error) {
	var mu sync.Mutex
	var errs []error
	n := 0
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	}
	queue := make(chan File)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for file := range queue {
				if err := f.one(ctx, file.object, file.known, read); err != nil {
					fail(&FileError{file.Path, err})
					continue
				}
				mu.Lock()
				n++
				mu.Unlock()
			}
		})
	}
	for file, err := range files {
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			fail(err)
			break
		}
		queue <- file
	}
	close(queue)
	workers.Wait()
	return n, errors.Join(errs...)
}

// A Directory is what a sync job keeps of one, as a whole.
type Directory struct {
	Prefix string    `json:"prefix"`
	Files  int       `json:"files"`
	Bytes  int64     `json:"bytes"`
	Synced time.Time `json:"synced"` // when the last run that was whole began
}

// Directories finds all in a store.
func Directories(ctx context.Context, st store.Store) ([]Directory, error) {
	var list []Directory
	for o, err := range st.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		prefix, rest, ok := strings.Cut(o.Key, "/"+indexDir)
		stamp, piece := path.Split(rest)
		if !ok || piece != endPiece {
			continue
		}
		t, err := time.Parse("20060102T150405Z", strings.TrimSuffix(stamp, "/"))
		if err != nil {
			continue
		}
		if n := len(list); n > 0 && list[n-1].Prefix == prefix {
			list[n-1].Synced = t
			continue
		}
		list = append(list, Directory{Prefix: prefix, Synced: t})
	}
	for i := range list {
		for o, err := range st.List(ctx, list[i].Prefix+"/") {
			if err != nil {
				return nil, err
			}
			if !strings.HasPrefix(o.Key, list[i].Prefix+"/"+indexDir) {
				list[i].Files++
				list[i].Bytes += o.Size
			}
		}
	}
	return list, nil
}
