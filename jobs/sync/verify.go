package dirsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"mayfly/internal/store"
)

// A Verified says what reading a whole tree has come to.
type Verified struct {
	Files   int // that were read
	Bytes   int64
	Damaged []string // paths, and what is wrong
	Missing []string // paths that the last run has recorded, and that are not there
	// Unread are paths that could not be read, and why.
	Unread []string
	// Others are paths whose object is not the version that the last run has
	// recorded: a run that was cut off, or somebody else, has written it.
	Others []string
	// Summed is how many of Files were held against a checksum that was taken of
	// the file when it was kept; Strong how many of these against a SHA-256.
	Summed, Strong int
}

// Whole reports whether nothing is wrong.
func (v Verified) Whole() bool { return len(v.Damaged)+len(v.Missing)+len(v.Unread) == 0 }

// Verify reads every byte. Objects are held against the checksum that the store
// keeps of them, and the one of the index where there is one. read is told how
// many bytes have come.
func (t *Tree) Verify(ctx context.Context, read func(int64)) (Verified, error) {
	var mu sync.Mutex
	var v Verified
	files := make(chan File)
	var workers sync.WaitGroup
	for range defaultParallel {
		workers.Go(func() {
			for f := range files {
				known, err := t.verify(ctx, f, read)
				mu.Lock()
				switch what := fmt.Sprintf("%s: %v", f.object.Key, err); {
				case err == nil:
					v.Files++
					v.Bytes += f.Size
					switch {
					case known == nil && f.copied != nil:
						v.Others = append(v.Others, f.object.Key)
					case known == nil:
					case known.SHA256 != "":
						v.Summed++
						v.Strong++
					case known.CRC32C != "":
						v.Summed++
					}
				case errors.Is(err, store.ErrNotExist): // deleted meanwhile
				case errors.Is(err, errOther), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "checksum did not match"):
					v.Damaged = append(v.Damaged, what)
				default:
					v.Unread = append(v.Unread, what)
				}
				mu.Unlock()
			}
		})
	}
	err := t.each(ctx, func(f File) { files <- f }, func(path string) { v.Missing = append(v.Missing, t.Prefix+"/"+path) },
		func(path string) {
			mu.Lock()
			defer mu.Unlock()
			v.Others = append(v.Others, t.Prefix+"/"+path)
		}, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			v.Unread = append(v.Unread, fmt.Sprintf("%s/%s: %v: what is missing is not known; the next run writes it again", t.Prefix, indexDir, err))
		})
	close(files)
	workers.Wait()
	slices.Sort(v.Others)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return v, err
}

var errOther = errors.New("its bytes are not those that were kept")

// verify reads one file. known is what the index says of this version of it; nil
// when it says nothing.
func (t *Tree) verify(ctx context.Context, f File, read func(int64)) (known *record, err error) {
	for try := 1; ; try++ {
		body, o, err := t.Store.Open(ctx, f.object.Key, 0, -1)
		if err != nil {
			return nil, err
		}
		sum := cmp.Or(f.record, f.copied).sums()
		err = fill(sum, body, o.Size, read)
		body.Close()
		switch {
		case err != nil && try < tries && ctx.Err() == nil:
		case err != nil:
			return nil, err
		case f.record == nil && f.copied != nil && sum.fit():
			return f.copied, nil
		case f.record == nil || o.ETag != f.object.ETag || sum.fit():
			return f.record, nil
		default:
			return nil, errOther
		}
	}
}
