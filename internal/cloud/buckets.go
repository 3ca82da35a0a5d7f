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

// Look finds out whose and where a bucket is, for the account that asks. What
// it says of one that is there:
//
//	ours, in whatever region        Ours, Region
//	another account's, open to all  not Ours, Region
//	closed to these credentials     ErrDenied, with Region where S3 says it
//	nobody's                        ErrNotFound
//
// Whether a closed one is another account's or these credentials lack
// s3:ListBucket, S3 does not tell.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
func (b Buckets) Look(ctx context.Context, bucket, account string) (Bucket, error) {
	found, err := b.head(ctx, bucket, "", account)
	if elsewhere := found.Region; err != nil && elsewhere != "" && elsewhere != b.c.Region() {
		found, err = b.head(ctx, bucket, elsewhere, account)
	}
	if !errors.Is(err, ErrDenied) {
		found.Ours = err == nil
		return found, err
	}
	if other, err := b.head(ctx, bucket, found.Region, ""); err == nil {
		return other, nil // it may be listed, and is not ours
	}
	return found, err
}

// head asks for a bucket in a region, "" for the one in use, and expects it to
// be the account's, "" for anyone's. The region is found also when it fails.
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
	out, err := client.HeadBucket(ctx, in, func(o *s3.Options) {
		// 400 without a body is a wrong region here, and no expired token.
		o.Retryer = b.c.newRetryer().(renewing).Standard
	})
	if err == nil {
		return Bucket{Region: aws.ToString(out.BucketRegion)}, nil
	}
	answer, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || answer.Response == nil {
		return Bucket{}, explainSetup(err, lookAction, "bucket "+bucket)
	}
	return Bucket{Region: answer.Response.Header.Get(regionHeader)}, explainHead(err, answer.HTTPStatusCode(), bucket)
}

const lookAction = "s3:ListBucket"

// explainHead explains answers without a body: the status is all they say.
func explainHead(err error, status int, bucket string) error {
	e := &actionError{action: lookAction, resource: "bucket " + bucket, err: err}
	switch status {
	case http.StatusForbidden:
		e.kind, e.reason = ErrDenied, "it belongs to another account, or these credentials may not list it"
		e.fix = "choose another name for it, or grant s3:ListBucket on it"
	case http.StatusNotFound:
		e.kind, e.reason = ErrNotFound, ErrNotFound.Error()
	case http.StatusBadRequest, http.StatusMovedPermanently:
		e.reason, e.fix = "S3 does not take the request in this region", "check the bucket's name, and the region"
	default:
		return explainSetup(err, lookAction, "bucket "+bucket)
	}
	return e
}

// An Upload is one in parts that was begun and not finished.
type Upload struct {
	Key, ID string
	Began   time.Time
}

// Unfinished lists the uploads that were begun below a prefix, "" for the whole
// bucket; region is the bucket's, "" for the one in use. ErrNotFound: there is
// no such bucket.
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
