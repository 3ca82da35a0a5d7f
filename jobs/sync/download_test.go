//go:build unix

package dirsync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/s3test"
	"mayfly/runner"
)

// back turns the world around: what was kept is brought to another directory.
func (w *world) back() *world {
	w.dir = filepath.Join(w.t.TempDir(), "new", "place")
	w.config = Config{To: w.dir}
	return w
}

func TestDownload(t *testing.T) {
	t.Parallel()
	everyStore(t, func(t *testing.T, w *world) {
		w.write("a", "1", "d/b", strings.Repeat("x", 300<<10), "d/e/c", "")
		at := time.Unix(1234567890, 123456789)
		w.date("a", at)
		if err := os.Chmod(filepath.Join(w.dir, "a"), 0o4750); err != nil {
			t.Fatal(err)
		}
		w.expect(3, 0)
		want := w.here()
		w.back()
		w.expect(3, 0)
		w.same(w.here(), want)
		fi, err := os.Stat(filepath.Join(w.dir, "a"))
		if err != nil || !fi.ModTime().Equal(at) || fi.Mode() != 0o750 {
			t.Errorf("%v, %v, %v", err, fi.ModTime(), fi.Mode())
		}
		r := w.expect(0, 3)
		if r.requests["PutObject"]+r.requests["HeadObject"] > 0 {
			t.Errorf("requests: %v", r.requests)
		}

		// Changed here, of the same size and older; lost; and with another mode.
		w.write("d/b", strings.Repeat("y", 300<<10))
		w.date("d/b", time.Unix(1, 0))
		w.remove("d/e")
		if err := os.Chmod(filepath.Join(w.dir, "a"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.write("mine", "stays")
		w.expect(3, 0)
		want["mine"] = "stays"
		w.same(w.here(), want)
		if fi, err := os.Stat(filepath.Join(w.dir, "a")); err != nil || fi.Mode() != 0o750 {
			t.Error(err, fi.Mode())
		}
		w.expect(0, 3)

		w.config.Delete = true
		r = w.expect(0, 3)
		mustContain(t, r.notes(), "1 file gone, and deleted in "+w.dir)
		delete(want, "mine")
		w.same(w.here(), want)
	})
}

// Without an index, times and modes come with the objects; of other tools'
// objects, the time is the store's.
func TestDownloadWithoutIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a", "1")
	at := time.Unix(1234567890, 5)
	w.date("a", at)
	w.expect(1, 0)
	for _, key := range w.indexKeys() {
		w.drop(key)
	}
	w.srv.SetObject("bucket", "deep/my/docs/b", []byte("2"))
	w.back()
	w.expect(2, 0)
	fi, err := os.Stat(filepath.Join(w.dir, "a"))
	if err != nil || !fi.ModTime().Equal(at) {
		t.Errorf("%v, %v", err, fi.ModTime())
	}
	w.expect(0, 2)
}

// Nothing is written through a link, and nothing but a file is replaced.
func TestDownloadThroughLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Delete = true
	w.write("a", "1", "d/b", "2", "e/c", "3", "f", "4", "g", "5")
	w.expect(5, 0)
	for _, key := range []string{"up/../../x", "abs//x"} {
		w.srv.SetObject("bucket", "deep/my/docs/"+key, []byte("evil"))
	}
	w.back()
	w.config.Delete = true
	outside := t.TempDir()
	w.write("here/mine", "6", "f/is/a/dir", "7")
	for link, to := range map[string]string{"a": "here/mine", "d": outside, "e": "here", "g": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(w.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	r := w.run()
	failed := r.failed()
	for _, name := range []string{"a", "d/b", "e/c", "f", "g", "up/../../x", "abs//x"} {
		if failed[name] == "" {
			t.Errorf("%s did not fail", name)
		}
	}
	if r.err != nil || len(failed) != 7 || r.Expected != 7 {
		t.Errorf("%v, %d expected, %q", r.err, r.Expected, failed)
	}
	w.same(w.here(), map[string]string{"here/mine": "6", "f/is/a/dir": "7"})
	if there, err := os.ReadDir(outside); err != nil || len(there) > 0 {
		t.Errorf("%v: %v", err, there)
	}
}

func TestDownloadFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 30 {
		w.write(fmt.Sprintf("f%02d", i), strings.Repeat(fmt.Sprint(i), 1000))
	}
	w.expect(30, 0)
	want := w.here()
	w.back()
	n := 0
	w.setFault(func(r *s3test.Request) s3test.Fault {
		w.mu.Lock()
		defer w.mu.Unlock()
		n++
		switch {
		case n%5 == 0:
			return s3test.Fault{CutBody: 700}
		case n%7 == 0:
			return s3test.Fault{Flip: true}
		case n%11 == 0:
			return s3test.Fault{Status: 503, Code: "SlowDown"}
		}
		return s3test.Fault{}
	})
	r := w.run()
	w.setFault(nil)
	for name, text := range w.here() {
		if want[name] != text {
			t.Errorf("%s is not what was kept", name)
		}
	}
	if r.err != nil || len(r.failed()) > 3 {
		t.Errorf("%v, %v", r.err, r.failed())
	}
	w.expect(len(r.failed()), 30-len(r.failed()))
	w.same(w.here(), want)
}

func TestDownloadInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 30 {
		w.write(fmt.Sprintf("f%02d", i), "x")
	}
	w.expect(30, 0)
	want := w.here()
	w.back()
	w.config.Parallel, w.config.Delete = 1, true
	ctx, cancel := context.WithCancelCause(t.Context())
	n := 0
	w.setFault(func(r *s3test.Request) s3test.Fault {
		if r.Op == "GetObject" {
			if n++; n == 12 {
				cancel(errors.New("the end"))
			}
		}
		return s3test.Fault{}
	})
	if r := w.runIn(ctx); r.err == nil {
		t.Error("no error")
	}
	w.setFault(nil)
	left := ".mayfly-" + strings.Repeat("A", 26) + ".tmp"
	w.write(left, "of a run that was killed")
	w.date(left, time.Now().Add(-2*time.Hour))
	if r := w.run(); r.err != nil || r.notes() != "" {
		t.Error(r.err, r.notes())
	}
	w.same(w.here(), want)
}

// What a run that was cut off has not written yet is not deleted elsewhere.
func TestCutOffDeletesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 50 {
		w.write(fmt.Sprintf("f%02d", i), "x")
	}
	all := w.here()
	from := w.config
	from.Parallel = 1
	w.config = from
	ctx, cancel := context.WithCancelCause(t.Context())
	n := 0
	w.setFault(func(r *s3test.Request) s3test.Fault {
		if r.Op == "PutObject" {
			if n++; n == 48 {
				cancel(errors.New("the end"))
			}
		}
		return s3test.Fault{}
	})
	if r := w.runIn(ctx); r.err == nil {
		t.Error("no error")
	}
	w.setFault(nil)
	w.config = Config{To: w.dir, Delete: true}
	r := w.run()
	if r.err != nil || len(r.Items) > 0 {
		t.Error(r.err, r.Items)
	}
	mustContain(t, r.notes(), "not deleted here, since the last run that wrote to the store was cut off")
	w.same(w.here(), all)

	// It goes on without a question.
	w.config = from
	if r = w.run(); r.err != nil || r.requests["HeadObject"] > 4 {
		t.Error(r.err, r.requests)
	}
	w.config = Config{To: w.dir, Delete: true}
	w.expect(0, 50)
}

// What the index knows and the store has lost is a failure, and stays here.
func TestLostInTheStore(t *testing.T) {
	t.Parallel()
	everyStore(t, func(t *testing.T, w *world) {
		w.write("a", "1", "b", "2", "d/c", "3", "e", "4", "left/out", "5")
		w.expect(5, 0)
		for _, file := range []string{"b", "d/c", "left/out"} {
			w.drop("my/docs/" + file)
		}
		w.remove("d/c")
		w.write("mine", "6")
		want := w.here()
		for _, del := range []bool{true, false} {
			w.config = Config{To: w.dir, Delete: del, Exclude: []string{"left/"}}
			if del {
				w.config.MaxDelete = MaxDelete{n: 10, given: true}
			}
			r := w.run()
			if r.err != nil || len(r.failed()) != 2 || !strings.Contains(r.failed()["b"], "the store has lost it") || r.failed()["d/c"] == "" || r.Expected != 4 {
				t.Errorf("delete %v: %v, %v of %d", del, r.err, r.failed(), r.Expected)
			}
			w.same(w.here(), want)
		}
	})
}

// What a killed run left is never kept as a file.
func TestLeftoverIsNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("a", "1", "d/.mayfly-"+strings.Repeat("B", 26)+".tmp", "half")
	w.expect(1, 0)
	w.same(w.stored(), map[string]string{"a": "1"})
}

func TestNothingToBringBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t).back()
	w.config.Delete = true
	w.write("a", "1")
	r := w.run()
	if r.err == nil || !strings.Contains(r.err.Error(), "the store has no file under my/docs/") {
		t.Error(r.err)
	}
	if len(w.here()) != 1 {
		t.Error("something was deleted")
	}
}

func TestRestoreHint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.job().Restore(runner.JobReport{Verdict: runner.VerdictComplete})
	const want = "mayfly restore my/docs --store s3://bucket/deep\nwithout mayfly: aws s3 sync s3://bucket/deep/my/docs/ docs --exclude '.mayfly/*'"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	j := w.job()
	j.env.Endpoint, j.env.StoreRegion = "http://127.0.0.1:9000", "eu-west-1"
	const its = "AWS_REGION=eu-west-1 AWS_ENDPOINT_URL_S3=http://127.0.0.1:9000 mayfly restore my/docs --store s3://bucket/deep\nwithout mayfly: AWS_REGION=eu-west-1 AWS_ENDPOINT_URL_S3=http://127.0.0.1:9000 aws s3 sync "
	if got := j.Restore(runner.JobReport{Verdict: runner.VerdictComplete}); !strings.HasPrefix(got, its) {
		t.Errorf("%s\nwant\n%s", got, its)
	}
}

// However many files lie where they cannot be read, or where something stands in
// their way: the rest is fetched.
func TestManyThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range giveUpFrom + maxParallel {
		w.write(fmt.Sprintf("cold/%02d", i), "1", fmt.Sprintf("linked/%02d", i), "2")
	}
	w.write("z", "3")
	w.run()
	w.setFault(func(r *s3test.Request) s3test.Fault {
		if r.Op == "GetObject" && strings.Contains(r.Key, "/cold/") {
			return s3test.Fault{Status: 403, Code: "InvalidObjectState"}
		}
		return s3test.Fault{}
	})
	w.back()
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(w.dir, "linked")); err != nil {
		t.Fatal(err)
	}
	r := w.run()
	if r.err != nil || len(r.failed()) != 2*(giveUpFrom+maxParallel) || r.Counted[runner.Changed] != 1 {
		t.Errorf("%v, %d failed, %v", r.err, len(r.failed()), r.Counted)
	}
	w.same(w.here(), map[string]string{"z": "3"})
}
