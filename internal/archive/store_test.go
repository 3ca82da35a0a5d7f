package archive

import (
	"context"
	"io"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mayfly/internal/store"
)

// faulty is a directory store that fails when told to.
type faulty struct {
	*store.Dir
	root      string
	writeErr  error
	commitErr error
	listErr   error // after all objects
}

func newStore(t testing.TB) *faulty {
	t.Helper()
	root := t.TempDir()
	d, err := store.NewDir(root)
	if err != nil {
		t.Fatal(err)
	}
	return &faulty{Dir: d, root: root}
}

// redate makes the store say that it got the object at the given time.
func (f *faulty) redate(t testing.TB, key string, at time.Time) store.Object {
	t.Helper()
	if err := os.Chtimes(filepath.Join(f.root, filepath.FromSlash(key)), at, at); err != nil {
		t.Fatal(err)
	}
	o, err := f.Stat(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (f *faulty) Create(ctx context.Context, key string) (store.Writer, error) {
	w, err := f.Dir.Create(ctx, key)
	return &faultyWriter{w, f}, err
}

func (f *faulty) List(ctx context.Context, prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		for o, err := range f.Dir.List(ctx, prefix) {
			if !yield(o, err) {
				return
			}
		}
		if f.listErr != nil {
			yield(store.Object{}, f.listErr)
		}
	}
}

type faultyWriter struct {
	store.Writer
	f *faulty
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if w.f.writeErr != nil {
		return 0, w.f.writeErr
	}
	return w.Writer.Write(p)
}

func (w *faultyWriter) Commit() (store.Object, error) {
	if w.f.commitErr != nil {
		return store.Object{}, w.f.commitErr
	}
	return w.Writer.Commit()
}

// object returns a whole object.
func object(t testing.TB, st store.Store, key string) []byte {
	t.Helper()
	r, _, err := st.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// count returns how many objects and unfinished writes st holds.
func count(t *testing.T, st store.Store) (objects, unfinished int) {
	t.Helper()
	for _, err := range st.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		objects++
	}
	unfinished, err := st.AbortUploads(t.Context(), "", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return objects, unfinished
}

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
