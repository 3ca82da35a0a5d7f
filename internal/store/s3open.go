package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Open implements Store. Requests are repeated until an answer begins. A range
// goes on where its connection broke; a whole object, whose checksum is the
// transport's to check, does not: there a failure is the reader's error, but for
// a small one, which is read again.
func (s *S3) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, Object, error) {
	if err := CheckKey(key); err != nil {
		return nil, Object{}, err
	}
	if off < 0 {
		return nil, Object{}, fmt.Errorf("read %s: negative offset %d", s.URL(key), off)
	}
	b, o, err := s.open(ctx, key, off, n, "")
	switch whole := off == 0 && n < 0; {
	case err != nil:
		return b, o, err
	case whole && o.Size <= smallRead:
		return s.readSmall(ctx, key, b, o)
	case whole:
		return b, o, nil
	}
	end := off + n
	if n < 0 {
		end = o.Size
	}
	return &resumedBody{s: s, ctx: ctx, key: key, etag: o.ETag, body: b, at: off, end: end}, o, nil
}

// smallRead is what is read at once, in bytes: locks, indexes, addresses.
const smallRead = 128 << 10

const smallPause = 150 * time.Millisecond

// readSmall reads an object to its end, from the beginning again where it breaks
// or is not what its checksum says: a server that is just replacing it may answer
// with the one's bytes and the other's checksum.
func (s *S3) readSmall(ctx context.Context, key string, r io.ReadCloser, o Object) (io.ReadCloser, Object, error) {
	const tries = 4
	for try := 1; ; try++ {
		b, err := io.ReadAll(r)
		r.Close()
		if err == nil {
			return io.NopCloser(bytes.NewReader(b)), o, nil
		}
		if try == tries || ctx.Err() != nil {
			return nil, Object{}, err
		}
		select {
		case <-ctx.Done():
			return nil, Object{}, err
		case <-time.After(time.Duration(try) * smallPause):
		}
		if r, o, err = s.open(ctx, key, 0, -1, ""); err != nil {
			return nil, Object{}, err
		}
		if o.Size > smallRead {
			return r, o, nil
		}
	}
}

// open makes one request, with etag for that very version.
func (s *S3) open(ctx context.Context, key string, off, n int64, etagWanted ETag) (io.ReadCloser, Object, error) {
	if n == 0 {
		return s.openNothing(ctx, key, off)
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: aws.String(s.full(key))}
	if etagWanted != "" {
		in.IfMatch = aws.String(quoted(etagWanted))
	}
	opts := []func(*s3.Options){s.call(0, true)}
	switch whole := off == 0 && n < 0; {
	case whole:
		in.ChecksumMode = types.ChecksumModeEnabled
	case n < 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", off))
	default:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	}
	if in.Range != nil {
		// Checksums cover whole objects only.
		opts = append(opts, func(o *s3.Options) { o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired })
	}
	reading, cancel := context.WithCancelCause(ctx)
	out, err := s.client.GetObject(reading, in, opts...)
	if err != nil {
		cancel(nil)
		switch {
		case statusOf(err) == http.StatusRequestedRangeNotSatisfiable && n < 0:
			return s.openNothing(ctx, key, off)
		case statusOf(err) == http.StatusRequestedRangeNotSatisfiable:
			return nil, Object{}, s.wrap("read", key, nil, errors.Join(errPastEnd, io.ErrUnexpectedEOF))
		case isGone(err):
			return nil, Object{}, s.wrap("read", key, ErrNotExist, err)
		case isPrecondition(err):
			return nil, Object{}, s.wrap("read", key, ErrChanged, err)
		}
		return nil, Object{}, s.wrap("read", key, nil, err)
	}
	b := &body{s: s, key: key, rc: out.Body, cancel: cancel, ctx: reading, left: aws.ToInt64(out.ContentLength)}
	size := b.left
	if in.Range != nil {
		size, err = rangeTotal(aws.ToString(out.ContentRange), off, b.left)
	}
	if err == nil && n > 0 && b.left != n {
		err = errors.Join(errPastEnd, io.ErrUnexpectedEOF)
	}
	if err == nil && out.ContentLength == nil {
		err = errors.New("the answer does not say how long it is")
	}
	if err != nil {
		b.Close()
		return nil, Object{}, s.wrap("read", key, nil, err)
	}
	b.stalled = &stalledError{s.o.Timeout}
	b.timer = time.AfterFunc(time.Hour, func() { cancel(b.stalled) })
	b.timer.Stop()
	return b, Object{
		Key: key, Size: size, ETag: etag(out.ETag),
		Modified: aws.ToTime(out.LastModified).UTC(), Now: serverTime(out.ResultMetadata),
	}, nil
}

// openNothing is a read of no bytes, which HTTP ranges cannot express.
func (s *S3) openNothing(ctx context.Context, key string, off int64) (io.ReadCloser, Object, error) {
	o, err := s.Stat(ctx, key)
	if err == nil && off > o.Size {
		err = s.wrap("read", key, nil, errors.Join(errPastEnd, io.ErrUnexpectedEOF))
	}
	if err != nil {
		return nil, Object{}, err
	}
	return http.NoBody, o, nil
}

// rangeTotal checks a Content-Range ("bytes 5-9/10") and returns the object's
// size.
func rangeTotal(s string, off, n int64) (int64, error) {
	span, total, ok := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	size, err := strconv.ParseInt(total, 10, 64)
	if !ok || err != nil || span != fmt.Sprintf("%d-%d", off, off+n-1) {
		return 0, fmt.Errorf("asked for %d bytes from %d, the store answered range %q", n, off, s)
	}
	return size, nil
}

// A body counts what is read and gives up when nothing comes any more.
type body struct {
	s       *S3
	key     string
	rc      io.ReadCloser
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	stalled *stalledError
	left    int64
}

func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.stalled.after)
	n, err := b.rc.Read(p)
	b.timer.Stop()
	b.left -= int64(n)
	switch {
	case err == io.EOF && b.left > 0, errors.Is(err, io.ErrUnexpectedEOF):
		return n, b.s.wrap("read", b.key, nil, fmt.Errorf("cut off %d bytes before its end: %w", b.left, io.ErrUnexpectedEOF))
	case b.left < 0:
		return n, b.s.wrap("read", b.key, nil, errors.New("longer than announced"))
	case err == nil || err == io.EOF:
		return n, err
	case context.Cause(b.ctx) == error(b.stalled):
		err = b.stalled
	}
	return n, b.s.wrap("read", b.key, nil, err)
}

func (b *body) Close() error {
	defer b.cancel(nil)
	return b.rc.Close()
}
