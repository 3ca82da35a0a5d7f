//go:build unix

package dirsync

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"mayfly/internal/s3test"
)

// known are the paths that the index has a record of, which is all of it.
func (w *world) known() string {
	w.t.Helper()
	x, err := findIndex(w.t.Context(), w.st, "my/docs")
	if err != nil || !x.whole || x.cut {
		w.t.Fatalf("%v, the index: %+v", err, x)
	}
	var names []string
	for r, err := range x.records(w.t.Context()) {
		if err != nil {
			w.t.Fatal(err)
		}
		names = append(names, r.Path)
	}
	return strings.Join(names, " ")
}

// What is gone and stays in the store keeps its record: in a directory, its time
// and its sum stand nowhere else. What is deleted has none any more.
func TestRecordsOfWhatIsGone(t *testing.T) {
	t.Parallel()
	everyStore(t, func(t *testing.T, w *world) {
		w.config.Delete, w.config.MaxDelete = true, MaxDelete{n: 1, given: true}
		was := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
		for i := range 9 {
			name := fmt.Sprintf("f%d", i)
			w.write(name, "x")
			w.date(name, was)
		}
		w.expect(9, 0)
		w.remove("f3")
		w.remove("f5")
		w.write("new", "y")
		if r := w.run(); r.err == nil || !strings.Contains(r.err.Error(), "max_delete") {
			t.Fatalf("%v", r.err)
		}
		if got := w.known(); got != "f0 f1 f2 f3 f4 f5 f6 f7 f8 new" {
			t.Errorf("after a deletion that was refused: %s", got)
		}
		tree, err := Find(t.Context(), w.st, "my/docs")
		if err != nil {
			t.Fatal(err)
		}
		if v, err := tree.Verify(t.Context(), func(int64) {}); err != nil || v.Summed != 10 || !v.Whole() {
			t.Errorf("%+v %v", v, err)
		}
		w.config.MaxDelete = MaxDelete{n: 2, given: true}
		w.expect(0, 8)
		if got := w.known(); got != "f0 f1 f2 f4 f6 f7 f8 new" {
			t.Errorf("after a deletion: %s", got)
		}
		if n := len(w.indexKeys()); n != 2 {
			t.Errorf("%d objects of indexes are left", n)
		}
		w.expect(0, 8)
	})
}

// A deletion that is cut off leaves no record of what may be deleted, and those
// of all else.
func TestDeletionCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Delete, w.config.Parallel, w.config.MaxDelete = true, 1, MaxDelete{n: 9, given: true}
	w.write("a", "1", "b", "2", "c", "3", "d", "4")
	w.expect(4, 0)
	w.remove("a")
	w.remove("b")
	w.remove("c")
	ctx, cancel := context.WithCancel(t.Context())
	w.setFault(func(r *s3test.Request) s3test.Fault {
		if r.Op == "DeleteObject" && strings.HasSuffix(r.Key, "/b") {
			cancel()
			return s3test.Fault{ResetAfter: true}
		}
		return s3test.Fault{}
	})
	if r := w.runIn(ctx); r.err == nil {
		t.Fatal("it was not cut off")
	}
	w.setFault(nil)
	if got := w.known(); got != "c d" {
		t.Errorf("the index has %s", got)
	}
	w.config = Config{To: w.dir} // where c was removed
	w.expect(1, 1)
}

// Clocks that were ahead make no index older than the one before.
func TestIndexAfterAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a", "1")
	w.start = w.start.AddDate(10, 0, 0)
	w.expect(1, 0)
	w.start = w.start.AddDate(-10, 0, 0)
	w.write("b", "1")
	w.expect(1, 1)
	if got := w.known(); got != "a b" {
		t.Error(got)
	}
}
