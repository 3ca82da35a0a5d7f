//go:build unix

package dirsync

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/store"
	"mayfly/runner"
)

// A preview refuses what the run will.
func TestPreviewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(w *world)
		err  string
		says string
	}{
		"an empty directory":   {do: func(w *world) { w.remove("a"); w.remove("b"); w.remove("c") }, err: "has no file that the config takes"},
		"nothing in the store": {do: func(w *world) { w.config = Config{To: w.dir, Include: []string{"*.jpg"}} }, err: "the store has no file under my/docs/"},
		"too much is gone":     {do: func(w *world) { w.remove("a"); w.remove("b"); w.config.Delete = true }, err: "2 of 3 are more than max_delete: 10% allows"},
		"lost in the store":    {do: func(w *world) { w.drop("my/docs/a"); w.config = Config{To: w.dir} }, err: ErrSome.Error(), says: `! "a": the store has lost it`},
		"a name":               {do: func(w *world) { w.write("x\ny", "1") }, err: ErrSome.Error(), says: `! "x\ny": the store cannot keep this name`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.write("a", "1", "b", "2", "c", "3")
			w.expect(3, 0)
			c.do(w)
			var out strings.Builder
			err := w.job().Preview(t.Context(), &out)
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, want %q", err, c.err)
			}
			mustContain(t, out.String(), c.says)
			if r := w.run(); r.err == nil && len(r.failed()) == 0 {
				t.Errorf("the run does not refuse it")
			}
		})
	}
}

// What cannot be read is found without being compared. As root everything can
// be read, but no socket.
func TestPreviewReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a", "1")
	j := w.job()
	dir, _, err := j.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	p := pair{path: "a"}
	if err := j.readable(t.Context(), dir, p); err != nil {
		t.Error(err)
	}
	if os.Geteuid() == 0 {
		w.remove("a")
		if err := os.Symlink("b", filepath.Join(w.dir, "a")); err != nil {
			t.Fatal(err)
		}
	} else if err := os.Chmod(filepath.Join(w.dir, "a"), 0); err != nil {
		t.Fatal(err)
	}
	if err := j.readable(t.Context(), dir, p); err == nil {
		t.Error("it can be read")
	}
}

// A store below the directory is refused before anything is made there.
func TestStoreInsideIsRefusedFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a", "1")
	st, err := store.NewDir(filepath.Join(w.dir, "backups"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Config{{From: w.dir}, {To: w.dir}, {To: filepath.Join(w.dir, "backups/docs")}} {
		_, err = c.New(runner.Env{Job: "docs", Prefix: "docs", Store: st})
		if err == nil || !strings.Contains(err.Error(), "would be kept in itself") {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "backups")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A preview counts what max_delete is a share of as the run does.
func TestPreviewCountsAsTheRun(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(w *world){
		"new files count, too": func(w *world) {
			w.back()
			w.write("mine", "1", "yours", "2")
		},
		"what has become a link is still in the store": func(w *world) {
			for i := range 11 {
				f := fmt.Sprintf("f%02d", i)
				w.remove(f)
				if err := os.Symlink("f20", filepath.Join(w.dir, f)); err != nil {
					w.t.Fatal(err)
				}
			}
			w.remove("f11")
			w.remove("f12")
		},
		"what is in the way": func(w *world) {
			w.back()
			w.write("mine", "1", "yours", "2", "theirs", "3", "f00/x", "4", "f01/x", "5")
		},
		"after a failure": func(w *world) {
			w.remove("f00")
			w.remove("f01")
			w.remove("f02")
			w.write("x\ny", "1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for i := range 21 {
				w.write(fmt.Sprintf("f%02d", i), "x")
			}
			w.expect(21, 0)
			do(w)
			w.config.Delete = true
			perr := w.job().Preview(t.Context(), io.Discard)
			r := w.run()
			if refused := perr != nil && !errors.Is(perr, ErrSome); refused != (r.err != nil) || errors.Is(perr, ErrSome) != (len(r.failed()) > 0) {
				t.Errorf("the preview: %v; the run: %v, %v", perr, r.err, r.failed())
			}
		})
	}
}
