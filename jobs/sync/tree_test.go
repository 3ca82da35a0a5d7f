//go:build unix

package dirsync

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/s3test"
)

// kept is a tree of what the world has.
func (w *world) kept(path string) *Tree {
	w.t.Helper()
	tree, err := Find(w.t.Context(), w.st, path)
	if err != nil || tree == nil {
		w.t.Fatalf("%s: %v, %v", path, tree, err)
	}
	return tree
}

func TestFind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a/b", "1", "a-b", "2", "a/c/d", "3")
	w.expect(3, 0)
	for path, want := range map[string][]string{
		"my/docs": {"a-b", "a/b", "a/c/d"}, "my/docs/a": {"b", "c/d"}, "my/docs/a/c": {"d"}, "my/docs/a/b": {""}, "my/docs/a/c/d/e": nil, "my/docs/x": nil,
	} {
		var got []string
		for f, err := range w.kept(path).Files(t.Context()) {
			if err != nil || !f.Known || f.Mode != 0o644 {
				t.Errorf("%s: %+v, %v", path, f, err)
			}
			got = append(got, f.Path)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	for _, path := range []string{"my", "my/doc", "my/docs-2", "other/my/docs"} {
		if tree, err := Find(t.Context(), w.st, path); tree != nil || err != nil {
			t.Errorf("%s: %v, %v", path, tree, err)
		}
	}
	seen := &Watcher{Store: w.st}
	for range seen.List(t.Context(), "") {
	}
	trees, err := seen.Trees(t.Context())
	if err != nil || len(trees) != 1 || trees[0].Path() != "my/docs" || !trees[0].Changed.Equal(w.start) {
		t.Errorf("%+v, %v", trees, err)
	}
}

// An index that was a file of the directory is one in the store.
func TestIndexInsideSource(t *testing.T) {
	t.Parallel()
	everyStore(t, func(t *testing.T, w *world) {
		const own, tmp = ".mayfly-restore.json", ".mayfly-tmp-AAAAAAAAAAAAAAAAAAAAAAAAAA"
		w.write("sub/.mayfly/20260101T000000Z/00001.gz", "x", "-/.mayfly/20260101T000000Z/end.gz", "", "a", "1",
			"d/"+own, "2", "d/.mayfly-lock", "3", "d/"+tmp, "unfinished", ".mayfly-x/y", "4", ".mayfly-tmp-notes", "5")
		w.expect(7, 0)
		w.expect(0, 7)
		w.same(map[string]string{own: w.stored()["d/"+own]}, map[string]string{own: "2"})
		seen := &Watcher{Store: w.st}
		for range seen.List(t.Context(), "") {
		}
		trees, err := seen.Trees(t.Context())
		if err != nil || len(trees) != 1 || trees[0].Path() != "my/docs" {
			t.Errorf("%+v, %v", trees, err)
		}
		if got := w.kept("my/docs/sub").Path(); got != "my/docs/sub" {
			t.Error(got)
		}
	})
}

func TestRestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Compare = "checksum"
	w.write("a", "1", "d/b", strings.Repeat("x", 300<<10), "d/c", "2", "d/e", "3")
	w.expect(4, 0)
	w.srv.SetObject("bucket", "deep/my/docs/d/c/../f", []byte("leads out"))
	w.setFault(func(r *s3test.Request) s3test.Fault {
		switch {
		case r.Op == "GetObject" && strings.HasSuffix(r.Key, "/d/c"):
			return s3test.Fault{Status: 403, Code: "InvalidObjectState"}
		case r.Op == "GetObject" && strings.HasSuffix(r.Key, "/d/e"):
			return s3test.Fault{Flip: true}
		}
		return s3test.Fault{}
	})
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	n := int64(0)
	res, err := w.kept("my/docs").Restore(t.Context(), root, "", func(k int64) {
		w.mu.Lock()
		defer w.mu.Unlock()
		n += k
	})
	if err != nil || res.Files != 2 || res.Missed != 3 || len(res.Failed) != 3 || res.Bytes != 300<<10+1 || n < res.Bytes {
		t.Errorf("%+v, %v, %d read", res, err, n)
	}
	if !slices.ContainsFunc(res.Failed, func(s string) bool {
		return strings.Contains(s, "GLACIER or DEEP_ARCHIVE): have S3 bring it back first, which takes hours: aws s3api restore-object --bucket bucket --key 'deep/my/docs/d/c'")
	}) {
		t.Errorf("no advice for what is cold: %q", res.Failed)
	}
	w.dir = dir
	w.same(w.here(), map[string]string{"a": "1", "d/b": strings.Repeat("x", 300<<10)})
}

// What the last run has recorded and the store has lost is named, and so is that
// nobody knows it, where the index is damaged.
func TestRestoreNamesWhatIsLost(t *testing.T) {
	t.Parallel()
	everyStore(t, func(t *testing.T, w *world) {
		w.write("a", "1", "b", "2", "d/c", "3", "d/e", "4")
		w.expect(4, 0)
		w.drop("my/docs/b")
		w.drop("my/docs/d/c")
		restore := func(at string) Restored {
			root, err := os.OpenRoot(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			res, err := w.kept(at).Restore(t.Context(), root, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		res := restore("my/docs")
		slices.Sort(res.Failed)
		if res.Files != 2 || res.Missed != 2 || len(res.Failed) != 2 || res.Index != nil ||
			!strings.HasPrefix(res.Failed[0], "my/docs/b: the store has lost it") || !strings.HasPrefix(res.Failed[1], "my/docs/d/c: the store has lost it") {
			t.Errorf("%+v", res)
		}
		if res = restore("my/docs/d"); res.Files != 1 || res.Missed != 1 {
			t.Errorf("of a part: %+v", res)
		}
		for _, key := range w.indexKeys() {
			o, err := w.st.Stat(t.Context(), key)
			if err == nil && !strings.HasSuffix(key, endPiece) {
				_, err = w.st.Put(t.Context(), key, []byte("no gzip"), o.ETag)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if res = restore("my/docs"); res.Files != 2 || res.Index == nil {
			t.Errorf("with a damaged index: %+v", res)
		}
		v, err := w.kept("my/docs").Verify(t.Context(), func(int64) {})
		if err != nil || v.Whole() || len(v.Unread) != 1 || !strings.Contains(v.Unread[0], "the index of the last run is damaged") {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Compare = "checksum"
	w.write("a", "1", "b", "2", "c", "3", "d", "4", "e/f", "5")
	w.expect(5, 0)
	v, err := w.kept("my/docs").Verify(t.Context(), nil)
	if err != nil || !v.Whole() || v.Files != 5 || v.Bytes != 5 {
		t.Fatalf("%+v, %v", v, err)
	}
	w.drop("my/docs/a")
	w.drop("my/docs/e/f")
	w.srv.SetObject("bucket", "deep/my/docs/d", []byte("of another tool"))
	w.setFault(func(r *s3test.Request) s3test.Fault {
		switch {
		case r.Op == "GetObject" && strings.HasSuffix(r.Key, "/b"):
			return s3test.Fault{Flip: true}
		case r.Op == "GetObject" && strings.HasSuffix(r.Key, "/c"):
			return s3test.Fault{Status: 403, Code: "AccessDenied"}
		}
		return s3test.Fault{}
	})
	v, err = w.kept("my/docs").Verify(t.Context(), nil)
	if err != nil || v.Whole() || v.Files != 1 || len(v.Damaged) != 1 || len(v.Unread) != 1 || !slices.Equal(v.Missing, []string{"my/docs/a", "my/docs/e/f"}) {
		t.Errorf("%+v, %v", v, err)
	}
	v, err = w.kept("my/docs/e").Verify(t.Context(), nil)
	if err != nil || !slices.Equal(v.Missing, []string{"my/docs/e/f"}) || len(v.Unread) > 0 {
		t.Errorf("%+v, %v", v, err)
	}
}

// Bytes of a directory store that have changed with size and time kept are
// found by the index's checksum.
func TestVerifyDir(t *testing.T) {
	t.Parallel()
	for _, compare := range []string{"time", "checksum"} {
		t.Run(compare, func(t *testing.T) { t.Parallel(); testVerifyDir(t, compare) })
	}
}

func testVerifyDir(t *testing.T, compare string) {
	w := newWorld(t).inDir()
	w.config.Compare = compare
	w.write("a", "1", "b", "2")
	w.expect(2, 0)
	strong := 0
	if compare == "checksum" {
		strong = 2
	}
	if v, err := w.kept("my/docs").Verify(t.Context(), nil); err != nil || !v.Whole() || v.Summed != 2 || v.Strong != strong {
		t.Fatalf("%+v, %v", v, err)
	}
	file := filepath.Join(strings.TrimPrefix(w.st.URL(""), "file://"), "my/docs/b")
	fi, err := os.Stat(file)
	if err == nil {
		err = os.WriteFile(file, []byte("X"), 0o600)
	}
	if err == nil {
		err = os.Chtimes(file, fi.ModTime(), fi.ModTime())
	}
	if err != nil {
		t.Fatal(err)
	}
	v, err := w.kept("my/docs").Verify(t.Context(), nil)
	if err != nil || len(v.Damaged) != 1 || v.Files != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	// It is not brought back as if it were what was kept.
	w.back()
	if r := w.run(); r.failed()["b"] != errOther.Error() || len(w.here()) != 1 {
		t.Errorf("%v, %v", r.failed(), w.here())
	}
}
