package github

import (
	"context"
	"fmt"
	"sync"

	"mayfly/internal/archive"
	"mayfly/runner"
)

// strictly is base for a chain whose segments are not listed as they were
// recorded: nothing is built on it, and it does not count as a backup, before
// every byte of it has been read.
func (t *task) strictly(ctx context.Context) (*base, error) {
	t.rec.Log().Info("reading all of its archives: they are not listed as they were recorded", "repository", t.r.fullName)
	b := &base{}
	if err := t.openBy(ctx, b, archive.OpenStrictly); err != nil {
		return nil, err
	}
	t.listed.Doubt = false
	t.reread.add(t.r.fullName)
	b.digest = b.chain.Last().Manifest.Digest
	return b, nil
}

// marked says why a chain with a mark is left alone.
func (t *task) marked() error {
	key := archive.MarkKey(t.env.Prefix, t.r.owner(), t.r.name(), t.listed.Full)
	return fmt.Errorf("%w: mayfly verify has said so in %s", archive.ErrDamaged, t.env.Store.URL(key))
}

// tellReread says in the report, once for all repositories, that archives were
// read and believed again.
func (j *job) tellReread() {
	n, names := j.reread.get()
	if n == 0 {
		return
	}
	j.warn(runner.Problem{
		Reason: fmt.Sprintf("the archives of %s are not listed as they were recorded, as after a copy or a move of the store: every byte of them was read, and they are whole: %s",
			runner.FormatCount(n, "repositories"), few(names)),
		Fix: "nothing to do if somebody copied or moved the store; else find out who writes to it",
	})
}

// A counter collects names from several goroutines.
type counter struct {
	mu    sync.Mutex
	names []string
}

func (c *counter) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = append(c.names, name)
}

func (c *counter) get() (int, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.names), c.names
}
