package main

import (
	"context"
	"fmt"

	"mayfly/internal/store"
	"mayfly/runner"
)

// pastStore opens the store whose runs a command is about: the one that
// --store names, else the config's. The config is nil with --store.
func (a *app) pastStore(ctx context.Context, address string) (store.Store, *runner.Config, error) {
	if address == "" {
		c, err := a.loadConfig(ctx)
		if err != nil {
			return nil, nil, err
		}
		st, err := a.openStore(ctx, c)
		return st, c, err
	}
	c := new(runner.Config)
	if err := c.Store.UnmarshalText([]byte(address)); err != nil {
		return nil, nil, usageError(fmt.Errorf("--store: %w", err))
	}
	st, err := a.openStore(ctx, c)
	return st, nil, err
}

func (a *app) openStore(ctx context.Context, c *runner.Config) (store.Store, error) {
	w := newWorld(c, a.getenv)
	st, err := w.store(ctx)
	if err != nil {
		return nil, usageError(fmt.Errorf("open the store %s: %s", c.Store.URL, w.redactor.Redact(err.Error())))
	}
	return st, nil
}

// storeFlags is what to add to a suggested command so that it is about the
// same store.
func (a *app) storeFlags(address string) string {
	if address != "" {
		return " --store " + address
	}
	return a.configFlag()
}
