package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mayfly/internal/archive"
	"mayfly/internal/store"
	"mayfly/runner"
)

// everything restores all repositories below path into dir.
func (r *restoring) everything(ctx context.Context, path, dir string) error {
	all, err := archive.Repositories(ctx, r.st, path)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return nothingThere(ctx, r.st, path, r.flags, r.hand)
	}
	if dir == "" {
		dir = filepath.Base(path)
	}
	resumed := resumption{Store: r.st.URL(""), Path: path, At: r.o.at, Checkout: r.o.checkout}
	if r.goOn, err = resumed.begin(dir); err != nil {
		return fmt.Errorf("restore all of %s: %w", path, err)
	}
	if r.goOn {
		r.app.say("Going on with the restore into %s: what is there already is whole and stays.", dir)
	}
	done, failed := 0, 0
	swept := map[string]bool{}
	for _, repo := range all {
		below := dir
		if rest := strings.TrimPrefix(strings.TrimPrefix(repo.Path(), path), "/"); strings.Count(rest, "/") > 0 {
			below = filepath.Join(dir, filepath.FromSlash(filepath.Dir(rest)))
		}
		err := inside(repo)
		if err == nil && r.goOn && !swept[below] {
			swept[below] = true
			err = sweep(below)
		}
		if err == nil {
			err = r.both(ctx, repo, below)
		}
		if ctx.Err() != nil {
			r.app.say("The same command goes on with it.")
			return err
		}
		switch {
		case err == nil:
			done++
		case errors.Is(err, archive.ErrNoPoint) && !r.at.IsZero():
			fmt.Fprintf(r.app.stderr, "mayfly: %s was not there yet\n", repo.Path())
		default:
			failed++
			fmt.Fprintf(r.app.stderr, "mayfly: restore %s: %v\n", repo.Path(), err)
		}
	}
	fmt.Fprintf(r.app.stdout, "Restored %s of %s into %s", runner.FormatCount(done, "repositories"), path, dir)
	if failed == 0 {
		fmt.Fprintf(r.app.stdout, ".\n")
		if err := resumed.end(dir); err != nil {
			return err
		}
		if done == 0 {
			_ = os.Remove(dir) // it is empty, if nobody else has put something there
			return fmt.Errorf("nothing of %s was there at that time: mayfly list %s%s shows how far back it goes", path, path, r.flags)
		}
		return nil
	}
	fmt.Fprintf(r.app.stdout, "; %d failed. The same command tries those again.\n", failed)
	if done == 0 {
		return &codeError{code: exitFailed}
	}
	return &codeError{code: exitPartial}
}

// inside refuses a repository whose prefix, which anybody who writes to the
// store can choose, would lead out of the folder that all are restored into.
func inside(r archive.Repository) error {
	path := r.Path()
	if err := store.CheckKey(path); err != nil || strings.ContainsAny(path, `\:`) || !filepath.IsLocal(filepath.FromSlash(path)) {
		return fmt.Errorf("its prefix %q is no path to restore into: restore it alone, into a DIR", r.Prefix)
	}
	return nil
}

// both restores a repository and its wiki, if it has one.
func (r *restoring) both(ctx context.Context, repo archive.Repository, below string) error {
	j := wanted{repo.Prefix, repo.Owner, repo.Name, archive.Repo}
	p, err := r.point(ctx, j)
	if err != nil {
		return err
	}
	r.warn(j, p)
	for _, part := range []archive.Part{archive.Repo, archive.Wiki} {
		if !p.Has(part) {
			continue
		}
		j.part = part
		folder := filepath.Join(below, j.folder(r.o.checkout))
		if _, err := os.Lstat(folder); err == nil && r.goOn {
			continue // a folder gets its name when it is whole
		}
		if _, err := r.restore(ctx, j, p, folder); err != nil {
			return err
		}
		if !r.app.quiet {
			fmt.Fprintf(r.app.stdout, "%s as of %s\n", folder, moment(p.At, time.Local))
		}
	}
	return nil
}
