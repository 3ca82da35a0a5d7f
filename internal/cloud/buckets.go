package cloud

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Buckets are those of Amazon S3. Their names are shared by all accounts.
type Buckets struct{ c *Cloud }

// Buckets sends no request.
func (c *Cloud) Buckets() Buckets { return Buckets{c} }

// A Bucket is what can be found out about one from outside.
type Bucket struct {
	Region string // "": S3 does not say
	// Ours says that it belongs to the account.
	Ours bool
}

const regionHeader = "X-Amz-Bucket-Region"

// Look finds out whose and where a bucket is. ErrNotFound: nobody has one of
// that name. ErrDenied: it is another account's and closed, or these
// credentials lack s3:ListBucket; S3 does not tell which.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
func (b Buckets) Look(ctx context.Context, bucket, account string) (Bucket, error) {
	found, err := b.head(ctx, bucket, "", account)
	if elsewhere := found.Region; err != nil && elsewhere != "" && !errors.Is(err, ErrDenied) {
		found, err = b.head(ctx, bucket, elsewhere, account)
	}
	if !errors.Is(err, ErrDenied) {
		found.Ours = err == nil
		return found, err
	}
	other, otherErr := b.head(ctx, bucket, found.Region, "")
	if otherErr == nil {
		return other, nil // it may be listed, and is not ours
	}
	e := &actionError{action: "s3:ListBucket", resource: "bucket " + bucket, kind: ErrDenied, err: err}
	e.reason = "it belongs to another account, or these credentials may not list it"
	e.fix = "choose another name for it, or grant s3:ListBucket on it"
	return found, e
}

// head asks for a bucket in a region, "" for the one in use, and expects it to
// be the account's, "" for anyone's.
func (b Buckets) head(ctx context.Context, bucket, region, account string) (Bucket, error) {
	client, err := b.c.S3(S3Options{Region: region})
	if err != nil {
		return Bucket{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	in := &s3.HeadBucketInput{Bucket: &bucket}
	if account != "" {
		in.ExpectedBucketOwner = &account
	}
	out, err := client.HeadBucket(ctx, in)
	if err == nil {
		return Bucket{Region: aws.ToString(out.BucketRegion)}, nil
	}
	found := Bucket{}
	answer, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if ok && answer.Response != nil {
		found.Region = answer.Response.Header.Get(regionHeader)
	}
	err = explainSetup(err, "s3:ListBucket", "bucket "+bucket)
	if ok && answer.HTTPStatusCode() == http.StatusForbidden && !errors.Is(err, ErrDenied) {
		err = &actionError{action: "s3:ListBucket", resource: "bucket " + bucket, kind: ErrDenied, reason: "access denied", err: err}
	}
	return found, err
}

// An Upload is one in parts that was begun and not finished.
type Upload struct {
	Key, ID string
	Began   time.Time
}

// Unfinished lists the uploads that were begun below a prefix.
func (b Buckets) Unfinished(ctx context.Context, bucket, prefix, region string) ([]Upload, error) {
	client, err := b.c.S3(S3Options{Region: region})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	var list []Upload
	pages := s3.NewListMultipartUploadsPaginator(client, &s3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explainSetup(err, "s3:ListBucketMultipartUploads", "bucket "+bucket)
		}
		for _, u := range page.Uploads {
			list = append(list, Upload{aws.ToString(u.Key), aws.ToString(u.UploadId), aws.ToTime(u.Initiated)})
		}
	}
	return list, nil
}
