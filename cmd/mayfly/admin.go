package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"mayfly/internal/store"
	"mayfly/runner"
	"mayfly/userdata"
)

// uploadAdmin puts programs and config where the user data fetches them, and
// reads them back. Objects are named by what they hold and never replaced.
func (a *app) uploadAdmin(ctx context.Context, c *runner.Config, config []byte, programs []program) error {
	st, err := newWorld(c, a.getenv).store(ctx)
	if err != nil {
		return fmt.Errorf("open the store %s: %w", c.Store.URL, err)
	}
	for _, p := range programs {
		open := func() (io.ReadCloser, error) { return os.Open(p.file) }
		if err := a.uploadOnce(ctx, st, userdata.BinaryKey(p.arch, p.sum), p.sum, open); err != nil {
			return err
		}
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(config)), nil }
	sum := sumOf(config)
	return a.uploadOnce(ctx, st, userdata.ConfigKey(sum), sum, open)
}

// uploadOnce writes what open gives unless the key is taken, and makes sure
// that what is there then has that sum.
func (a *app) uploadOnce(ctx context.Context, st store.Store, key, sum string, open func() (io.ReadCloser, error)) error {
	did := "Uploaded"
	err := create(ctx, st, key, open)
	if errors.Is(err, store.ErrExists) {
		did, err = "Already there:", nil
	}
	if err != nil {
		return fmt.Errorf("upload %s: %w", st.URL(key), err)
	}
	r, _, err := st.Open(ctx, key, 0, -1)
	if err != nil {
		return fmt.Errorf("read back %s: %w", st.URL(key), err)
	}
	defer r.Close()
	got, err := sumAll(r)
	if err != nil {
		return fmt.Errorf("read back %s: %w: the same command tries again; if it fails again, delete that object first", st.URL(key), err)
	}
	if got != sum {
		return fmt.Errorf("read back %s: it holds something else, with sha256 %s: delete it (aws s3 rm) and try again", st.URL(key), got)
	}
	if !a.quiet {
		fmt.Fprintf(a.stderr, "%s %s\n", did, st.URL(key))
	}
	return nil
}

func create(ctx context.Context, st store.Store, key string, open func() (io.ReadCloser, error)) error {
	if _, err := st.Stat(ctx, key); err == nil {
		return store.ErrExists // spares sending it
	}
	in, err := open()
	if err != nil {
		return err
	}
	defer in.Close()
	w, err := st.Create(ctx, key)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := io.Copy(w, in); err != nil {
		return err
	}
	_, err = w.Commit()
	return err
}
