//go:build unix

package dirsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/s3test"
	"mayfly/runner"
)

// everyStore runs a test with a bucket and with a directory as the store.
func everyStore(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("s3", func(t *testing.T) { t.Parallel(); f(t, newWorld(t)) })
	t.Run("dir", func(t *testing.T) { t.Parallel(); f(t, newWorld(t).inDir()) })
}

func TestUpload(t *testing.T) {
	t.Parallel()
	everyStore(t, func(t *testing.T, w *world) {
		big := strings.Repeat("0123456789abcdef", 50_000) // several parts
		files := []string{"a", "1", "a.b", "2", "a/b", "", "ä ö.", "4", "big", big, "d/e/f/g", "5"}
		files[4] = "c/b" // a file a and a directory a do not go together here
		for i := range 30 {
			files = append(files, fmt.Sprintf("many/%02d", i), fmt.Sprint(i))
		}
		w.write(files...)
		n := len(files) / 2
		w.expect(n, 0)
		w.same(w.stored(), w.here())

		r := w.expect(0, n)
		if w.srv.Requests() != nil {
			for _, op := range []string{"HeadObject", "PutObject", "DeleteObject"} {
				if r.requests[op] > 0 {
					t.Errorf("an unchanged run made requests: %v", r.requests)
				}
			}
		}

		w.write("a", "another", "new", "6")
		old := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
		w.write("a.b", "3") // of the same size, and older
		w.date("a.b", old)
		if err := os.Chmod(filepath.Join(w.dir, "c/b"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.expect(4, n-3)
		w.same(w.stored(), w.here())
		if keys := w.indexKeys(); len(keys) != 2 {
			t.Errorf("the index is %q", keys)
		}
		w.expect(0, n+1)

		// What is gone stays, without delete.
		w.remove("new")
		r = w.expect(0, n)
		if r.notes() != "" || len(w.stored()) != n+1 {
			t.Errorf("notes %q, %d objects", r.notes(), len(w.stored()))
		}
		// Something before it changes: the index is copied up to there.
		w.write("many/20", "changed")
		w.expect(1, n-1)
		w.expect(0, n)
	})
}

// Objects carry what rclone restores, and what the config asks for.
func TestAttributes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.StorageClass, w.config.KMSKey = "STANDARD_IA", "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"
	seen := map[string]string{}
	w.setFault(func(r *s3test.Request) s3test.Fault {
		if r.Op == "PutObject" && r.Key == "deep/my/docs/a" || r.Op == "CreateMultipartUpload" {
			for _, h := range []string{"X-Amz-Meta-Mtime", "X-Amz-Meta-Mode", "X-Amz-Storage-Class", "X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"} {
				seen[r.Op+" "+h] = r.Header.Get(h)
			}
		}
		return s3test.Fault{}
	})
	w.write("a", "1")
	w.date("a", time.Unix(1234567890, 123456789))
	w.expect(1, 0)
	w.write("big", strings.Repeat("x", 300<<10))
	w.date("big", time.Unix(-5, 0))
	w.expect(1, 1)
	for what, want := range map[string]string{
		"PutObject X-Amz-Meta-Mtime": "1234567890.123456789", "PutObject X-Amz-Meta-Mode": "0100644",
		"PutObject X-Amz-Storage-Class": "STANDARD_IA", "PutObject X-Amz-Server-Side-Encryption": "aws:kms",
		"PutObject X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": w.config.KMSKey,
		"CreateMultipartUpload X-Amz-Meta-Mtime":                "-5.000000000", "CreateMultipartUpload X-Amz-Meta-Mode": "0100644",
		"CreateMultipartUpload X-Amz-Storage-Class": "STANDARD_IA", "CreateMultipartUpload X-Amz-Server-Side-Encryption": "aws:kms",
	} {
		if seen[what] != want {
			t.Errorf("%s: %q, want %q", what, seen[what], want)
		}
	}
}

// Without its index, a run asks for each object's metadata; without that, it
// compares bytes; and where it can know nothing it writes again.
func TestIndexIsACache(t *testing.T) {
	t.Parallel()
	spoil := map[string]func(w *world, key string){
		"lost":    func(w *world, key string) { w.drop(key) },
		"damaged": func(w *world, key string) { w.srv.SetObject("bucket", "deep/"+key, []byte("no gzip")) },
		"foreign": func(w *world, key string) {
			w.srv.SetObject("bucket", "deep/"+key, gz(t, `{"path":"b","size":1,"mtime":1,"mode":2,"etag":"x"}`+"\n"+`{"path":"a"}`+"\n"))
		},
	}
	for name, f := range spoil {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.write("a", "1", "b", "2", "c", "3")
			w.expect(3, 0)
			for _, key := range w.indexKeys() {
				f(w, key)
			}
			r := w.expect(0, 3)
			if (r.notes() == "") != (name == "lost") {
				t.Errorf("notes: %q", r.notes())
			}
			if r.requests["HeadObject"] < 3 {
				t.Errorf("requests: %v", r.requests)
			}
			if r = w.expect(0, 3); r.requests["HeadObject"] > 0 || r.notes() != "" {
				t.Errorf("the index was not made anew: %v, %q", r.requests, r.notes())
			}
		})
	}
	t.Run("of another tool", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.write("same", "1", "other", "2")
		w.srv.SetObject("bucket", "deep/my/docs/same", []byte("1"))
		w.srv.SetObject("bucket", "deep/my/docs/other", []byte("3"))
		w.srv.SetObject("bucket", "deep/my/docs/-/", nil) // a folder of the console
		w.expect(1, 1)
		w.expect(0, 2)
	})
	t.Run("dir", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t).inDir()
		w.write("a", "1", "b", "2")
		w.expect(2, 0)
		for _, key := range w.indexKeys() {
			w.drop(key)
		}
		w.expect(2, 0)
		w.expect(0, 2)
	})
}

func (w *world) drop(key string) {
	w.t.Helper()
	o, err := w.st.Stat(w.t.Context(), key)
	if err == nil {
		err = w.st.Delete(w.t.Context(), key, o.ETag)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestChecksum(t *testing.T) {
	t.Parallel()
	everyStore(t, func(t *testing.T, w *world) {
		w.config.Compare = "checksum"
		w.write("a", "1", "b", "2", "big", strings.Repeat("x", 300<<10))
		w.expect(3, 0)
		w.expect(0, 3)
		w.date("a", time.Unix(1, 0))
		w.expect(0, 3)
		at := time.Unix(1234567890, 0)
		w.write("b", "3") // with size and time as they were
		w.date("b", at)
		w.expect(1, 2)
		w.write("b", "4")
		w.date("b", at)
		w.expect(1, 2)
		w.same(w.stored(), w.here())
	})
}

// What others do to the directory meanwhile.
func TestSourceChanges(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 300<<10)
	t.Run("all the time", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.write("a", "1", "log", large)
		w.expect(2, 0)
		before := w.stored()
		n := 0
		w.setFault(func(r *s3test.Request) s3test.Fault {
			if r.Op == "CreateMultipartUpload" {
				n++
				w.write("log", large+strings.Repeat("y", n))
			}
			return s3test.Fault{}
		})
		w.write("log", large+"z", "a", "2")
		r := w.run()
		if got := r.failed(); r.err != nil || got["log"] != "it changed while it was read" || len(got) != 1 || n != tries {
			t.Errorf("error %v, failed %v, %d tries", r.err, got, n)
		}
		if got := w.stored(); got["log"] != before["log"] || got["a"] != "2" {
			t.Error("the object was not kept")
		}
		if up := w.srv.Uploads(); len(up) > 0 {
			t.Errorf("uploads left: %v", up)
		}
		w.setFault(nil)
		w.expect(1, 1)
	})
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.write("log", large)
		once := false
		w.setFault(func(r *s3test.Request) s3test.Fault {
			if r.Op == "CreateMultipartUpload" && !once {
				once = true
				w.write("log", large[:280<<10])
			}
			return s3test.Fault{}
		})
		w.expect(1, 0)
		w.same(w.stored(), w.here())
	})
	t.Run("vanishes", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.config.Delete, w.config.Parallel = true, 1
		w.write("a", "1", "b", "2", "c", "3", "gone", "4")
		w.expect(4, 0)
		w.write("a", "5", "b", "6")
		w.remove("gone")
		w.setFault(func(r *s3test.Request) s3test.Fault {
			if r.Op == "PutObject" && strings.HasSuffix(r.Key, "/a") {
				w.remove("b")
			}
			return s3test.Fault{}
		})
		r := w.run()
		if r.err != nil || len(r.Items) > 0 || r.Expected != 2 || r.Counted[runner.Changed] != 1 {
			t.Errorf("%v, %+v", r.err, r.JobReport)
		}
		mustContain(t, r.notes(), "1 file removed by others")
		mustContain(t, r.notes(), "1 file gone, and deleted in the store")
		w.same(w.stored(), map[string]string{"a": "5", "b": "2", "c": "3"})
	})
	t.Run("becomes a link", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.config.Parallel = 1
		w.write("a", "1", "b", "2", "secret", "x")
		w.setFault(func(r *s3test.Request) s3test.Fault {
			if r.Op == "PutObject" && strings.HasSuffix(r.Key, "/a") {
				w.remove("b")
				if err := os.Symlink("secret", filepath.Join(w.dir, "b")); err != nil {
					t.Error(err)
				}
			}
			return s3test.Fault{}
		})
		if r := w.run(); r.failed()["b"] != "it is no file any more" {
			t.Errorf("%v %v", r.err, r.failed())
		}
	})
}

func TestWhatIsNoFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Delete = true
	w.write("a", "1", "link", "2", "trailing. ", "3", "..dots..", "4")
	w.expect(4, 0)
	w.remove("link")
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": "a", "out": outside, "d-link": ".", "nowhere": "nothing"} {
		if err := os.Symlink(to, filepath.Join(w.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(w.dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := w.expect(0, 3)
	mustContain(t, r.notes(), "4 symbolic links left out")
	mustContain(t, r.notes(), "1 pipe left out")
	// A file that has become a link keeps its object.
	w.same(w.stored(), map[string]string{"a": "1", "link": "2", "trailing. ": "3", "..dots..": "4"})
}

func TestNamesThatNoKeyCanHave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Delete = true
	w.write("a", "1", "gone", "x")
	w.expect(2, 0)
	w.remove("gone")
	part := strings.Repeat("n", 250)
	long := strings.Repeat(part+"/", 4) + part
	w.write("new\nline", "1", "bad\xff", "2", long, "3", ".mayfly/index", "4", "tab\t", "5", "d/.mayfly/fine", "6")
	r := w.run()
	failed := r.failed()
	for name, want := range map[string]string{
		"new\nline": "control character", "bad\xff": "not UTF-8", long: "longer than 1024 bytes", ".mayfly/": "files of its own", "tab\t": "control character",
	} {
		mustContain(t, failed[name], want)
	}
	if len(failed) != 5 || r.Expected != 7 || r.err != nil {
		t.Errorf("%v, %d expected, failed %q", r.err, r.Expected, failed)
	}
	// Nothing is deleted then.
	mustContain(t, r.notes(), "1 file gone and not deleted on the other side, since not all went well")
	w.same(w.stored(), map[string]string{"a": "1", "gone": "x", "d/.mayfly/fine": "6"})
}

// The store fails in every way, and what is said to be there is.
func TestStoreFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := 0
	for i := range 60 {
		w.write(fmt.Sprintf("f%02d", i), fmt.Sprint(i))
	}
	w.write("big", strings.Repeat("y", 400<<10))
	w.setFault(func(r *s3test.Request) s3test.Fault {
		w.mu.Lock()
		defer w.mu.Unlock()
		n++
		switch {
		case n%5 == 0:
			return s3test.Fault{ResetAfter: true}
		case n%7 == 0:
			return s3test.Fault{Status: 503, Code: "SlowDown"}
		case n%11 == 0:
			return s3test.Fault{ResetBefore: true}
		}
		return s3test.Fault{}
	})
	r := w.run()
	w.setFault(nil)
	if r.err != nil || r.Counted[runner.Changed]+len(r.Items) != 61 {
		t.Fatalf("%v: %+v", r.err, r.JobReport)
	}
	got, want := w.stored(), w.here()
	for name := range r.failed() {
		delete(got, name)
		delete(want, name)
	}
	w.same(got, want)
}

func TestNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 200 {
		w.write(fmt.Sprintf("f%03d", i), "x")
	}
	w.setFault(func(r *s3test.Request) s3test.Fault {
		if r.Op == "PutObject" {
			return s3test.Fault{Status: 403, Code: "AccessDenied"}
		}
		return s3test.Fault{}
	})
	r := w.run()
	if r.err == nil || !strings.Contains(r.err.Error(), "gave up, since nothing can be written") || len(r.Items) > 100 {
		t.Errorf("%v, %d items", r.err, len(r.Items))
	}
}

// Of many failed files the report names some.
func TestManyFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("fine", "1")
	for i := range 1100 {
		w.write(fmt.Sprintf("f%04d\n", i), "x")
	}
	r := w.run()
	if len(r.Items) != maxNamed || r.Counted[runner.Failed] != 100 || r.Expected != 1101 {
		t.Errorf("%d items, %v, %d expected", len(r.Items), r.Counted, r.Expected)
	}
	mustContain(t, r.notes(), "100 files failed besides those")
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 50 {
		w.write(fmt.Sprintf("f%02d", i), "x")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	n := 0
	w.setFault(func(r *s3test.Request) s3test.Fault {
		if r.Op == "PutObject" {
			if n++; n == 20 {
				cancel(errors.New("the end"))
			}
		}
		return s3test.Fault{}
	})
	w.config.Parallel = 1
	r := w.runIn(ctx)
	w.setFault(nil)
	if r.err == nil || r.Expected != -1 {
		t.Errorf("%v, %d expected", r.err, r.Expected)
	}
	r = w.run()
	if r.err != nil || r.Counted[runner.Changed] > 31 || r.Counted[runner.Changed]+r.Counted[runner.Unchanged] != 50 {
		t.Errorf("%v: %v", r.err, r.Counted)
	}
	w.same(w.stored(), w.here())
}

func TestPreview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Delete = true
	w.config.Exclude = []string{"*.tmp"}
	w.write("a", "1", "b", "2", "c", "3", "d", "4", "x.tmp", "5")
	w.expect(4, 0)
	w.write("a", "10", "new", "5", "bad\n", "6")
	w.remove("c")
	before := w.srv.Requests()
	var out bytes.Buffer
	if err := w.job().Preview(t.Context(), &out); !errors.Is(err, ErrSome) {
		t.Fatal(err)
	}
	after := w.srv.Requests()
	for _, op := range []string{"PutObject", "DeleteObject", "CreateMultipartUpload"} {
		if before[op] != after[op] {
			t.Errorf("a preview made a %s", op)
		}
	}
	const want = `~ "a"
! "bad\n": the store cannot keep this name: it holds a control character
- "c"
+ "new"
1 new, 1 replaced, 1 deleted, 2 unchanged, 1 that cannot be kept
`
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", &out, want)
	}
}

// Names that a listing of S3 cannot show, that are too long with the folder of
// the store, or lie in directories deeper than any key: each is named, and the
// rest is kept.
func TestNamesThatNoBucketCanHave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := strings.Repeat("d", 250)
	deep := strings.Join([]string{long, long, long, long}, "/")
	w.write("a\uFFFEb", "1", "c\uFFFF", "2", "zzz", "3", deep+"/fits", "4")
	for i := range giveUpFrom + 5 {
		w.write(fmt.Sprintf("%s/%010d", deep, i), "1")
	}
	w.write(deep+"/"+long+"/x", "1") // 1,255 bytes
	r := w.run()
	bad := r.failed()
	if r.err != nil || len(bad) != giveUpFrom+8 || r.Counted[runner.Changed] != 2 {
		t.Fatalf("%v, %d failed, %v", r.err, len(bad), r.Counted)
	}
	mustContain(t, bad["a\uFFFEb"], "no listing of S3 can show")
	mustContain(t, bad["c\uFFFF"], "no listing of S3 can show")
	mustContain(t, bad[deep+"/0000000001"], "longer than 1024 bytes with 5 for the folder of the store")
	mustContain(t, bad[deep+"/"+long+"/"], "its path is longer than 1024 bytes")
	w.same(w.stored(), map[string]string{"zzz": "3", deep + "/fits": "4"})
}

// A store in a directory cannot hold a file and a directory of one name: what to
// do is said.
func TestFileBecomesDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t).inDir()
	w.write("a", "1", "b/c", "2")
	w.expect(2, 0)
	w.remove("a")
	w.remove("b")
	w.write("a/x", "3", "b", "4")
	r := w.run()
	if r.err != nil || len(r.failed()) != 2 {
		t.Fatalf("%v, %v", r.err, r.failed())
	}
	for _, it := range r.Items {
		mustContain(t, it.Problem.Fix, "delete there what has the name")
	}
}
