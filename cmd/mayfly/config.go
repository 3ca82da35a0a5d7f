package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"mayfly/internal/strictyaml"
	"mayfly/jobs"
	"mayfly/runner"
)

// parseOptions are the kinds of jobs there are, and the environment.
func (a *app) parseOptions() runner.ParseOptions {
	return runner.ParseOptions{Kinds: jobs.New, KindNames: jobs.Names(), Getenv: a.getenv}
}

// loadConfig reads and checks the config that --config names; "-" is stdin.
// Every mistake is printed; the error then only counts them. Exit code 2.
func (a *app) loadConfig() (*runner.Config, error) {
	name, src, err := a.readConfig()
	if err != nil {
		return nil, usageError(err)
	}
	return a.parseConfig(name, src)
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

func (a *app) readConfig() (name string, src []byte, err error) {
	var in io.Reader = a.stdin
	name = "stdin"
	if a.config != "-" {
		name = a.config
		f, err := os.Open(name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return "", nil, fmt.Errorf("read config: %s does not exist: write one with mayfly init, or name yours with --config", name)
		case err != nil:
			return "", nil, fmt.Errorf("read config: %w: name a file that this user may read with --config", err)
		}
		defer f.Close()
		in = f
	}
	// One byte more than is taken: whether it is too much is for Parse to say.
	src, err = io.ReadAll(io.LimitReader(in, strictyaml.MaxSize+1))
	if err != nil {
		return "", nil, fmt.Errorf("read config: %w: name a file with --config", err)
	}
	return name, src, nil
}
