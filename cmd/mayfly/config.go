package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"mayfly/internal/cloud"
	"mayfly/internal/store"
	"mayfly/internal/strictyaml"
	"mayfly/jobs"
	"mayfly/runner"
)

// parseOptions are the kinds of jobs there are, and the environment.
func (a *app) parseOptions() runner.ParseOptions {
	return runner.ParseOptions{Kinds: jobs.New, KindNames: jobs.Names(), Getenv: a.getenv}
}

// loadConfig reads and checks the config that --config names: a file,
// s3://BUCKET/KEY, or "-" for stdin. Every mistake is printed; the error then
// only counts them. Exit code 2.
func (a *app) loadConfig(ctx context.Context) (*runner.Config, error) {
	c, _, err := a.loadSource(ctx)
	return c, err
}

// loadSource is loadConfig that returns the config's text as well, by whose
// hash instances fetch it.
func (a *app) loadSource(ctx context.Context) (*runner.Config, []byte, error) {
	name, src, err := a.readConfig(ctx)
	if err != nil {
		return nil, nil, usageError(err)
	}
	c, err := a.parseConfig(name, src)
	return c, src, err
}

func (a *app) parseConfig(name string, src []byte) (*runner.Config, error) {
	c, err := runner.Parse(name, src, a.parseOptions())
	if ms, ok := errors.AsType[strictyaml.Mistakes](err); ok {
		fmt.Fprintln(a.stderr, ms)
		if len(ms) == 1 {
			return nil, usageError(fmt.Errorf("1 mistake in %s: nothing was done", name))
		}
		return nil, usageError(fmt.Errorf("%d mistakes in %s: nothing was done", len(ms), name))
	}
	if err != nil {
		return nil, usageError(err)
	}
	return c, nil
}

func (a *app) readConfig(ctx context.Context) (name string, src []byte, err error) {
	in, name := io.NopCloser(a.stdin), "stdin"
	switch {
	case strings.HasPrefix(a.config, "s3://"):
		ctx, cancel := context.WithTimeout(ctx, configTime)
		defer cancel()
		in, name, err = a.openS3Config(ctx)
	case a.config != "-":
		in, name, err = openConfigFile(a.config)
	}
	if err != nil {
		return "", nil, fmt.Errorf("read config: %w", err)
	}
	defer in.Close()
	// One byte more than is taken: whether it is too much is for Parse to say.
	src, err = io.ReadAll(io.LimitReader(in, strictyaml.MaxSize+1))
	if err != nil {
		return "", nil, fmt.Errorf("read config: %w: name a file with --config", err)
	}
	return name, src, nil
}

func openConfigFile(name string) (io.ReadCloser, string, error) {
	f, err := os.Open(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, "", &noConfigError{name}
	case err != nil:
		return nil, "", fmt.Errorf("%w: name a file that this user may read with --config", err)
	}
	return f, name, nil
}

// A noConfigError says that there is no config. It is an os.ErrNotExist.
type noConfigError struct{ name string }

func (e *noConfigError) Error() string {
	return e.name + " does not exist: write one with mayfly init, or name yours with --config"
}

func (e *noConfigError) Is(target error) bool { return target == os.ErrNotExist }

// configTime bounds the reading of a config from S3.
const configTime = time.Minute

// openS3Config opens s3://BUCKET/KEY. Region and endpoint come from the
// environment, profile or instance: the config that might name them is what is
// being read. The name returned holds no secret.
func (a *app) openS3Config(ctx context.Context) (io.ReadCloser, string, error) {
	r, err := openObject(ctx, a.config, func(string) (*cloud.Cloud, cloud.S3Options, error) {
		c, err := cloud.Load(ctx, cloud.Options{Getenv: a.getenv})
		return c, cloud.S3Options{}, err
	})
	if errors.Is(err, store.ErrNotExist) {
		return nil, "", fmt.Errorf("%s does not exist: put one there, or name yours with --config", a.config)
	}
	return r, a.config, err
}
