//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/internal/s3test"
	"mayfly/runner"
)

// A week is a GitHub after a week's changes, and a store as the run before them
// left it: what every fault strikes. It is made once and not changed. All tests
// ask the same GitHub, for a chain is bound to its host.
type week struct {
	server  *githubtest.Server
	url     string
	objects []s3test.Entry // of the store
	states  map[string]string
}

var theWeek = sync.OnceValues(func() (*week, error) {
	dir, err := os.MkdirTemp("", "mayfly-week-") // it outlives every test
	if err != nil {
		return nil, err
	}
	k := &week{server: githubtest.New(githubtest.Options{Dir: dir, Login: runOwner, Token: runToken})}
	k.url, err = k.server.Listen()
	return k, err
})

// weekOf fills the week on first use.
func weekOf(t *testing.T) *week {
	t.Helper()
	k, err := theWeek()
	if err != nil {
		t.Fatal(err)
	}
	fillWeek.Do(func() { k.fill(t) })
	if k.objects == nil {
		t.Fatal("the week before the fault could not be made: see the first test that failed")
	}
	return k
}

var fillWeek sync.Once

func (k *week) bare(name string) string { return k.server.Git.Dir(runOwner + "/" + name) }

func (k *week) fill(t *testing.T) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, kind := range map[string]gittest.Kind{"small": gittest.Normal, "small.wiki": gittest.Wiki, "chain": gittest.Normal, "same": gittest.OddTags, "emptied": gittest.Normal} {
		must(gittest.Repo(k.bare(name), kind))
	}
	f := k.inWorld(t)
	for n := range 2 {
		if r := f.run(f.store()); r.code != 0 {
			t.Fatalf("run %d of the week before: %s", n+1, r)
		}
		commitTo(t, k.bare("chain"), fmt.Sprint("chain ", n))
		nextSecond()
	}
	commitTo(t, k.bare("small"), "small")
	commitTo(t, k.bare("small.wiki"), "page")
	for _, ref := range strings.Fields(gitIn(t, k.bare("emptied"), "for-each-ref", "--format=%(refname)")) {
		gitIn(t, k.bare("emptied"), "update-ref", "-d", ref)
	}
	must(gittest.Repo(k.bare("new"), gittest.Shared))
	must(gittest.Big(k.bare("large"), 6<<20, 5))
	k.states = map[string]string{}
	for _, name := range []string{"small", "small.wiki", "chain", "same", "emptied", "new", "large"} {
		k.states[name] = stateOf(t, k.bare(name))
	}
	k.objects = f.srv.Dump()
}

// commitTo puts a commit on the repository's branch.
func commitTo(t *testing.T, dir, message string) {
	t.Helper()
	id := gitIn(t, dir, "commit-tree", "-p", "HEAD", "-m", message, "HEAD^{tree}")
	gitIn(t, dir, "update-ref", gitIn(t, dir, "symbolic-ref", "HEAD"), id)
}

// nextSecond waits for it: a run is named after the second in which it began.
func nextSecond() {
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1010 * time.Millisecond)))
}

// A faultWorld is a world of its own with the week in it.
type faultWorld struct {
	*world
	week  *week
	srv   *s3test.Server
	ahead atomic.Int64 // of the store's clock
	fault atomic.Pointer[func(*s3test.Request) s3test.Fault]
}

// inWorld opens a world in which the week's servers answer.
func (k *week) inWorld(t *testing.T) *faultWorld {
	t.Helper()
	f := &faultWorld{world: newWorld(t), week: k, srv: s3test.New(runBucket)}
	t.Cleanup(f.srv.Close)
	f.srv.Now = func() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }
	f.srv.Fault = func(r *s3test.Request) s3test.Fault {
		if hook := f.fault.Load(); hook != nil {
			return (*hook)(r)
		}
		return s3test.Fault{}
	}
	f.s3 = f.srv.URL()
	own := f.github
	t.Cleanup(func() { f.github = own }) // which the world closes
	f.github, f.url = k.server, k.url
	for _, o := range k.objects {
		f.srv.SetObject(o.Bucket, o.Key, o.Body)
	}
	return f
}

// store is the config of the week's deployment.
func (f *faultWorld) store(job ...string) string {
	return f.config(s3Store, append(job, "full: {share: 100}")...)
}

// strike makes something go wrong with the store's requests; nil: nothing.
func (f *faultWorld) strike(hook func(*s3test.Request) s3test.Fault) {
	if hook == nil {
		f.fault.Store(nil)
		return
	}
	f.fault.Store(&hook)
}

// keys are the store's segments.
func (f *faultWorld) keys() map[string][]byte {
	found := map[string][]byte{}
	for _, o := range f.srv.Dump() {
		if strings.HasSuffix(o.Key, ".zip") {
			found[o.Key] = o.Body
		}
	}
	return found
}

// unharmed checks that what was backed up before is there, byte for byte, and
// that all there is is whole.
func (f *faultWorld) unharmed(what string) {
	f.t.Helper()
	now := f.keys()
	for _, o := range f.week.objects {
		if strings.HasSuffix(o.Key, ".zip") && !bytes.Equal(now[o.Key], o.Body) {
			f.t.Errorf("%s: %s is not what it was", what, o.Key)
		}
	}
	if r := f.run(f.store(), "verify"); r.code != 0 {
		f.t.Errorf("%s: verify: %s", what, r)
	}
}

// healed runs once more, with nothing in the way and any lock gone stale, and
// checks that everything is well then. It does not fetch again what was
// finished.
func (f *faultWorld) healed(what string) {
	f.t.Helper()
	f.strike(nil)
	f.ahead.Add(int64(2 * time.Minute))
	nextSecond()
	finished := map[string]bool{}
	for key := range f.keys() {
		if _, rest, ok := strings.Cut(key, "/"+runOwner+"/"); ok && f.isNew(key) {
			name, _, _ := strings.Cut(rest, "/")
			finished[runOwner+"/"+name] = true
		}
	}
	if r := f.run(f.store()); r.code != 0 {
		f.t.Errorf("%s: the next run: %s", what, r)
		return
	}
	for _, it := range f.lastReport().Jobs[0].Items {
		if finished[it.Name] && (it.Read > 0 || it.Wrote > 0) {
			f.t.Errorf("%s: %s was finished, and is %s again, %d bytes read", what, it.Name, it.Outcome, it.Read)
		}
	}
	if left := f.srv.Uploads(); len(left) > 0 {
		f.t.Errorf("%s: unfinished uploads are left: %v", what, left)
	}
	if r := f.run(f.store(), "verify", "--deep"); r.code != 0 {
		f.t.Errorf("%s: verify --deep: %s", what, r)
	}
	f.restored(what)
}

// lastReport is the newest run's.
func (f *faultWorld) lastReport() *runner.Report {
	f.t.Helper()
	var last *runner.Report
	for _, o := range f.srv.Dump() { // in order
		if strings.HasSuffix(o.Key, "/report.json") {
			last = new(runner.Report)
			if err := json.Unmarshal(o.Body, last); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	if last == nil || len(last.Jobs) == 0 {
		f.t.Fatal("there is no report of a run with jobs")
	}
	return last
}

// isNew reports whether a segment was not there the week before.
func (f *faultWorld) isNew(key string) bool {
	for _, o := range f.week.objects {
		if o.Key == key {
			return false
		}
	}
	return true
}

// restored restores everything and compares it with the sources.
func (f *faultWorld) restored(what string) {
	f.t.Helper()
	dir := filepath.Join(f.t.TempDir(), "all")
	if r := f.run(f.store(), "restore", "github/"+runOwner, dir, "--all"); r.code != 0 {
		f.t.Errorf("%s: restore: %s", what, r)
		return
	}
	for name, want := range f.week.states {
		if got := stateOf(f.t, filepath.Join(dir, name+".git")); got != want {
			f.t.Errorf("%s: %s came back as\n%s\nwant\n%s", what, name, got, want)
		}
	}
}
