//go:build unix

package dirsync

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/s3test"
)

// swap puts a link to another directory into the place of one.
func (w *world) swap(dir, to string) {
	w.t.Helper()
	if err := os.Rename(filepath.Join(w.dir, dir), filepath.Join(w.dir, dir+".old")); err != nil {
		w.t.Error(err)
	}
	if err := os.Symlink(to, filepath.Join(w.dir, dir)); err != nil {
		w.t.Error(err)
	}
}

// once calls f with the n-th request for a key.
func (w *world) once(op, key string, n int, f func()) {
	w.setFault(func(r *s3test.Request) s3test.Fault {
		if r.Op == op && strings.HasSuffix(r.Key, key) {
			if n--; n == 0 {
				f()
			}
		}
		return s3test.Fault{}
	})
}

// A directory that becomes a link to another one, which the config leaves out,
// while the run is at work.
func TestDirectoryBecomesLink(t *testing.T) {
	t.Parallel()
	t.Run("upload", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.config.Parallel, w.config.Exclude = 1, []string{"/private/"}
		w.write("a", "1", "d/b", "2", "private/b", "secret")
		swapped := false
		w.once("PutObject", "/a", 1, func() { swapped = true; w.swap("d", "private") })
		r := w.run()
		if got := w.stored()["d/b"]; !swapped || got == "secret" {
			t.Errorf("swapped: %v, d/b is %q; failed %v", swapped, got, r.failed())
		}
	})
	t.Run("delete", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.write("a", "1")
		w.expect(1, 0)
		w.back()
		w.config.Delete, w.config.Exclude = true, []string{"/private/"}
		w.config.MaxDelete = MaxDelete{n: 10, given: true}
		w.write("d/b", "2", "private/b", "3", "z", "4")
		at := time.Unix(1234567890, 0)
		w.date("d/b", at)
		w.date("private/b", at)
		w.once("GetObject", "/a", 1, func() { w.swap("d", "private") })
		r := w.run()
		if w.here()["private/b"] != "3" {
			t.Errorf("a file was deleted through a link: %v, %s", r.err, r.notes())
		}
	})
	t.Run("mode", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.write("d/b", "2")
		at := time.Unix(1234567890, 0)
		w.date("d/b", at)
		w.expect(1, 0)
		for _, key := range w.indexKeys() {
			w.drop(key)
		}
		w.back()
		w.config.Exclude = []string{"/private/"}
		w.write("d/b", "2", "private/b", "3")
		for _, file := range []string{"d/b", "private/b"} {
			w.date(file, at)
			if err := os.Chmod(filepath.Join(w.dir, file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		swapped := false
		w.once("HeadObject", "/d/b", 2, func() { swapped = true; w.swap("d", "private") })
		r := w.run()
		fi, err := os.Stat(filepath.Join(w.dir, "private/b"))
		if err != nil || fi.Mode() != 0o600 || !swapped {
			t.Errorf("%v, %v, swapped: %v, failed %v", fi.Mode(), err, swapped, r.failed())
		}
	})
}

// Both ways to a file: the system's own, and step by step.
func TestFolder(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]bool{"fast": false, "slow": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.write("d/e/f", "1", "top", "2")
			outside := t.TempDir()
			if err := os.WriteFile(filepath.Join(outside, "f"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			for link, to := range map[string]string{"link": "d", "d/link": "e", "file": "top", "out": outside, "up": "..", "round": "round"} {
				if err := os.Symlink(to, filepath.Join(w.dir, link)); err != nil {
					t.Fatal(err)
				}
			}
			dir := w.folder()
			dir.slow.Store(slow)
			for path, want := range map[string]string{"d/e/f": "1", "top": "2"} {
				f, err := dir.file(path)
				if err != nil {
					t.Errorf("%s: %v", path, err)
					continue
				}
				if b, err := io.ReadAll(f); err != nil || string(b) != want {
					t.Errorf("%s: %q, %v", path, b, err)
				}
				f.Close()
			}
			for _, path := range []string{"link/e/f", "d/link/f", "file", "out/f", "up/docs/top", "round", "round/x", "../docs/top"} {
				if f, err := dir.file(path); err == nil {
					f.Close()
					t.Errorf("%s was opened", path)
				}
			}
			for _, path := range []string{"no", "no/f", "d/no", "top/f"} {
				if _, err := dir.file(path); !missing(err) {
					t.Errorf("%s: %v", path, err)
				}
			}
			for _, path := range []string{"link", "link/e", "d/link", "out", "round"} {
				if _, err := dir.dir(path); !errors.Is(err, errLink) {
					t.Errorf("%s: %v", path, err)
				}
				if _, err := dir.mkdirs(path + "/new"); err == nil || !strings.Contains(err.Error(), "is no directory: a link is not followed") {
					t.Errorf("%s: %v", path, err)
				}
			}
			made, err := dir.mkdirs("new/and/deep")
			if err != nil {
				t.Fatal(err)
			}
			made.Close()
			if fi, err := dir.lstat("new/and/deep"); err != nil || !fi.IsDir() {
				t.Error(err)
			}
			if dir.slow.Load() != slow {
				t.Error("the system's own way does not work here")
			}
		})
	}
}
