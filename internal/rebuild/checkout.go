package rebuild

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// CheckOut writes HEAD's tree into the work tree, which nobody may have
// touched, and the index. It runs neither hooks nor filters, so a file that
// git LFS keeps elsewhere is written as the pointer that the repository holds.
//
// The error wraps ErrUnborn when HEAD names nothing. A tree with names that
// could reach out of the work tree or into .git is refused before anything is
// written.
func (r *Repository) CheckOut(ctx context.Context) error {
	if err := r.checkOut(ctx); err != nil {
		return fmt.Errorf("check out into %s: %w", r.dir, err)
	}
	return nil
}

func (r *Repository) checkOut(ctx context.Context) error {
	switch {
	case r.bare:
		return errors.New("the repository is bare: restore with --checkout")
	case r.refs.head.IsZero():
		return ErrUnborn
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	err := r.engine.checkOut(ctx, r.dir, r.refs.head)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w (restore without --checkout: the repository itself is whole)", err)
	}
	return err
}

// checkOut implements engine. `git checkout` and `git reset` do the same with
// a hook, a reflog or ORIG_HEAD added.
func (g *git) checkOut(ctx context.Context, workTree string, _ plumbing.Hash) error {
	there := *g
	there.dir = workTree
	there.env = append(slices.Clone(g.env), "GIT_WORK_TREE="+workTree)
	_, err := there.run(ctx, nil, "read-tree", "-u", "--reset", "HEAD")
	return err
}
