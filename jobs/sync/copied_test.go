//go:build unix

package dirsync

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A store that was copied has other versions of the same bytes: their sums tell,
// and times and modes are known again.
func TestCopiedStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t).inDir()
	was := time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)
	w.write("a", "same", "b", "same", "c", "same")
	for _, f := range []string{"a", "b", "c"} {
		w.date(f, was)
		if err := os.Chmod(filepath.Join(w.dir, f), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	w.expect(3, 0)
	dir := strings.TrimPrefix(w.st.URL("my/docs"), "file://")
	later := time.Now().Add(time.Hour)
	for _, f := range []string{"a", "b"} {
		if f == "b" {
			if err := os.WriteFile(filepath.Join(dir, f), []byte("else"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(filepath.Join(dir, f), later, later); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := Find(t.Context(), w.st, "my/docs")
	if err != nil {
		t.Fatal(err)
	}
	v, err := tree.Verify(t.Context(), nil)
	if err != nil || v.Summed != 2 || !slices.Equal(v.Others, []string{"my/docs/b"}) || !v.Whole() {
		t.Errorf("%+v %v", v, err)
	}
	to := t.TempDir()
	root, err := os.OpenRoot(to)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if res, err := tree.Restore(t.Context(), root, "", nil); err != nil || res.Files != 3 {
		t.Fatalf("%+v %v", res, err)
	}
	for f, text := range map[string]string{"a": "same", "b": "else", "c": "same"} {
		fi, err := os.Stat(filepath.Join(to, f))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(to, f))
		if known := f != "b"; err != nil || string(b) != text || fi.ModTime().Equal(was) != known || (fi.Mode().Perm() == 0o640) != known {
			t.Errorf("%s: %q of %s with %s, %v", f, b, fi.ModTime(), fi.Mode(), err)
		}
	}
}
