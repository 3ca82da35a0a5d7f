package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// begin starts the multipart upload, with checksums where the server keeps one
// of the whole object.
func (w *s3Writer) begin() error {
	if w.checked = !w.s.noChecksums.Load(); w.checked {
		out, err := w.beginAs(types.ChecksumAlgorithmCrc32c, types.ChecksumTypeFullObject)
		if err == nil && out.ChecksumType == types.ChecksumTypeFullObject {
			return nil
		}
		if err != nil && !isNotImplemented(err) {
			return w.s.wrap("begin upload of", w.key, nil, err)
		}
		// This server knows no checksums of whole objects; older ones ignore
		// that they are asked for and would refuse ours at completion.
		if id := w.uploadID; id != "" {
			w.uploadID = ""
			if err := w.s.abort(w.ctx, w.key, id); err != nil {
				w.uploadID = id
				return err
			}
		}
		w.checked = false
	}
	if _, err := w.beginAs("", "", unchecked); err != nil {
		return w.s.wrap("begin upload of", w.key, nil, err)
	}
	w.s.noChecksums.Store(true)
	return nil
}

// beginAs begins an upload. When a reply was lost there may be a second one
// that nobody knows the id of: drop looks for it.
func (w *s3Writer) beginAs(alg types.ChecksumAlgorithm, kind types.ChecksumType, opts ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	known := !w.ambiguous
	w.ambiguous = true
	in := &s3.CreateMultipartUploadInput{
		Bucket: &w.s.bucket, Key: aws.String(w.s.full(w.key)), Metadata: w.over.meta(w.nonce),
		ChecksumAlgorithm: alg, ChecksumType: kind,
		StorageClass: types.StorageClass(w.over.Class), SSEKMSKeyId: optional(w.over.KMSKey),
	}
	if w.over.KMSKey != "" {
		in.ServerSideEncryption = types.ServerSideEncryptionAwsKms
	}
	out, err := w.s.client.CreateMultipartUpload(w.ctx, in, append(opts, w.s.call(0, false))...)
	if err != nil {
		// A refusal on the first try leaves nothing behind.
		w.ambiguous = !known || !isNotImplemented(err)
		return nil, err
	}
	if aws.ToString(out.UploadId) == "" {
		return nil, errors.New("the store gave it no id")
	}
	w.uploadID = *out.UploadId
	tries, ok := retry.GetAttemptResults(out.ResultMetadata)
	w.ambiguous = !known || !ok || len(tries.Results) != 1
	return out, nil
}

func (w *s3Writer) upload(p *part) error {
	s := w.s
	in := &s3.UploadPartInput{
		Bucket: &s.bucket, Key: aws.String(s.full(w.key)), UploadId: &w.uploadID,
		PartNumber: &p.number, Body: p.reader(), ContentLength: aws.Int64(int64(p.size)),
	}
	opts := []func(*s3.Options){s.call(int64(p.size), false)}
	done := types.CompletedPart{PartNumber: &p.number}
	if w.checked {
		in.ChecksumCRC32C = aws.String(sum64(p.sum))
		done.ChecksumCRC32C = in.ChecksumCRC32C
	} else {
		opts = append(opts, unchecked)
	}
	out, err := s.client.UploadPart(w.ctx, in, opts...)
	if err != nil && statusOf(err) == 0 { // no answer
		w.mu.Lock()
		w.cutOff = true
		w.mu.Unlock()
	}
	switch {
	case isNoUpload(err):
		return s.wrap(fmt.Sprintf("upload part %d of", p.number), w.key, ErrAgain, err)
	case err != nil:
		return s.wrap(fmt.Sprintf("upload part %d of", p.number), w.key, nil, err)
	}
	done.ETag = out.ETag
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.sent) < int(p.number) {
		w.sent = append(w.sent, types.CompletedPart{})
	}
	w.sent[p.number-1] = done
	return nil
}

// complete makes the parts one object, if there is none of that key yet.
func (w *s3Writer) complete() (Object, error) {
	s := w.s
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &s.bucket, Key: aws.String(s.full(w.key)), UploadId: &w.uploadID,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: w.sent},
	}
	if !w.over.any {
		// A server that ignores If-None-Match here would overwrite.
		if _, _, err := s.head(w.ctx, w.key); err == nil {
			return Object{}, s.wrap("write", w.key, ErrExists, nil)
		}
		in.IfNoneMatch = aws.String("*")
	}
	opts := []func(*s3.Options){s.slowCall()}
	if w.checked {
		in.ChecksumCRC32C, in.ChecksumType = aws.String(sum64(w.sum)), types.ChecksumTypeFullObject
	} else {
		opts = append(opts, unchecked)
	}
	out, err := s.client.CompleteMultipartUpload(w.ctx, in, opts...)
	if err != nil || etag(out.ETag) == "" {
		return s.settle(w.ctx, w.key, w.nonce, w.size, w.over, err)
	}
	now := serverTime(out.ResultMetadata)
	return Object{Key: w.key, Size: w.size, ETag: etag(out.ETag), Modified: now, Now: now}, nil
}

// sweep aborts uploads of this very key.
func (w *s3Writer) sweep(match func(types.MultipartUpload, time.Time) bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), cleanupTime)
	defer cancel()
	_, err := w.s.abortWhere(ctx, w.key, func(u types.MultipartUpload, now time.Time) bool {
		return aws.ToString(u.Key) == w.s.full(w.key) && match(u, now)
	})
	return err
}
