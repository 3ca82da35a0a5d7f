package archive

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/store"
)

// memStore keeps what is committed in memory, and fails when told to.
type memStore struct {
	store.Store // the methods that segments do not need
	objects     map[string][]byte
	modified    time.Time
	writeErr    error
	commitErr   error
	listErr     error
}

func newStore() *memStore { return &memStore{objects: make(map[string][]byte)} }

func (m *memStore) Create(_ context.Context, key string) (store.Writer, error) {
	if _, ok := m.objects[key]; ok {
		return nil, store.ErrExists
	}
	return &memWriter{m: m, key: key}, nil
}

func (m *memStore) List(_ context.Context, prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		var keys []string
		for key := range m.objects {
			if strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		for _, key := range keys {
			if !yield(store.Object{Key: key, Modified: m.modified}, nil) {
				return
			}
		}
		if m.listErr != nil {
			yield(store.Object{}, m.listErr)
		}
	}
}

func (m *memStore) URL(key string) string { return "mem://" + key }

type memWriter struct {
	m      *memStore
	key    string
	b      bytes.Buffer
	closed bool
}

func (w *memWriter) Write(p []byte) (int, error) {
	if w.m.writeErr != nil {
		return 0, w.m.writeErr
	}
	return w.b.Write(p)
}

func (w *memWriter) Commit() (store.Object, error) {
	if w.m.commitErr != nil {
		return store.Object{}, w.m.commitErr
	}
	w.m.objects[w.key] = w.b.Bytes()
	return store.Object{Key: w.key, Size: int64(w.b.Len()), ETag: "1"}, nil
}

func (w *memWriter) Close() error { w.closed = true; return nil }

var created = time.Date(2026, 11, 20, 17, 4, 12, 0, time.UTC)

func testOptions() Options {
	return Options{
		Identity: Identity{Host: "github.com", ID: 42, Owner: "acme", Name: "site"},
		Created:  created, RunID: "20261120T170412Z-i-0abc", Version: "v0.1.0",
		Selection: Selection{Wiki: true},
	}
}

// begin creates a segment of acme/site in st.
func begin(t *testing.T, st store.Store) *Writer {
	t.Helper()
	w, err := Create(t.Context(), st, Key("github", "acme", "site", created, 0, false), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}
