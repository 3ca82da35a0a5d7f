package store

import (
	"context"
	"errors"
	"io"
	"time"
)

// resumeTries is how often in a row a download is begun anew without a byte of
// it having come.
const resumeTries = 5

// A resumedBody reads a range of an object and goes on after a cut where it
// was, as long as the object is the same.
type resumedBody struct {
	s    *S3
	ctx  context.Context
	key  string
	etag ETag

	body    io.ReadCloser
	at, end int64
	err     error // how the last read ended, beside its bytes
	tries   int
}

func (r *resumedBody) Read(p []byte) (int, error) {
	for {
		if r.err != nil {
			if err := r.resume(); err != nil {
				return 0, err
			}
		}
		var n int
		n, r.err = r.body.Read(p)
		r.at += int64(n)
		if n > 0 {
			r.tries = 0
			return n, nil // the error is the next read's
		}
		if r.err == nil {
			return 0, nil
		}
	}
}

// resume begins again at the byte that is missing, unless the end was regular
// or nothing helps.
func (r *resumedBody) resume() error {
	if r.err == io.EOF || r.at >= r.end || r.tries == resumeTries || r.ctx.Err() != nil {
		return r.err
	}
	if pause(r.ctx, 100*time.Millisecond<<r.tries) != nil {
		return r.err
	}
	r.tries++
	b, _, err := r.s.open(r.ctx, r.key, r.at, r.end-r.at, r.etag)
	if errors.Is(err, ErrChanged) || errors.Is(err, ErrNotExist) {
		r.tries = resumeTries
		r.err = err
		return err
	}
	if err != nil {
		return nil // r.err stays, and the next turn tries again
	}
	r.body.Close()
	r.body, r.err = b, nil
	return nil
}

func (r *resumedBody) Close() error { return r.body.Close() }
