package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

var (
	errClosed    = errors.New("writer is closed")
	errTooLarge  = errors.New("object is larger than the store takes")
	errLateParts = errors.New("parts of the upload are missing")
)

// An s3Writer sends an object part by part while the next part fills. An
// object shorter than one part goes in a single request.
type s3Writer struct {
	s     *S3
	key   string
	nonce string
	over  replacing
	began time.Time // local, only ever compared with itself

	ctx    context.Context // ends on the first failure
	cancel context.CancelCauseFunc
	done   bool // committed or dropped

	cur   *part
	size  int64
	sum   uint32 // of the whole object
	parts int32  // begun

	uploadID  string
	checked   bool // the upload carries checksums
	ambiguous bool // an upload may have been begun that we do not know

	sending sync.WaitGroup
	mu      sync.Mutex
	sent    []types.CompletedPart
	cutOff  bool  // the server may still be at work on a part
	err     error // the first failure
}

// Create implements Store. The writer holds no buffer before its first byte.
// One goroutine must not feed two writers in turns: see Pool.
func (s *S3) Create(ctx context.Context, key string) (Writer, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, s.wrap("write", key, nil, err)
	}
	return s.writer(ctx, key, replacing{}), nil
}

func (s *S3) writer(ctx context.Context, key string, over replacing) *s3Writer {
	w := &s3Writer{s: s, key: key, nonce: rand.Text(), over: over, began: time.Now()}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	return w
}

func (w *s3Writer) Write(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		space, err := w.space()
		if err != nil {
			return n, err
		}
		k := copy(space, b[n:])
		n += k
		if err := w.took(space[:k]); err != nil {
			return n, err
		}
	}
	return n, nil
}

// space is what is left of a buffer to put bytes in.
func (w *s3Writer) space() ([]byte, error) {
	if err := w.failure(); err != nil {
		return nil, err
	}
	if w.cur == nil {
		if err := w.next(); err != nil {
			return nil, w.fail(err)
		}
	}
	return w.cur.space(), nil
}

// took counts the bytes at the beginning of space, and sends a part that is
// full.
func (w *s3Writer) took(b []byte) error {
	w.cur.took(b)
	w.sum = crc32.Update(w.sum, castagnoli, b)
	w.size += int64(len(b))
	if !w.cur.full() {
		return nil
	}
	if err := w.send(); err != nil {
		return w.fail(err)
	}
	return nil
}

// next begins a part: it waits for one buffer, or for all when the object has
// become large.
func (w *s3Writer) next() error {
	if w.done {
		return errClosed
	}
	if int(w.parts) == w.s.o.MaxParts {
		return w.s.wrap("write", w.key, nil, fmt.Errorf("%w: %d parts hold %d bytes", errTooLarge, w.parts, w.size))
	}
	n := 1
	if int(w.parts) >= w.s.o.SmallParts {
		n = w.s.o.Pool.parts
	}
	bufs, err := w.s.o.Pool.get(w.ctx, n)
	if err != nil {
		return w.s.wrap("write", w.key, nil, err)
	}
	w.parts++
	w.cur = &part{number: w.parts, bufs: bufs}
	return nil
}

// send uploads the current part in the background.
func (w *s3Writer) send() error {
	if w.uploadID == "" {
		if err := w.begin(); err != nil {
			return err
		}
	}
	p := w.cur
	w.cur = nil
	w.sending.Go(func() {
		defer w.s.o.Pool.put(p.bufs)
		if err := w.upload(p); err != nil {
			w.fail(err)
		}
	})
	return nil
}

// Commit implements Writer. Modified is the time of the store's answer.
func (w *s3Writer) Commit() (Object, error) {
	if w.done {
		return Object{}, errClosed
	}
	if err := context.Cause(w.ctx); err != nil && w.failure() == nil {
		w.fail(w.s.wrap("write", w.key, nil, err))
	}
	o, err := w.commit()
	if err != nil {
		if derr := w.drop(); derr != nil {
			err = fmt.Errorf("%w; then %w", err, derr)
		}
		return Object{}, err
	}
	w.done = true
	w.cancel(nil)
	if w.ambiguous {
		// The key is taken by now, so no other upload of it can ever complete:
		// the one we lost is among them. The object is whole either way.
		_ = w.sweep(func(types.MultipartUpload, time.Time) bool { return true })
	}
	return o, nil
}

func (w *s3Writer) commit() (Object, error) {
	if err := w.failure(); err != nil {
		return Object{}, err
	}
	if w.uploadID == "" {
		return w.single()
	}
	if w.cur != nil {
		if err := w.send(); err != nil {
			return Object{}, w.fail(err)
		}
	}
	w.sending.Wait()
	if err := w.failure(); err != nil {
		return Object{}, err
	}
	for i, p := range w.sent {
		if p.PartNumber == nil {
			return Object{}, w.s.wrap("write", w.key, nil, fmt.Errorf("%w: number %d", errLateParts, i+1))
		}
	}
	return w.complete()
}

// single writes an object that fits into one part.
func (w *s3Writer) single() (Object, error) {
	p := w.cur
	if p == nil {
		p = &part{}
	} else {
		defer func() { w.cur = nil; w.s.o.Pool.put(p.bufs) }()
	}
	return w.s.put(w.ctx, w.key, p.reader(), int64(p.size), p.sum, w.over)
}

// Close implements Writer.
func (w *s3Writer) Close() error {
	if w.done {
		return nil
	}
	w.fail(errClosed)
	return w.drop()
}

// drop gives back the buffers and removes what the server keeps of the upload.
func (w *s3Writer) drop() error {
	w.done = true
	w.cancel(errClosed)
	w.sending.Wait()
	if w.cur != nil {
		w.s.o.Pool.put(w.cur.bufs)
		w.cur = nil
	}
	var err error
	if w.uploadID != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), cleanupTime)
		defer cancel()
		err = w.abort(ctx)
	}
	if w.ambiguous {
		lived := time.Since(w.began) + 2*time.Second // the store's clock has whole seconds
		err = errors.Join(err, w.sweep(func(u types.MultipartUpload, now time.Time) bool {
			return u.Initiated != nil && u.Initiated.After(now.Add(-lived))
		}))
	}
	return err
}

// abort removes the upload. A part that was cut off may have arrived whole, and
// the server may store it after the abort, which brings the upload back:
// "it might be necessary to abort a given multipart upload multiple times"
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html).
func (w *s3Writer) abort(ctx context.Context) error {
	err := w.s.abort(ctx, w.key, w.uploadID)
	if err != nil || !w.cutOff {
		return err
	}
	for _, later := range []time.Duration{200 * time.Millisecond, time.Second} {
		select {
		case <-time.After(later):
		case <-ctx.Done():
			return nil
		}
		if err := w.s.abort(ctx, w.key, w.uploadID); err != nil {
			return err
		}
	}
	return nil
}

// fail keeps the first failure, ends everything in flight, and returns it.
func (w *s3Writer) fail(err error) error {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	err = w.err
	w.mu.Unlock()
	w.cancel(err)
	return err
}

func (w *s3Writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
