//go:build unix

package dirsync

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"mayfly/internal/s3test"
)

func gz(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDelete(t *testing.T) {
	t.Parallel()
	everyStore(t, func(t *testing.T, w *world) {
		w.config.Delete = true
		w.config.Exclude = []string{"kept/"}
		w.write("a", "1", "b", "2", "d/c", "3")
		w.expect(3, 0)
		if _, err := w.st.Put(t.Context(), "my/docs/kept/x", []byte("no file of ours"), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := w.st.Put(t.Context(), "my/docs-2/x", []byte("beside"), ""); err != nil {
			t.Fatal(err)
		}
		w.remove("d")
		r := w.expect(0, 2)
		mustContain(t, r.notes(), "1 file gone, and deleted in the store")
		w.same(w.stored(), map[string]string{"a": "1", "b": "2", "kept/x": "no file of ours"})
		if w.object("my/docs-2/x") != "beside" {
			t.Error("something beside was touched")
		}
		if r = w.expect(0, 2); r.notes() != "" {
			t.Error(r.notes())
		}
	})
}

// Nothing is deleted unless everything was well.
func TestNotDeleted(t *testing.T) {
	t.Parallel()
	denied := func(op, key string) func(*s3test.Request) s3test.Fault {
		return func(r *s3test.Request) s3test.Fault {
			if r.Op == op && strings.HasSuffix(r.Key, key) {
				return s3test.Fault{Status: 403, Code: "AccessDenied"}
			}
			return s3test.Fault{}
		}
	}
	for name, c := range map[string]struct {
		do    func(w *world)
		err   string
		notes string
	}{
		"more than max_delete": {do: func(w *world) { w.remove("d1"); w.remove("d2") },
			err: "20 of 100 files are gone, more than max_delete: 10% allows to delete at once: nothing was deleted: if that is right, set max_delete: \"20\""},
		"more than a number": {do: func(w *world) { w.remove("d1"); w.config.MaxDelete = MaxDelete{n: 9, given: true} },
			err: "10 of 100 files are gone, more than max_delete: 9"},
		"an empty directory": {do: func(w *world) {
			for i := range 10 {
				w.remove(fmt.Sprintf("d%d", i))
			}
		}, err: "has no file that the config takes: is its disk mounted?"},
		"no directory":    {do: func(w *world) { w.remove("") }, err: "does not exist: is its disk mounted?"},
		"no such taste":   {do: func(w *world) { w.config.Include = []string{"*.jpg"} }, err: "has no file that the config takes"},
		"a failed upload": {do: func(w *world) { w.remove("d1/f1"); w.write("new", "x"); w.setFault(denied("PutObject", "/new")) }, notes: "not all went well"},
		"a bad name":      {do: func(w *world) { w.remove("d1/f1"); w.write("a\nb", "x") }, notes: "not all went well"},
		"half a listing": {do: func(w *world) {
			w.remove("d1/f1")
			n := 0
			w.setFault(func(r *s3test.Request) s3test.Fault {
				if r.Op == "ListObjectsV2" {
					if n++; n == 5 {
						return s3test.Fault{Status: 403, Code: "AccessDenied"}
					}
				}
				return s3test.Fault{}
			})
		}, err: "list the store: "},
		"a delete that fails": {do: func(w *world) {
			w.remove("d1/f1")
			w.setFault(denied("DeleteObject", "/d1/f1"))
		}, err: "access denied: grant s3:DeleteObject"},
		"an object that has changed": {do: func(w *world) {
			w.remove("d1/f1")
			w.setFault(func(r *s3test.Request) s3test.Fault {
				if r.Op == "HeadObject" {
					w.srv.SetObject("bucket", "deep/my/docs/d1/f1", []byte("of somebody else"))
				}
				return s3test.Fault{}
			})
		}},
		"a file that has come back": {do: func(w *world) {
			w.remove("d1/f1")
			w.write("new", "x")
			w.setFault(func(r *s3test.Request) s3test.Fault {
				if r.Op == "PutObject" && strings.HasSuffix(r.Key, "/new") {
					w.write("d1/f1", "again")
				}
				return s3test.Fault{}
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.srv.PageSize = 11
			w.config.Delete = true
			for i := range 100 {
				w.write(fmt.Sprintf("d%d/f%d", i/10, i%10), fmt.Sprint(i))
			}
			w.expect(100, 0)
			c.do(w)
			r := w.run()
			if c.err == "" && r.err != nil || c.err != "" && (r.err == nil || !strings.Contains(r.err.Error(), c.err)) {
				t.Errorf("error %v, want %q", r.err, c.err)
			}
			mustContain(t, r.notes(), c.notes)
			if n := len(w.stored()); n < 100 {
				t.Errorf("%d files are left of 100", n)
			}
		})
	}
}

// A file that has become a directory is gone, whatever has its name now.
func TestDeleteWhatBecameDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Delete = true
	w.write("a", "1", "b", "2")
	w.expect(2, 0)
	w.remove("a")
	w.write("a/x", "3")
	w.expect(1, 1)
	w.same(w.stored(), map[string]string{"a/x": "3", "b": "2"})
}
