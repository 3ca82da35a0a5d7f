package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sort"
	"strings"
	"sync"
	"time"

	"mayfly/internal/store"
)

// A memStore is a store.Store in memory with a clock of its own, so that lease
// tests run under synctest. Only small objects: Create is refused.
type memStore struct {
	mu      sync.Mutex
	objects map[string]memObject
	n       int
	skew    time.Duration // of the store's clock
	noClock bool          // the store does not tell its time
	// fault is asked before each call; an error is returned as it is.
	fault func(op, key string) error
	// after is asked after a Put took effect: a lost reply.
	after func(key string) error
}

type memObject struct {
	b    []byte
	etag store.ETag
	at   time.Time
}

var _ store.Store = (*memStore)(nil)

func newMemStore() *memStore { return &memStore{objects: map[string]memObject{}} }

func (m *memStore) ask(ctx context.Context, op, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	f := m.fault
	m.mu.Unlock()
	if f != nil {
		return f(op, key)
	}
	return nil
}

func (m *memStore) Put(ctx context.Context, key string, b []byte, old store.ETag) (store.ETag, error) {
	if err := m.ask(ctx, "put", key); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	there, ok := m.objects[key]
	switch {
	case old == "" && ok:
		return "", fmt.Errorf("put %s: %w", key, store.ErrExists)
	case old != "" && there.etag != old:
		return "", fmt.Errorf("put %s: %w", key, store.ErrChanged)
	}
	m.n++
	o := memObject{bytes.Clone(b), store.ETag(fmt.Sprint(m.n)), time.Now().Add(m.skew)}
	m.objects[key] = o
	if m.after != nil {
		if err := m.after(key); err != nil {
			return "", err
		}
	}
	return o.etag, nil
}

func (m *memStore) object(key string, o memObject) store.Object {
	so := store.Object{Key: key, Size: int64(len(o.b)), ETag: o.etag, Modified: o.at, Now: time.Now().Add(m.skew)}
	if m.noClock {
		so.Now = time.Time{}
	}
	return so
}

func (m *memStore) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, store.Object, error) {
	if err := m.ask(ctx, "open", key); err != nil {
		return nil, store.Object{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return nil, store.Object{}, fmt.Errorf("open %s: %w", key, store.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(o.b)), m.object(key, o), nil
}

func (m *memStore) Stat(ctx context.Context, key string) (store.Object, error) {
	_, o, err := m.Open(ctx, key, 0, -1)
	return o, err
}

func (m *memStore) List(_ context.Context, prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		for _, key := range m.keys(prefix) {
			m.mu.Lock()
			o := m.object(key, m.objects[key])
			m.mu.Unlock()
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (m *memStore) keys(prefix string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for k := range m.objects {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	return keys
}

// text is one object's content, "" when there is none.
func (m *memStore) text(key string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.objects[key].b)
}

func (m *memStore) Create(context.Context, string) (store.Writer, error) {
	return nil, errors.New("memStore does not stream")
}
func (m *memStore) Delete(context.Context, string, store.ETag) error {
	return errors.New("memStore does not delete")
}
func (m *memStore) AbortUploads(context.Context, string, time.Time) (int, error) { return 0, nil }
func (m *memStore) URL(key string) string                                        { return "mem:///" + key }
