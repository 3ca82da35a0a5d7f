//go:build unix

package dirsync

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/s3test"
)

// rename moves something in the directory.
func (w *world) rename(from, to string) {
	w.t.Helper()
	if err := os.Rename(filepath.Join(w.dir, from), filepath.Join(w.dir, to)); err != nil {
		w.t.Error(err)
	}
}

// atPage calls f when the store's listing gets to its n-th page.
func (w *world) atPage(n int, f func()) {
	w.setFault(func(r *s3test.Request) s3test.Fault {
		if r.Op == "ListObjectsV2" && !strings.Contains(r.Query.Get("prefix"), indexDir) {
			if n--; n == 0 {
				f()
			}
		}
		return s3test.Fault{}
	})
}

// What is moved while the walk is on, from where it is yet to come to where it
// has been, stands in the store under its new name at least.
func TestMovedWhileWalking(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(w *world){
		"a file":                      func(w *world) { w.rename("z/file", "a/file") },
		"a directory":                 func(w *world) { w.rename("z/deep", "a/deep") },
		"a file onto another":         func(w *world) { w.rename("z/file", "a/1") },
		"all of a directory":          func(w *world) { w.rename("z", "a/z") },
		"a file, and the time is put": func(w *world) { w.rename("z/file", "a/file"); w.date("a", time.Unix(1, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everyWay := func(compare string) {
				w := newWorld(t)
				w.config.Delete, w.config.Parallel, w.config.Compare = true, 1, compare
				w.config.MaxDelete = MaxDelete{n: 50, given: true}
				w.write("a/1", "x", "z/file", "of the file", "z/deep/er", "of what is deeper", "z/last", "y")
				for i := range 30 {
					w.write(fmt.Sprintf("m/%02d", i), "x")
				}
				w.expect(34, 0)
				moved := false
				w.atPage(3, func() { moved = true; move(w) })
				r := w.run()
				if r.err != nil || !moved || len(r.Items) > 0 {
					t.Fatalf("moved: %v, error %v, items %v", moved, r.err, r.Items)
				}
				has := map[string]bool{}
				for _, text := range w.stored() {
					has[text] = true
				}
				for path, text := range w.here() {
					if !has[text] {
						t.Errorf("%s: what is in %s stands nowhere in the store", compare, path)
					}
				}
				w.setFault(nil)
				if r := w.run(); r.err != nil || len(r.Items) > 0 {
					t.Errorf("the next run: %v, %v", r.err, r.Items)
				}
				w.same(w.stored(), w.here())
			}
			everyWay("time")
			everyWay("checksum")
		})
	}
}

// A directory in which names come and go all the time keeps what may have been
// moved there, and nothing else.
func TestBusyDirectory(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]bool{"gone for long": true, "gone just now": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.config.Delete = true
			w.config.MaxDelete = MaxDelete{n: 50, given: true}
			w.write("busy/log", "x", "busy/log.7", "x", "quiet/stays", "x", "quiet/goes", "x", "gone/deep/file", "x")
			w.expect(5, 0)
			w.remove("quiet/goes")
			w.remove("gone")
			w.remove("busy/log.7")
			if old {
				w.skew = 300 * time.Millisecond
				time.Sleep(2 * w.skew)
			}
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					select {
					case <-stop:
						return
					default:
						w.write("busy/new", "x")
						w.remove("busy/new")
					}
				}
			}()
			r := w.run()
			close(stop)
			<-stopped
			if r.err != nil || len(r.failed()) > 0 {
				t.Fatalf("%v, %v", r.err, r.failed())
			}
			left := 3 // but for what changes all the while
			if old {
				left = 1
				mustContain(t, r.notes(), "2 files gone, and deleted in the store")
			}
			mustContain(t, r.notes(), fmt.Sprintf("%d file", left))
			mustContain(t, r.notes(), "gone and not deleted in the store, since "+w.dir+"/busy changed all the while")
			w.skew = 0
			r = w.run()
			if r.err != nil || len(r.Items) > 0 || len(w.stored()) != 2 {
				t.Errorf("at rest: %v, %v, %v", r.err, r.Items, w.stored())
			}
		})
	}
}

// The time of a directory that was changed a moment ago says nothing of a second
// change: it is listed again when enough time has gone by.
func TestTrackerDoubtsYoungTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := w.folder()
	w.write("a", "1")
	tr := newTracker(skew)
	if tr.listing(dir.root, "") {
		t.Error("quiet at once")
	}
	one, wait, err := tr.changed(t.Context(), dir)
	if one != "/" || wait != fineStep && wait != wholeStep || err != nil {
		t.Errorf("%q, %v, %v", one, wait, err)
	}
	time.Sleep(wait + time.Millisecond)
	if tr.listing(dir.root, "") {
		t.Error("quiet before it was listed again")
	}
	if one, _, err := tr.changed(t.Context(), dir); one != "" || err != nil {
		t.Errorf("%q, %v", one, err)
	}
	if !tr.listing(dir.root, "") {
		t.Error("not quiet")
	}
	w.write("b", "2")
	if one, _, err := tr.changed(t.Context(), dir); one != "/" || err != nil {
		t.Errorf("%q, %v", one, err)
	}
}
