package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mayfly/internal/archive"
	"mayfly/runner"
)

// point finds the point in time to restore.
func (r *restoring) point(ctx context.Context, j wanted) (archive.Point, error) {
	p, err := archive.PointAt(ctx, r.st, j.prefix, j.owner, j.name, r.at, r.index(ctx, j.prefix))
	if old := (*archive.TooOldError)(nil); errors.As(err, &old) {
		return p, &archive.TooOldError{Oldest: old.Oldest.Local()}
	}
	return p, err
}

// index is what the runs recorded below a prefix. One that cannot be read
// knows nothing.
func (r *restoring) index(ctx context.Context, prefix string) *archive.Index {
	x, ok := r.indexes[prefix]
	if !ok {
		x, _ = archive.ReadIndex(ctx, r.st, prefix)
		if r.indexes == nil {
			r.indexes = map[string]*archive.Index{}
		}
		r.indexes[prefix] = x
	}
	return x
}

// warn says what there is to know of a point before it is restored: that its
// archives were found damaged, and that some which came after it are gone.
func (r *restoring) warn(j wanted, p archive.Point) {
	if p.Marked {
		fmt.Fprintf(r.app.stderr, "mayfly: %s: mayfly verify found damage in the archives of this point, and says what in %s: trying all the same, everything is checked\n", j.path(), r.st.URL(p.MarkKey()))
	}
	if p.Later == nil {
		return
	}
	for line := range strings.Lines(p.Later.Error()) {
		fmt.Fprintf(r.app.stderr, "mayfly: warning: %s: this is the state of %s, and what came after it cannot be restored: %s\n", j.path(), moment(p.At, time.Local), runner.OneLine(strings.TrimSuffix(line, "\n"), 1000))
	}
}
