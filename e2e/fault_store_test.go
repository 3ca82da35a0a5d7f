//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/internal/gittest"
	"mayfly/internal/s3test"
)

// once lets a fault strike the first matching request, or so many of them.
func once(times int32, match func(*s3test.Request) bool, fault s3test.Fault) func(*s3test.Request) s3test.Fault {
	var left atomic.Int32
	left.Store(times)
	return func(r *s3test.Request) s3test.Fault {
		if match(r) && left.Add(-1) >= 0 {
			return fault
		}
		return s3test.Fault{}
	}
}

func op(names ...string) func(*s3test.Request) bool {
	return func(r *s3test.Request) bool {
		for _, n := range names {
			name, key, _ := strings.Cut(n, " ")
			if r.Op == name && strings.Contains(r.Key, key) {
				return true
			}
		}
		return false
	}
}

// What a store does to a run: either the run bears it, or it says honestly what
// is not backed up; nothing is harmed, and the next run heals.
func TestFaultStore(t *testing.T) {
	t.Parallel()
	k := weekOf(t)
	const ever = 1 << 30
	slow := s3test.Fault{Status: 503, Code: "SlowDown", Message: "Please reduce your request rate."}
	denied := s3test.Fault{Status: 403, Code: "AccessDenied", Message: "Access Denied"}
	for _, c := range []struct {
		name  string
		fault func(*s3test.Request) s3test.Fault
		codes string // exit codes that are honest
		says  string
	}{
		{"500 on every operation once", once(20, func(r *s3test.Request) bool { return r.N == 2 }, s3test.Fault{Status: 500}), "0", ""},
		{"SlowDown for a while", once(12, op("PutObject", "UploadPart", "CompleteMultipartUpload"), slow), "0 3 1 2", ""},
		{"500 on parts", once(ever, op("UploadPart"), s3test.Fault{Status: 500}), "3", "octo/large"},
		{"resets before", once(3, op("PutObject .zip", "UploadPart"), s3test.Fault{ResetBefore: true}), "0", ""},
		{"replies to segments are lost", once(3, op("PutObject .zip", "CompleteMultipartUpload"), s3test.Fault{ResetAfter: true}), "0", ""},
		{"the reply to the index is lost", once(1, op("PutObject index.json"), s3test.Fault{ResetAfter: true}), "0", ""},
		{"the index cannot be written", once(ever, op("PutObject index.json"), denied), "0", ""},
		{"an error inside a 200", once(1, op("CompleteMultipartUpload"), s3test.Fault{ErrorIn200: true, Code: "InternalError"}), "0 3", ""},
		{"the index is cut", once(ever, op("GetObject index.json"), s3test.Fault{CutBody: 100}), "0", ""},
		{"the index is flipped", once(ever, op("GetObject index.json"), s3test.Fault{Flip: true}), "0", ""},
		{"segments are cut once", once(2, op("GetObject .zip"), s3test.Fault{CutBody: 100}), "0", ""},
		{"segments are flipped", once(ever, op("GetObject .zip"), s3test.Fault{Flip: true}), "0", ""},
		{"segments cannot be read", once(ever, op("GetObject .zip"), denied), "3", "access denied"},
		{"the listing is refused", once(ever, func(r *s3test.Request) bool {
			return r.Op == "ListObjectsV2" && strings.Contains(r.Query.Get("prefix"), "github")
		}, denied), "1", "list the segments"},
		{"the listing breaks off", once(ever, func(r *s3test.Request) bool {
			return r.Op == "ListObjectsV2" && r.Query.Get("continuation-token") != ""
		}, s3test.Fault{Status: 500}), "1", "list the segments"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := k.inWorld(t)
			f.srv.PageSize = 3
			before := len(f.keys())
			nextSecond()
			f.strike(c.fault)
			r := f.run(f.store())
			f.strike(nil)
			if !strings.Contains(c.codes, string(rune('0'+r.code))) || !strings.Contains(r.out+r.err, c.says) {
				t.Errorf("want exit code %s and %q: %s", c.codes, c.says, r)
			}
			if strings.HasPrefix(c.name, "the listing") && len(f.keys()) != before {
				t.Errorf("segments were written without knowing what there is")
			}
			if r.code == 0 {
				f.restored(c.name)
			}
			f.unharmed(c.name)
			f.healed(c.name)
		})
	}
}

// What a git server does to an increment.
func TestFaultGitServer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault gittest.Fault
		code  int
		says  string
	}{
		{"cut", gittest.Fault{Step: gittest.Pack, Cut: &gittest.Cut{After: 60}}, 1, "ended early"},
		{"cut between packets", gittest.Fault{Step: gittest.Pack, Cut: &gittest.Cut{After: 60, Packet: true, Clean: true}}, 1, "ended early"},
		{"cut once", gittest.Fault{Step: gittest.Pack, Times: 1, Cut: &gittest.Cut{After: 60}}, 0, ""},
		{"corrupt", gittest.Fault{Step: gittest.Pack, Corrupt: true}, 1, "damaged"},
		{"corrupt once", gittest.Fault{Step: gittest.Pack, Times: 1, Corrupt: true}, 0, ""},
		{"503", gittest.Fault{Status: 503, Body: "busy"}, 1, "503"},
		{"stalls once", gittest.Fault{Step: gittest.Advertise, Times: 1, Stall: &gittest.Stall{After: 50, For: 2 * time.Second}}, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.repo("r", gittest.Normal)
			config := w.config(w.fileStore(), "full: {share: 100}")
			if r := w.run(config); r.code != 0 {
				t.Fatalf("%s", r)
			}
			before := w.segments(w.storeDir())["r"]
			good, err := os.ReadFile(before)
			if err != nil {
				t.Fatal(err)
			}
			commitTo(t, w.bare("r"), "new")
			w.github.Git.Fail(runOwner+"/r", c.fault)
			nextSecond()
			r := w.run(config)
			if r.code != c.code && !(c.name == "stalls once" && r.code == 0) || !strings.Contains(r.out, c.says) {
				t.Errorf("want exit code %d and %q: %s", c.code, c.says, r)
			}
			if now, err := os.ReadFile(before); err != nil || !bytes.Equal(now, good) {
				t.Errorf("the archive from before is not what it was: %v", err)
			}
			w.github.Git.Heal(runOwner + "/r")
			nextSecond()
			if r := w.run(config); r.code != 0 {
				t.Errorf("the next run: %s", r)
			}
			if r := w.run(config, "verify", "--deep"); r.code != 0 {
				t.Errorf("%s", r)
			}
			back := filepath.Join(t.TempDir(), "r.git")
			if r := w.run(config, "restore", "github/"+runOwner+"/r", back); r.code != 0 || stateOf(t, back) != stateOf(t, w.bare("r")) {
				t.Errorf("%s", r)
			}
		})
	}
}

// A full disk stops what does not fit, and nothing else.
func TestFaultFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := os.Mkdir(w.storeDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	mount := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
			t.Fatalf("mount: %v: %s: this suite runs as root", err, out)
		}
	}
	mount("-t", "tmpfs", "-o", "size=4m", "mayfly-e2e", w.storeDir())
	t.Cleanup(func() { exec.CommandContext(context.Background(), "umount", "-l", w.storeDir()).Run() })
	w.repo("small", gittest.Normal)
	config := w.config(w.fileStore())
	if r := w.run(config); r.code != 0 {
		t.Fatalf("%s", r)
	}
	commitTo(t, w.bare("small"), "new")
	if err := gittest.Big(w.bare("large"), 8<<20, 1); err != nil {
		t.Fatal(err)
	}
	nextSecond()
	r := w.run(config, "run")
	if r.code != 3 {
		t.Errorf("want exit code 3: %s", r)
	}
	has(t, "the report", r.out, "octo/large", "no space left on device", "free some space or move the store")
	if left := temporary(t, w.storeDir()); len(left) > 0 {
		t.Errorf("half written files are left: %v", left)
	}
	if r := w.run(config, "verify", "--deep"); r.code != 0 {
		t.Errorf("%s", r)
	}
	mount("-o", "remount,size=40m", w.storeDir())
	nextSecond()
	if r := w.run(config); r.code != 0 {
		t.Errorf("with room: %s", r)
	}
	if r := w.run(config, "verify", "--deep"); r.code != 0 {
		t.Errorf("%s", r)
	}
}

// Of two runs at once one works; when its lock is taken away under it, neither
// loses nor damages anything.
func TestFaultTwoRuns(t *testing.T) {
	t.Parallel()
	where(t, "", func(t *testing.T, w *world, address string) {
		p := midway(w, address)
		second := w.run(w.config(address))
		if second.code != 2 {
			t.Errorf("the second of two runs: %s", second)
		}
		st := w.open(address)
		o, err := st.Stat(t.Context(), "runs/lock.json")
		if err == nil {
			err = st.Delete(t.Context(), "runs/lock.json", o.ETag)
		}
		if err != nil {
			t.Fatal(err)
		}
		w.github.Git.Heal(runOwner + "/slow")
		nextSecond()
		third := w.run(w.config(address))
		if third.code != 0 {
			t.Errorf("a run beside one that lost its lock: %s", third)
		}
		p.cmd.Process.Signal(os.Interrupt)
		p.wait()
		nextSecond()
		old := time.Now().Add(-3 * time.Minute)
		lock := filepath.Join(w.copyDir(address), "runs", "lock.json")
		if err := os.Chtimes(lock, old, old); err != nil {
			t.Fatal(err)
		}
		if r := w.run(w.config(address)); r.code != 0 {
			t.Errorf("the next run: %s", r)
		}
		if r := w.run(w.config(address), "verify", "--deep"); r.code != 0 {
			t.Errorf("%s", r)
		}
	})
}
