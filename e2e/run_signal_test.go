//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/gittest"
	"mayfly/internal/store"
)

// midway starts a run and returns when octo/done is whole in the store and
// octo/slow has arrived in part: its git server has gone silent.
func midway(w *world, address string) *process {
	w.t.Helper()
	w.repo("done", gittest.Normal)
	if err := gittest.Big(w.bare("slow"), 30<<20, 3); err != nil {
		w.t.Fatal(err)
	}
	w.github.Git.Fail(runOwner+"/slow", gittest.Fault{Step: gittest.Pack, Stall: &gittest.Stall{After: 18 << 20}})
	p := w.start(w.config(address, "parallel: 2"))
	dir := w.copyDir(address)
	w.eventually(20*time.Second, "one repository is done and one is half uploaded", func() bool {
		return w.segments(dir)["done"] != "" && (w.s3 != "" && len(w.uploads()) == 1 || w.s3 == "" && len(temporary(w.t, dir)) == 1)
	})
	return p
}

// copyDir is where the files of a store with this address are.
func (w *world) copyDir(address string) string {
	if bucket, ok := strings.CutPrefix(address, "s3://"); ok {
		return filepath.Join(w.s3dir, bucket)
	}
	return w.storeDir()
}

// temporary lists the unfinished writes below a directory that is a store.
func temporary(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	for _, f := range filesBelow(t, dir) {
		if strings.HasPrefix(filepath.Base(f), ".mayfly-tmp-") {
			found = append(found, f)
		}
	}
	return found
}

// where are the stores that the tests of signals are about.
func where(t *testing.T, name string, f func(t *testing.T, w *world, address string)) {
	t.Run(name+"versitygw", func(t *testing.T) { f(t, newWorld(t).versity(), s3Store) })
	t.Run(name+"directory", func(t *testing.T) { w := newWorld(t); f(t, w, w.fileStore()) })
}

// Interrupted, a run stops soon, keeps what is finished, leaves nothing half
// made, says why, and lets the next one go on.
func TestSignalInterrupts(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		where(t, sig.String()+" ", func(t *testing.T, w *world, address string) {
			p := midway(w, address)
			sent := time.Now()
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			r := p.wait()
			if took := time.Since(sent); took > 20*time.Second {
				t.Errorf("it took %s to end", took)
			}
			if r.code != 4 {
				t.Errorf("%s: want exit code 4: %s", sig, r)
			}
			has(t, "the report", r.out, "e2e interrupted.", "Cut short: ", sig.String(), "1 changed", "1 interrupted")
			subject, body := w.mail()
			has(t, "the mail", subject+body, "mayfly e2e: interrupted", r.out)
			dir := w.copyDir(address)
			if got := w.reportText(dir); got != r.out {
				t.Errorf("the stored report is\n%s", got)
			}
			whole(t, w, address, "done")
			next(t, w, address)
		})
	}
}

// whole checks that these are the only segments, each of them whole, and that
// nothing unfinished is left beside them.
func whole(t *testing.T, w *world, address string, names ...string) {
	t.Helper()
	dir := w.copyDir(address)
	got := w.segments(dir)
	for _, n := range names {
		if got[n] == "" {
			t.Errorf("%s has no segment", n)
			continue
		}
		restored(t, w, n, got[n], false)
	}
	if len(got) != len(names) {
		t.Errorf("segments %v, want %v", got, names)
	}
	if left := temporary(t, dir); len(left) > 0 {
		t.Errorf("half written files are left: %v", left)
	}
	if w.s3 != "" {
		if left := w.uploads(); len(left) > 0 {
			t.Errorf("unfinished uploads are left: %v", left)
		}
	}
}

// next runs again, now that the server is well.
func next(t *testing.T, w *world, address string) {
	t.Helper()
	w.github.Git.Heal(runOwner + "/slow")
	time.Sleep(time.Second) // a run is named after the second in which it began
	r := w.run(w.config(address))
	if r.code != 0 {
		t.Fatalf("the next run: %s", r)
	}
	// What was finished before the signal is not fetched again.
	has(t, "the next report", r.out, "e2e complete.", "2 repositories: 1 changed, 1 unchanged")
}

// A second signal ends it at once.
func TestSecondSignalEnds(t *testing.T) {
	w := newWorld(t)
	// It hangs in its last step: the topic does not answer.
	w.aws.SetFault("sns:Publish", awstest.Fault{Hang: true})
	w.repo("a", gittest.Normal)
	p := w.start(w.config(w.fileStore()))
	w.eventually(20*time.Second, "it publishes", func() bool { return w.aws.Calls()["sns:Publish"] > 0 })
	for range 2 {
		if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
	}
	r := p.wait()
	if r.wall > 5*time.Second || r.code != -1 {
		t.Errorf("want an end by the signal: %s", r)
	}
}

// Killed, a run leaves nothing half made that could be taken for a backup. The
// next one says who seems to be at work, and works once the lease has run out.
func TestKillLeavesNothingHalfMade(t *testing.T) {
	t.Parallel()
	where(t, "", func(t *testing.T, w *world, address string) {
		p := midway(w, address)
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		p.wait()
		dir := w.copyDir(address)
		if got := w.segments(dir); len(got) != 1 || got["done"] == "" {
			t.Errorf("segments %v", got)
		} else {
			restored(t, w, "done", got["done"], false)
		}
		before := len(filesBelow(t, dir))

		w.github.Git.Heal(runOwner + "/slow")
		r := w.run(w.config(address))
		host, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		if r.code != 2 || r.out != "" || r.wall > 10*time.Second {
			t.Errorf("want exit code 2 at once: %s", r)
		}
		has(t, "the error", r.err, "take the lock", "on "+host+" has been at work in this store since", "runs/lock.json",
			"wait until it ends; if it is dead, its lock goes stale within 1 min")
		if after := len(filesBelow(t, dir)); after != before || len(w.aws.Messages()) > 0 {
			t.Errorf("%d files before, %d after, messages %v", before, after, w.aws.Messages())
		}

		// The lease runs out: both stores tell its age by the file's time.
		old := time.Now().Add(-89 * time.Second)
		if err := os.Chtimes(filepath.Join(dir, "runs", "lock.json"), old, old); err != nil {
			t.Fatal(err)
		}
		var last result
		w.eventually(20*time.Second, "the lock is free", func() bool {
			last = w.run(w.config(address))
			return last.code != 2
		})
		if last.code != 0 {
			t.Fatalf("the next run: %s", last)
		}
		has(t, "the next report", last.out, "e2e complete.", "2 repositories: 1 changed, 1 unchanged")

		// The next run went on where this one was cut, and tidied up after it.
		n, err := w.open(address).AbortUploads(context.Background(), "", time.Now().Add(time.Hour))
		if err != nil || n != 0 {
			t.Errorf("%d unfinished writes were left, error %v", n, err)
		}
	})
}

// open is the store as a program sees it.
func (w *world) open(address string) store.Store {
	w.t.Helper()
	if rest, ok := strings.CutPrefix(address, "s3://"); ok {
		bucket, prefix, _ := strings.Cut(rest, "/")
		st, err := store.NewS3(store.S3Options{Client: w.client(), Bucket: bucket, Prefix: prefix, Pool: store.NewPool(1, 5<<20)})
		if err != nil {
			w.t.Fatal(err)
		}
		return st
	}
	st, err := store.NewDir(w.storeDir())
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}
