package store_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/store"
	"mayfly/internal/store/storetest"
)

func TestNewDir(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{"", file, file + "/below"} {
		if _, err := store.NewDir(root); err == nil {
			t.Errorf("%q accepted", root)
		}
	}
	absent := filepath.Join(t.TempDir(), "absent")
	d, err := store.NewDir(absent)
	if err != nil {
		t.Fatal(err)
	}
	if k := storetest.Keys(t, d, ""); len(k) != 0 {
		t.Error("an absent directory holds", k)
	}
	if _, err := os.Stat(absent); err == nil {
		t.Error("created before the first write")
	}
}

// A key cannot be below another object: the error says why.
func TestDirBelowObject(t *testing.T) {
	t.Parallel()
	d, _ := store.NewDir(t.TempDir())
	if _, err := d.Put(t.Context(), "a", nil, ""); err != nil {
		t.Fatal(err)
	}
	_, err := d.Create(t.Context(), "a/b")
	if err == nil || !strings.Contains(err.Error(), "an object stands where a directory is needed") {
		t.Errorf("error %v", err)
	}
	if _, err := d.Put(t.Context(), "c/d", nil, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "c", nil, ""); err == nil || errors.Is(err, store.ErrExists) {
		t.Errorf("error %v", err)
	}
}

// A writer that fails below an object cleans up after itself, and leaves the
// object alone.
func TestDirBelowObjectKeepsIt(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"a/b", "a/b/c", "a/b/c/d"} {
		d, _ := store.NewDir(t.TempDir())
		if _, err := d.Put(t.Context(), "a", []byte("precious"), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Create(t.Context(), key); err == nil {
			t.Errorf("%s was created below an object", key)
		}
		if b, _, err := storetest.Read(t.Context(), d, "a"); err != nil || string(b) != "precious" {
			t.Errorf("after a failed write of %s the object is %q, error %v", key, b, err)
		}
	}
}

// The store's own files are neither listed nor reachable, and a writer that
// fails leaves not even its directory.
func TestDirOwnFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d, _ := store.NewDir(root)
	w, err := d.Create(t.Context(), "deep/er/obj")
	if err != nil {
		t.Fatal(err)
	}
	own, _ := filepath.Glob(root + "/deep/er/.mayfly-tmp-*")
	if len(own) != 1 {
		t.Fatalf("temporary files: %v", own)
	}
	if k := storetest.Keys(t, d, ""); len(k) != 0 {
		t.Error("listed:", k)
	}
	if _, err := d.Stat(t.Context(), "deep/er/"+filepath.Base(own[0])); err == nil {
		t.Error("a temporary file is an object")
	}
	w.Close()
	if left, _ := os.ReadDir(root); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A file that is cut while it is read is noticed.
func TestDirCutFile(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d, _ := store.NewDir(root)
	if _, err := d.Put(t.Context(), "k", storetest.Bytes(10_000), ""); err != nil {
		t.Fatal(err)
	}
	r, _, err := d.Open(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(root+"/k", 5000); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

const (
	counters = 4
	counts   = 40
)

// Several processes that count in one object by compare and swap lose nothing.
func TestDirBetweenProcesses(t *testing.T) {
	t.Parallel()
	if root := os.Getenv("STORE_TEST_COUNT"); root != "" {
		count(t, root)
		return
	}
	root := t.TempDir()
	d, _ := store.NewDir(root)
	if _, err := d.Put(t.Context(), "n", []byte("0"), ""); err != nil {
		t.Fatal(err)
	}
	var running []*exec.Cmd
	for range counters {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDirBetweenProcesses$")
		c.Env = append(os.Environ(), "STORE_TEST_COUNT="+root)
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, c)
	}
	for _, c := range running {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	if b, _, err := storetest.Read(t.Context(), d, "n"); err != nil || string(b) != strconv.Itoa(counters*counts) {
		t.Errorf("counted to %s, want %d, error %v", b, counters*counts, err)
	}
}

func count(t *testing.T, root string) {
	d, err := store.NewDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for done := 0; done < counts; {
		r, o, err := d.Open(t.Context(), "n", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := bufio.NewReader(r).ReadString('\n')
		r.Close()
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Put(t.Context(), "n", []byte(strconv.Itoa(n+1)), o.ETag)
		if err == nil {
			done++
		} else if !errors.Is(err, store.ErrChanged) {
			t.Fatal(err)
		}
	}
}

// Directories come and go with the objects in them: a writer does not stumble
// over one that another removes at the same moment.
func TestDirComesAndGoes(t *testing.T) {
	t.Parallel()
	d, _ := store.NewDir(t.TempDir())
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			key := "some/deep/dir/" + strconv.Itoa(i)
			for range 50 {
				v, err := d.Put(t.Context(), key, []byte("x"), "")
				if err == nil {
					err = d.Delete(t.Context(), key, v)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if k := storetest.Keys(t, d, ""); len(k) != 0 {
		t.Error("left:", k)
	}
}

// What can be read must be listed: a folder moved to a larger disk and linked
// back looked as if nothing had ever been backed up.
func TestDirListsBehindLinks(t *testing.T) {
	t.Parallel()
	root, elsewhere := t.TempDir(), t.TempDir()
	d, err := store.NewDir(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(root, "github")); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"github/a/b.zip", "plain/x"} {
		if _, err := d.Put(t.Context(), key, []byte("x"), ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("x", filepath.Join(root, "plain", "y")); err != nil {
		t.Fatal(err)
	}
	list := func(prefix string) (keys []string, err error) {
		for o, err := range d.List(t.Context(), prefix) {
			if err != nil {
				return keys, err
			}
			keys = append(keys, o.Key)
		}
		return keys, nil
	}
	if keys, err := list(""); err != nil || strings.Join(keys, " ") != "github/a/b.zip plain/x plain/y" {
		t.Errorf("%q, error %v", keys, err)
	}
	if err := os.Symlink(root, filepath.Join(root, "round")); err != nil {
		t.Fatal(err)
	}
	if _, err := list(""); err == nil || !strings.Contains(err.Error(), "circle") {
		t.Errorf("links in a circle: error %v", err)
	}
	if keys, err := list("plain/"); err != nil || len(keys) != 2 {
		t.Errorf("beside the circle: %q, error %v", keys, err)
	}
	if err := os.Symlink("nowhere", filepath.Join(root, "plain", "z")); err != nil {
		t.Fatal(err)
	}
	if _, err := list("plain/"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a dead link: error %v", err)
	}
}

// A file that is the same, in another place of the disk, is the same version;
// one that is written again is another, though its time was ahead.
func TestDirVersions(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d, _ := store.NewDir(root)
	first, err := d.Put(t.Context(), "k", []byte("1"), "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "k")
	fi, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".copy", []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".copy", file); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, fi.ModTime(), fi.ModTime()); err != nil {
		t.Fatal(err)
	}
	if o, err := d.Stat(t.Context(), "k"); err != nil || o.ETag != first {
		t.Errorf("a copy is %s, %v, and was %s", o.ETag, err, first)
	}
	ahead := fi.ModTime().Add(time.Hour)
	if err := os.Chtimes(file, ahead, ahead); err != nil {
		t.Fatal(err)
	}
	o, err := d.Stat(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[store.ETag]bool{first: true, o.ETag: true}
	for last := o.ETag; len(seen) < 20; seen[last] = true {
		if last, err = d.Put(t.Context(), "k", []byte("2"), last); err != nil || seen[last] {
			t.Fatalf("version %d is %s, %v", len(seen), last, err)
		}
	}
}
