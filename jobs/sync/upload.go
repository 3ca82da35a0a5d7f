package dirsync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"mayfly/internal/store"
	"mayfly/runner"
)

// large is from where on files go one after the other, two at a time: more do
// not make it faster, since all of them share the same buffers, and so the
// store puts one together while the next arrives.
const (
	large      = 64 << 20
	largeFiles = 2
)

const (
	tries      = 3
	changeWait = 300 * time.Millisecond // for whoever writes to a file
)

// upload brings one file to the store, if it differs.
func (r *run) upload(ctx context.Context, t *task) {
	it := r.rec.Start(t.path)
	it.Expect(t.local.info.Size())
	for try := 1; ; try++ {
		changed, rec, doing, err := r.uploadOnce(ctx, t.pair, it)
		again := errors.Is(err, errChanged) || errors.Is(err, store.ErrAgain)
		switch {
		case err == nil && !changed:
			t.record = rec
			it.Fold(runner.Unchanged)
			return
		case err == nil:
			t.record = rec
			it.Wrote(rec.Size)
			it.Fold(runner.Changed)
			return
		case errors.Is(err, errVanished):
			r.vanished.Add(1)
			it.Forget()
			return
		case ctx.Err() != nil:
			return // interrupted, as the runner finds it
		case !again || try == tries:
			t.record = t.known // the object is what it was
			r.fail(it, t.pair, doing, err, fixOf(err))
			return
		}
		select {
		case <-time.After(changeWait):
		case <-ctx.Done():
			return
		}
	}
}

// uploadOnce compares a file and writes it if need be. rec is what the index is
// to say of the object then.
func (r *run) uploadOnce(ctx context.Context, p pair, it *runner.Item) (changed bool, rec *record, doing string, err error) {
	if differs, rec, err := r.differs(ctx, r.dir, p, it.Read); err != nil || !differs {
		return false, rec, "compare", err
	}
	if p.local.info.Size() > large {
		select {
		case r.large <- struct{}{}:
			defer func() { <-r.large }()
		case <-ctx.Done():
			return false, nil, "read", context.Cause(ctx)
		}
	}
	src, err := openSource(ctx, r.dir, p.path, it.Read)
	if err != nil {
		return false, nil, "read", err
	}
	defer src.Close()
	if r.config.Compare == compareChecksum {
		src.sum = sha256.New()
	} else if err := src.rest(); err != nil {
		return false, nil, "read", err
	}
	reading := &reader{source: src}
	fi := src.before
	o, err := r.over.Overwrite(ctx, r.env.Prefix+"/"+p.path, reading, fi.Size(), store.Attributes{
		Meta: metaOf(fi), Class: r.config.StorageClass, KMSKey: r.config.KMSKey,
	})
	switch {
	case reading.failed != nil:
		return false, nil, "read", reading.failed
	case err != nil && src.check() != nil: // it has become longer or shorter
		return false, nil, "read", errChanged
	case err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrAgain):
		r.counted(err)
	case err == nil:
		r.counted(nil)
	}
	if err != nil {
		return false, nil, "write", err
	}
	rec = &record{Path: p.path, Size: fi.Size(), MTime: momentOf(fi.ModTime()), Mode: modeOf(fi), ETag: o.ETag, CRC32C: src.checksum()}
	if src.sum != nil {
		rec.SHA256 = hex.EncodeToString(src.sum.Sum(nil))
	}
	return true, rec, "", nil
}

// A reader remembers that it was the reading which failed, not the writing.
type reader struct {
	*source
	failed error
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.source.Read(b)
	if err != nil && err != io.EOF && r.ctx.Err() == nil {
		r.failed = err
	}
	return n, err
}
