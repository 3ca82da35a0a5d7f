package store

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

var errEndless = errors.New("the listing is cut off: the store says that there is more but not where")

// List implements Store. Keys that end in a slash, which some tools write to
// show a folder, are left out.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.full(prefix))}
		for {
			out, err := s.client.ListObjectsV2(ctx, in, s.call(0, false))
			if err != nil {
				yield(Object{}, s.wrap("list", prefix, nil, err))
				return
			}
			for _, c := range out.Contents {
				if strings.HasSuffix(aws.ToString(c.Key), "/") {
					continue
				}
				if !yield(s.listed(c), nil) {
					return
				}
			}
			if !aws.ToBool(out.IsTruncated) {
				return
			}
			next := aws.ToString(out.NextContinuationToken)
			if next == "" || next == aws.ToString(in.ContinuationToken) {
				yield(Object{}, s.wrap("list", prefix, nil, errEndless))
				return
			}
			in.ContinuationToken = &next
		}
	}
}

func (s *S3) listed(c types.Object) Object {
	return Object{
		Key:  s.relative(aws.ToString(c.Key)),
		Size: aws.ToInt64(c.Size), ETag: etag(c.ETag), Modified: aws.ToTime(c.LastModified).UTC(),
	}
}

func (s *S3) relative(full string) string {
	if s.prefix == "" {
		return full
	}
	return strings.TrimPrefix(full, s.prefix+"/")
}

// AbortUploads implements Store.
func (s *S3) AbortUploads(ctx context.Context, prefix string, before time.Time) (int, error) {
	return s.abortWhere(ctx, prefix, func(u types.MultipartUpload, _ time.Time) bool {
		return u.Initiated != nil && u.Initiated.Before(before)
	})
}

// abortWhere aborts the uploads under prefix that match says, which is also
// told the store's clock, and returns how many.
func (s *S3) abortWhere(ctx context.Context, prefix string, match func(types.MultipartUpload, time.Time) bool) (int, error) {
	n := 0
	in := &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: aws.String(s.full(prefix))}
	for {
		out, err := s.client.ListMultipartUploads(ctx, in, s.call(0, false))
		if err != nil {
			return n, s.wrap("list unfinished uploads under", prefix, nil, err)
		}
		for _, u := range out.Uploads {
			if !match(u, serverTime(out.ResultMetadata)) {
				continue
			}
			if err := s.abort(ctx, s.relative(aws.ToString(u.Key)), aws.ToString(u.UploadId)); err != nil {
				return n, err
			}
			n++
		}
		if !aws.ToBool(out.IsTruncated) {
			return n, nil
		}
		key, id := aws.ToString(out.NextKeyMarker), aws.ToString(out.NextUploadIdMarker)
		if key == "" || key == aws.ToString(in.KeyMarker) && id == aws.ToString(in.UploadIdMarker) {
			return n, s.wrap("list unfinished uploads under", prefix, nil, errEndless)
		}
		in.KeyMarker, in.UploadIdMarker = &key, &id
	}
}

// abort drops one upload; one that is gone already counts as dropped.
func (s *S3) abort(ctx context.Context, key, id string) error {
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &s.bucket, Key: aws.String(s.full(key)), UploadId: &id,
	}, s.call(0, false))
	if err != nil && !isNoUpload(err) && !isGone(err) {
		return s.wrap("abort upload of", key, nil, err)
	}
	return nil
}
