package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"mayfly/internal/store"
	"mayfly/runner"
)

// pastStore opens the store whose runs a command is about: the one that
// --store names, else the config's. The config is nil with --store.
func (a *app) pastStore(ctx context.Context, address string) (store.Store, *runner.Config, error) {
	if address == "" {
		c, err := a.loadConfig(ctx)
		if errors.Is(err, os.ErrNotExist) {
			err = usageError(fmt.Errorf("%w, or name the store with --store", err))
		}
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

// dataStore is pastStore for commands about what must be there already.
func (a *app) dataStore(ctx context.Context, address string) (store.Store, *runner.Config, error) {
	st, c, err := a.pastStore(ctx, address)
	if err != nil {
		return nil, nil, err
	}
	if dir, ok := dirOf(st.URL("")); ok {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return nil, nil, asFailed(fmt.Errorf("the directory of the store, %s, does not exist: is the disk mounted? correct store: or --store if it is elsewhere; mayfly run makes it", dir))
		}
	}
	return st, c, nil
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
