package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"mayfly/internal/cloud"
	"mayfly/internal/store"
)

// openObject opens s3://BUCKET/KEY, taken as the aws command takes it. where
// says with whom and how to talk about the bucket; the error of an object that
// is not there is a store.ErrNotExist.
func openObject(ctx context.Context, address string, where func(bucket string) (*cloud.Cloud, cloud.S3Options, error)) (io.ReadCloser, error) {
	rest, ok := strings.CutPrefix(address, "s3://")
	bucket, key, _ := strings.Cut(rest, "/")
	if !ok {
		return nil, fmt.Errorf("%s: write s3://BUCKET/KEY", address)
	}
	if _, err := store.ParseURL("s3://" + bucket); err != nil {
		return nil, err
	}
	if err := store.CheckKey(key); err != nil {
		return nil, fmt.Errorf("%s: %w: write s3://BUCKET/KEY", address, err)
	}
	c, o, err := where(bucket)
	if err != nil {
		return nil, err
	}
	client, err := c.S3(o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	st, err := store.NewS3(store.S3Options{Client: client, Bucket: bucket, Pool: store.NewPool(partBuffers, partSize)})
	if err != nil {
		return nil, err
	}
	r, _, err := st.Open(ctx, key, 0, -1)
	return r, err
}

// object opens an object of any bucket with the deployment's credentials: in
// the store's bucket by the store's region and server, elsewhere at AWS.
func (w *world) object(ctx context.Context, address string) (io.ReadCloser, error) {
	r, err := openObject(ctx, address, func(bucket string) (*cloud.Cloud, cloud.S3Options, error) {
		c, err := w.cloud(ctx)
		var o cloud.S3Options
		if spec := w.config.Store; spec.IsS3() {
			if own, _ := spec.Bucket(); own == bucket {
				o = cloud.S3Options{Region: string(spec.Region), Endpoint: spec.Endpoint, PathStyle: spec.PathStyle}
			}
		}
		return c, o, err
	})
	if errors.Is(err, store.ErrNotExist) {
		return nil, fmt.Errorf("%w: put it there, or correct the address", err)
	}
	return r, err
}
