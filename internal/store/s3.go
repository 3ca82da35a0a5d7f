package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
)

// nonceKey is the metadata entry that tells our own object from another's
// after the reply to a write was lost.
const nonceKey = "mayfly-nonce"

// cleanupTime bounds everything that a writer does after its context ended.
const cleanupTime = 5 * time.Second

// S3Options says where and how an S3 store keeps its objects.
type S3Options struct {
	Client *s3.Client // its retryer decides how often a request is tried
	Bucket string
	Prefix string // within the bucket, may be ""
	Pool   *Pool  // of the whole process
	// SmallParts is how many parts of an object are one buffer long; the rest
	// take the whole pool each. 0 means 2,000. Cloudflare R2 wants all parts
	// alike: set it to MaxParts there.
	SmallParts int
	// MaxParts is the service's limit; 0 means 10,000. With a pool of 6 x 5 MiB
	// an object may so have 244 GiB.
	MaxParts int
	// Timeout bounds one try of one request, on top of what its bytes need at
	// 64 KiB/s; completing an upload may take 20 times as long. 0 means 30 s.
	Timeout time.Duration
}

// An S3 store keeps objects in a bucket of AWS S3 or of a server that speaks
// its protocol, conditional writes included. It is safe for concurrent use.
type S3 struct {
	o              S3Options
	client         *s3.Client
	bucket, prefix string
	// noChecksums: the server turned down checksum headers once. Payloads are
	// signed then, over https too.
	noChecksums atomic.Bool
	// noCondDelete: the server turned down a conditional delete once.
	noCondDelete atomic.Bool
}

var _ Store = (*S3)(nil)

// NewS3 returns a store in a bucket. It sends no request.
func NewS3(o S3Options) (*S3, error) {
	switch {
	case o.Client == nil || o.Pool == nil:
		return nil, errors.New("s3 store: a client and a pool are needed")
	case o.Bucket == "":
		return nil, errors.New("s3 store: no bucket")
	}
	o.Prefix = strings.Trim(o.Prefix, "/")
	if o.Prefix != "" {
		if err := CheckKey(o.Prefix); err != nil {
			return nil, fmt.Errorf("s3 store: prefix: %w", err)
		}
	}
	if o.MaxParts == 0 {
		o.MaxParts = 10_000
	}
	if o.SmallParts == 0 {
		o.SmallParts = 2_000
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	return &S3{o: o, client: o.Client, bucket: o.Bucket, prefix: o.Prefix}, nil
}

// URL implements Store.
func (s *S3) URL(key string) string {
	return strings.TrimSuffix("s3://"+s.bucket+"/"+s.full(key), "/")
}

func (s *S3) full(key string) string {
	if s.prefix == "" {
		return key
	}
	return s.prefix + "/" + key
}

// call sets what every request has in common: a limit for each try that knows
// how many bytes travel.
func (s *S3) call(bytes int64, streams bool) func(*s3.Options) {
	return s.within(s.o.Timeout+time.Duration(bytes)*time.Second/slowest, streams)
}

// slowCall is for the completion of an upload, which takes S3 several minutes
// where there are many parts, and other servers as long as copying all of
// them (S3 API reference, CompleteMultipartUpload). A second try while the
// first is at work would fail.
func (s *S3) slowCall() func(*s3.Options) { return s.within(20*s.o.Timeout, false) }

func (s *S3) within(limit time.Duration, streams bool) func(*s3.Options) {
	return func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions[:len(o.APIOptions):len(o.APIOptions)], attempt{limit, streams}.add)
		o.DisableLogOutputChecksumValidationSkipped = true
	}
}

// unchecked is for servers without checksums: nothing is added by the SDK, and
// the signature covers the payload instead.
func unchecked(o *s3.Options) {
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	o.APIOptions = append(o.APIOptions[:len(o.APIOptions):len(o.APIOptions)], func(stack *middleware.Stack) error {
		_, err := stack.Finalize.Swap((&v4.ComputePayloadSHA256{}).ID(), &v4.ComputePayloadSHA256{})
		return err
	})
}

// Stat implements Store.
func (s *S3) Stat(ctx context.Context, key string) (Object, error) {
	o, _, err := s.head(ctx, key)
	return o, err
}

// Meta implements Overwriter.
func (s *S3) Meta(ctx context.Context, key string) (Object, map[string]string, error) {
	return s.head(ctx, key)
}

// head also returns the metadata of the object.
func (s *S3) head(ctx context.Context, key string) (Object, map[string]string, error) {
	if err := CheckKey(key); err != nil {
		return Object{}, nil, err
	}
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &s.bucket, Key: aws.String(s.full(key)),
	}, s.call(0, false))
	if isGone(err) {
		return Object{}, nil, s.wrap("look at", key, ErrNotExist, err)
	}
	if err != nil {
		return Object{}, nil, s.wrap("look at", key, nil, err)
	}
	return Object{
		Key: key, Size: aws.ToInt64(out.ContentLength), ETag: etag(out.ETag),
		Modified: aws.ToTime(out.LastModified).UTC(), Now: serverTime(out.ResultMetadata),
	}, out.Metadata, nil
}

// Put implements Store.
func (s *S3) Put(ctx context.Context, key string, b []byte, old ETag) (ETag, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	o, err := s.put(ctx, key, bytes.NewReader(b), int64(len(b)), crc32.Checksum(b, castagnoli), replacing{old: old})
	return o.ETag, err
}

// A replacing says what may be under the key that is written.
type replacing struct {
	old ETag // this version; "": nothing
	any bool // whatever there is; then with these attributes
	Attributes
}

// meta is the metadata of what is written.
func (r replacing) meta(nonce string) map[string]string {
	m := map[string]string{nonceKey: nonce}
	maps.Copy(m, r.Meta)
	return m
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// put writes an object in one request. The body is sent again after a failure
// that allows it; lost replies are settled by the nonce.
func (s *S3) put(ctx context.Context, key string, body io.ReadSeeker, size int64, sum uint32, old replacing) (Object, error) {
	nonce := rand.Text()
	in := &s3.PutObjectInput{
		Bucket: &s.bucket, Key: aws.String(s.full(key)), ContentLength: &size, Metadata: old.meta(nonce),
		StorageClass: types.StorageClass(old.Class), SSEKMSKeyId: optional(old.KMSKey),
	}
	if old.KMSKey != "" {
		in.ServerSideEncryption = types.ServerSideEncryptionAwsKms
	}
	switch {
	case old.any:
	case old.old == "":
		in.IfNoneMatch = aws.String("*")
	default:
		in.IfMatch = aws.String(quoted(old.old))
	}
	for try := 1; ; try++ {
		out, err := s.putOnce(ctx, in, body, sum)
		if err == nil && etag(out.ETag) != "" {
			now := serverTime(out.ResultMetadata)
			return Object{Key: key, Size: size, ETag: etag(out.ETag), Modified: now, Now: now}, nil
		}
		o, err := s.settle(ctx, key, nonce, size, old, err)
		// S3 answers 409 when two conditional writes meet, and asks for
		// another try.
		if !errors.Is(err, ErrAgain) || try == 4 || ctx.Err() != nil {
			return o, err
		}
		if err := pause(ctx, time.Duration(try)*50*time.Millisecond); err != nil {
			return Object{}, s.wrap("write", key, nil, err)
		}
	}
}

func (s *S3) putOnce(ctx context.Context, in *s3.PutObjectInput, body io.ReadSeeker, sum uint32) (*s3.PutObjectOutput, error) {
	size := *in.ContentLength
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	in.Body = body
	if !s.noChecksums.Load() {
		in.ChecksumCRC32C = aws.String(sum64(sum))
		out, err := s.client.PutObject(ctx, in, s.call(size, false))
		if !isNotImplemented(err) {
			return out, err
		}
		if _, serr := body.Seek(0, io.SeekStart); serr != nil {
			return nil, serr
		}
	}
	in.ChecksumCRC32C = nil
	out, err := s.client.PutObject(ctx, in, s.call(size, false), unchecked)
	if err == nil {
		s.noChecksums.Store(true)
	}
	return out, err
}

// settle decides what a write that did not clearly succeed has come to: our
// object is there (success), another one is, or none. It works after ctx has
// ended, within cleanupTime.
func (s *S3) settle(ctx context.Context, key, nonce string, size int64, may replacing, err error) (Object, error) {
	old := may.old
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	o, got, herr := s.head(ctx, key)
	switch {
	case herr == nil && got[nonceKey] == nonce && o.Size == size:
		return o, nil
	case may.any && err != nil:
		if isNoUpload(err) {
			return Object{}, s.wrap("write", key, ErrAgain, err)
		}
		return Object{}, s.wrap("write", key, nil, err)
	case may.any:
		return Object{}, s.wrap("write", key, nil, errors.New("the store said it was done, but the object is another one"))
	case herr == nil && old == "":
		return Object{}, s.wrap("write", key, ErrExists, err)
	case herr == nil && old != "" && (isPrecondition(err) || o.ETag != old):
		return Object{}, s.wrap("write", key, ErrChanged, err)
	case errors.Is(herr, ErrNotExist) && old != "" && (isGone(err) || isPrecondition(err)):
		return Object{}, s.wrap("write", key, ErrChanged, err)
	case isConflict(err) || isNoUpload(err):
		return Object{}, s.wrap("write", key, ErrAgain, err)
	case errors.Is(herr, ErrNotExist) && isPrecondition(err):
		// What stood in the way has been deleted since.
		return Object{}, s.wrap("write", key, ErrAgain, err)
	case err == nil:
		return Object{}, s.wrap("write", key, nil, errors.New("the store said it was done, but the object is not there"))
	}
	return Object{}, s.wrap("write", key, nil, err)
}

// Delete implements Store. The server compares the version where it can (AWS
// does since 2025); one that cannot is asked for the version just before, which
// leaves a gap of one round trip.
func (s *S3) Delete(ctx context.Context, key string, old ETag) error {
	o, err := s.Stat(ctx, key)
	if err != nil {
		return err
	}
	if o.ETag != old {
		return s.wrap("delete", key, ErrChanged, nil)
	}
	in := &s3.DeleteObjectInput{Bucket: &s.bucket, Key: aws.String(s.full(key))}
	if !s.noCondDelete.Load() {
		in.IfMatch = aws.String(quoted(old))
		_, err = s.client.DeleteObject(ctx, in, s.call(0, false))
		if !isNotImplemented(err) {
			return s.deleted(ctx, key, old, err)
		}
		s.noCondDelete.Store(true)
		in.IfMatch = nil
	}
	_, err = s.client.DeleteObject(ctx, in, s.call(0, false))
	return s.deleted(ctx, key, old, err)
}

// deleted settles a delete that did not clearly succeed: an object that was
// there a moment ago and is gone now is what was wanted.
func (s *S3) deleted(ctx context.Context, key string, old ETag, err error) error {
	if err == nil || isGone(err) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	o, serr := s.Stat(ctx, key)
	switch {
	case errors.Is(serr, ErrNotExist):
		return nil
	case serr == nil && o.ETag != old, isPrecondition(err):
		return s.wrap("delete", key, ErrChanged, err)
	}
	return s.wrap("delete", key, nil, err)
}

func etag(s *string) ETag { return ETag(strings.Trim(aws.ToString(s), `"`)) }

func quoted(e ETag) string { return `"` + string(e) + `"` }

func serverTime(m middleware.Metadata) time.Time {
	t, _ := awsmiddleware.GetServerTime(m)
	return t.UTC()
}

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
