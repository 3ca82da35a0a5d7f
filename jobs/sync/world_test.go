//go:build unix

package dirsync

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/s3test"
	"mayfly/internal/store"
	"mayfly/runner"
)

// A world is a directory, a store, and the runs between them.
type world struct {
	t      *testing.T
	dir    string // the directory
	srv    *s3test.Server
	st     store.Store
	config Config
	start  time.Time
	skew   time.Duration // 0: as it is

	mu    sync.Mutex
	fault func(*s3test.Request) s3test.Fault
}

const testPart = 64 << 10

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "docs"), srv: s3test.New("bucket"), start: time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC)}
	t.Cleanup(w.srv.Close)
	w.srv.MinPart, w.srv.PageSize = testPart, 7
	w.srv.Fault = func(r *s3test.Request) s3test.Fault {
		w.mu.Lock()
		f := w.fault
		w.mu.Unlock()
		if f == nil {
			return s3test.Fault{}
		}
		return f(r)
	}
	pool := store.NewPool(6, testPart)
	st, err := store.NewS3(store.S3Options{Client: s3test.Client(w.srv.URL(), "AKID", "SECRET"), Bucket: "bucket", Prefix: "deep", Pool: pool, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if used, _ := pool.InUse(); used != 0 {
			t.Errorf("%d part buffers not returned", used)
		}
	})
	w.st, w.config = st, Config{From: w.dir}
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

// inDir puts the store into a directory.
func (w *world) inDir() *world {
	st, err := store.NewDir(filepath.Join(w.t.TempDir(), "store"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.st = st
	return w
}

func (w *world) setFault(f func(*s3test.Request) s3test.Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

// write makes files: their paths, and what is in them.
func (w *world) write(files ...string) {
	w.t.Helper()
	for i := 0; i < len(files); i += 2 {
		p := filepath.Join(w.dir, files[i])
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(files[i+1]), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
}

// date gives a file a time.
func (w *world) date(file string, at time.Time) {
	w.t.Helper()
	if err := os.Chtimes(filepath.Join(w.dir, file), at, at); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(file string) {
	w.t.Helper()
	if err := os.RemoveAll(filepath.Join(w.dir, file)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) job() *job {
	w.t.Helper()
	for _, p := range w.config.Validate() {
		w.t.Fatalf("the config is wrong: %s", p.String())
	}
	w.start = w.start.Add(time.Hour)
	j, err := w.config.New(runner.Env{
		Job: "docs", Prefix: "my/docs", Start: w.start, Store: w.st, Redact: func(s string) string { return s },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.skew != 0 {
		j.(*job).skew = w.skew
	}
	return j.(*job)
}

// A result is how one run went.
type result struct {
	runner.JobReport
	err      error
	requests map[string]int // of the run alone
}

func (w *world) run() result { return w.runIn(w.t.Context()) }

func (w *world) runIn(ctx context.Context) result {
	w.t.Helper()
	rec := runner.NewRecorder(slog.New(slog.NewTextHandler(io.Discard, nil)), time.Now)
	before := w.srv.Requests()
	err := w.job().Run(ctx, rec)
	after := w.srv.Requests()
	for op, n := range before {
		if after[op] -= n; after[op] == 0 {
			delete(after, op)
		}
	}
	return result{rec.Snapshot(), err, after}
}

// expect is run, which must end without an error or failed items, with so many
// of each outcome.
func (w *world) expect(changed, unchanged int) result {
	w.t.Helper()
	r := w.run()
	if r.err != nil || len(r.Items) > 0 {
		w.t.Fatalf("error %v, items %+v, notes %v", r.err, r.Items, r.Warnings)
	}
	if r.Counted[runner.Changed] != changed || r.Counted[runner.Unchanged] != unchanged || r.Expected != changed+unchanged {
		w.t.Fatalf("%v of %d, want %d changed and %d unchanged; notes %v", r.Counted, r.Expected, changed, unchanged, r.Warnings)
	}
	return r
}

// notes are the warnings in one text.
func (r result) notes() string {
	var b strings.Builder
	for _, p := range r.Warnings {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

// failed are the items that failed: path and reason.
func (r result) failed() map[string]string {
	m := map[string]string{}
	for _, it := range r.Items {
		if it.Outcome == runner.Failed {
			m[it.Name] = it.Problem.Reason
		}
	}
	return m
}

// stored is what the store has under the prefix, without mayfly's own.
func (w *world) stored() map[string]string {
	w.t.Helper()
	m := map[string]string{}
	for o, err := range w.st.List(w.t.Context(), "my/docs/") {
		if err != nil {
			w.t.Fatal(err)
		}
		rel := strings.TrimPrefix(o.Key, "my/docs/")
		if strings.HasPrefix(rel, indexDir) {
			continue
		}
		m[rel] = w.object(o.Key)
	}
	return m
}

func (w *world) object(key string) string {
	w.t.Helper()
	r, _, err := w.st.Open(w.t.Context(), key, 0, -1)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// here is what the directory has.
func (w *world) here() map[string]string {
	w.t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(w.dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		m[filepath.ToSlash(p[len(w.dir)+1:])] = string(b)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) same(got, want map[string]string) {
	w.t.Helper()
	if !maps.Equal(got, want) {
		w.t.Fatalf("there is %q, want %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// indexKeys are the objects of the index.
func (w *world) indexKeys() []string {
	w.t.Helper()
	var keys []string
	for o, err := range w.st.List(w.t.Context(), "my/docs/"+indexDir) {
		if err != nil {
			w.t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

func mustContain(t *testing.T, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("%q lacks %q", text, want)
	}
}

func TestMain(m *testing.M) {
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name)
		}
	}
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Exit(m.Run())
}

// folder is the world's directory, as a run reaches its files.
func (w *world) folder() *folder {
	w.t.Helper()
	root, err := os.OpenRoot(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	dir, err := newFolder(root)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { dir.Close() })
	return dir
}

// cannot ends a test that this machine cannot run. In CI, where it must run, it
// fails.
func cannot(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("MAYFLY_NO_SKIP") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
