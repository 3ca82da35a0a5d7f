package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"mayfly/internal/cloud"
	"mayfly/internal/secret"
	"mayfly/internal/store"
	"mayfly/runner"
)

// Part buffers of the whole process: 6 x 5 MiB, the smallest part that S3
// takes. They bound the memory of a run.
const (
	partBuffers = 6
	partSize    = 5 << 20
)

// A world is what a config's deployment talks to. AWS is asked for nothing
// until something in the config is there.
type world struct {
	config   *runner.Config
	getenv   func(string) string
	redactor *secret.Redactor
	aws      *cloud.Cloud // nil until needed
}

func newWorld(c *runner.Config, getenv func(string) string) *world {
	return &world{config: c, getenv: getenv, redactor: new(secret.Redactor)}
}

func (w *world) cloud(ctx context.Context) (*cloud.Cloud, error) {
	if w.aws == nil {
		c, err := cloud.Load(ctx, cloud.Options{Region: string(w.config.Region), Getenv: w.getenv})
		if err != nil {
			return nil, err
		}
		w.aws = c
	}
	return w.aws, nil
}

// region is AWS's, from the config or the environment; "" where neither says.
func (w *world) region() string {
	return cmp.Or(string(w.config.Region), w.getenv("AWS_REGION"), w.getenv("AWS_DEFAULT_REGION"))
}

// storeRegion is the region that the config gives a store with an endpoint of
// its own.
func (w *world) storeRegion() string {
	if w.config.Store.Endpoint == "" {
		return ""
	}
	return cmp.Or(string(w.config.Store.Region), string(w.config.Region))
}

// store opens the config's store, an S3 one at AWS or wherever the config or
// the environment says, Cloudflare R2 included. No request is sent.
func (w *world) store(ctx context.Context) (store.Store, error) {
	spec := w.config.Store
	if !spec.IsS3() {
		return store.NewDir(spec.Location().Dir)
	}
	c, err := w.cloud(ctx)
	if err != nil {
		return nil, err
	}
	client, err := c.S3(cloud.S3Options{Region: string(spec.Region), Endpoint: spec.Endpoint, PathStyle: spec.PathStyle})
	if err != nil {
		return nil, err
	}
	bucket, prefix := spec.Bucket()
	return store.NewS3(store.S3Options{
		Client: client, Bucket: bucket, Prefix: prefix,
		Pool:       store.NewPool(partBuffers, partSize),
		SmallParts: smallParts(aws.ToString(client.Options().BaseEndpoint)),
	})
}

// smallParts is how many parts of an object are one buffer long when the
// store's server is at endpoint. Cloudflare R2 refuses uploads whose parts
// differ, the last one excepted
// (https://developers.cloudflare.com/r2/objects/upload-objects/): there all of
// the 10,000 are alike, and an object has at most 48 GiB. Elsewhere the store
// chooses.
func smallParts(endpoint string) int {
	u, err := url.Parse(endpoint)
	if err == nil && strings.HasSuffix(strings.ToLower(u.Hostname()), ".r2.cloudflarestorage.com") {
		return 10_000
	}
	return 0
}

// secrets reads secrets; the error names all that cannot be read.
func (w *world) secrets(ctx context.Context, refs []secret.Ref) (map[secret.Ref]secret.Value, error) {
	sources := map[string]secret.Source{
		"env": secret.Env(w.getenv), "file": secret.Files{},
		"ssm":            fromCloud(func(c *cloud.Cloud) secret.Source { return c.Parameters() }, w),
		"secretsmanager": fromCloud(func(c *cloud.Cloud) secret.Source { return c.Secrets() }, w),
	}
	return secret.NewResolver(sources, w.redactor).Resolve(ctx, refs)
}

// A lazySource asks AWS only when a secret is really kept there.
type lazySource func(context.Context) (secret.Source, error)

func (l lazySource) Get(ctx context.Context, name string) (string, error) {
	s, err := l(ctx)
	if err != nil {
		return "", err
	}
	return s.Get(ctx, name)
}

func fromCloud(pick func(*cloud.Cloud) secret.Source, w *world) secret.Source {
	return lazySource(func(ctx context.Context) (secret.Source, error) {
		c, err := w.cloud(ctx)
		if err != nil {
			return nil, err
		}
		return pick(c), nil
	})
}

// publisher is where the report goes, nil when the config names nobody.
func (w *world) publisher(ctx context.Context) (runner.Publisher, error) {
	n := w.config.Notify
	if n.Topic == "" && len(n.Email) == 0 {
		return nil, nil
	}
	c, err := w.cloud(ctx)
	if err != nil {
		return nil, err
	}
	arn := string(n.Topic)
	if arn == "" {
		if arn, err = c.TopicARN(ctx, string(w.config.Name)); err != nil {
			return nil, err
		}
	}
	return c.Publisher(arn)
}

// httpTransport is for everything that is not AWS. HTTP/1 only: an HTTP/2
// stream buffers up to 4 MiB on behalf of a slow reader, which several at once
// would add to the memory that is promised. Nothing bounds a whole body; who
// reads one watches for stalls.
func httpTransport() http.RoundTripper {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 15 * time.Second,
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     90 * time.Second,
		Protocols:           new(http.Protocols),
		ReadBufferSize:      64 << 10,
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// env is what job j may use of the world.
func (w *world) env(j runner.JobSpec, d *runner.Deployment, start time.Time, secrets map[secret.Ref]secret.Value, rt http.RoundTripper) runner.Env {
	return runner.Env{
		Job: string(j.Name), Prefix: string(j.Prefix), RunID: d.RunID, Start: start, Store: d.Store, Endpoint: w.config.Store.Endpoint, StoreRegion: w.storeRegion(),
		Secret: func(r secret.Ref) (secret.Value, error) {
			v, ok := secrets[r]
			if !ok {
				return secret.Value{}, fmt.Errorf("the job did not say that it needs the secret %s", r)
			}
			return v, nil
		},
		Redact: w.redactor.Redact,
		// What is too short to be hidden is too short for a token.
		Hide:   func(v secret.Value) { _ = w.redactor.Add(v) },
		Object: w.object, Region: w.region(), Deployment: d.Name,
		HTTP: rt, Getenv: w.getenv, Version: d.Version,
	}
}
