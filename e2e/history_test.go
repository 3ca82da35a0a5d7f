//go:build e2e

package e2e

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/archive"
	"mayfly/internal/gittest"
)

// historySteps is how many times a repository changes before it is restored at
// every one of these moments.
const historySteps = 40

// A moment is what a repository was when a run saw it.
type moment struct {
	run, what  string
	repo, wiki string // gittest.State
	key        string // of the newest segment then
}

// A repository that changes at random, its wiki beside it, comes back as it was
// at each of forty runs: by mayfly with git and without, and by what RESTORE.txt
// says, with the system's git and with a current one.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		seed  uint64
		prune bool
		s3    bool
		job   []string
	}{
		{"one chain", 1, false, false, []string{"pull_requests: true", "full: {after: 1000, share: 1000}"}},
		{"pruned by the server, in S3", 2, true, true, []string{"pull_requests: true", "full: {after: 1000, share: 1000}"}},
		{"as usual", 3, true, false, []string{"pull_requests: true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			address := w.fileStore()
			if c.s3 {
				w.versity()
				address = s3Store
			}
			config := w.config(address, c.job...)
			moments := live(t, w, config, c.seed, c.prune)
			dir := w.storeDir()
			if c.s3 {
				dir = w.fetch()
			}
			segments := segmentsByRun(t, dir)
			for i, m := range moments {
				moments[i].key = segments[m.run]
				if moments[i].key == "" && i > 0 {
					moments[i].key = moments[i-1].key // nothing had changed
					if m.repo != moments[i-1].repo || m.wiki != moments[i-1].wiki {
						t.Errorf("run %s wrote nothing after %s", m.run, m.what)
					}
				}
			}
			if len(c.job) > 1 && len(chainsIn(t, dir)) != 1 {
				t.Errorf("chains %v, want one", chainsIn(t, dir))
			}
			for i, m := range moments {
				restoredAt(t, w, config, m, i%3 == 0)
				if i == 0 || m.key != moments[i-1].key {
					byHandAt(t, dir, m, i%2 == 0)
				}
			}
			if r := w.run(config, "verify", "--deep"); r.code != 0 {
				t.Errorf("verify: %s", r)
			}
		})
	}
}

// live changes the repository and backs it up, step by step.
func live(t *testing.T, w *world, config string, seed uint64, prune bool) []moment {
	t.Helper()
	e, err := gittest.NewEvolution(w.bare("r"), seed)
	if err != nil {
		t.Fatal(err)
	}
	wiki, err := gittest.NewEvolution(w.bare("r.wiki"), seed+1000)
	if err != nil {
		t.Fatal(err)
	}
	e.Prune, wiki.Prune = prune, prune
	var moments []moment
	for i := range historySteps + 1 {
		m := moment{what: "the beginning"}
		if i > 0 {
			m.what = strings.Join(step(t, e), "; ")
			if i%3 == 0 {
				m.what += "; wiki: " + strings.Join(step(t, wiki), "; ")
			}
		}
		began := time.Now()
		r := w.run(config, "run", "--quiet")
		if r.code != 0 {
			t.Fatalf("step %d (%s): %s", i, m.what, r)
		}
		_, rest, _ := strings.Cut(r.out, "run ")
		m.run = strings.Fields(rest)[0]
		m.repo, m.wiki = stateOf(t, w.bare("r")), stateOf(t, w.bare("r.wiki"))
		moments = append(moments, m)
		time.Sleep(time.Until(began.Truncate(time.Second).Add(1100 * time.Millisecond))) // a run is named after the second in which it began
	}
	return moments
}

func step(t *testing.T, e *gittest.Evolution) []string {
	t.Helper()
	what, err := e.Step()
	if err != nil {
		t.Fatal(err)
	}
	return what
}

// stateOf is the state that GitHub shows of a repository: HEAD of one without
// any ref is nothing that git's protocol tells.
func stateOf(t *testing.T, dir string) string {
	t.Helper()
	s, err := gittest.State(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sameState compares what came back with what was. The protocol does not tell
// the unborn HEAD of a wiki, and the REST API has none for it.
func sameState(got, want string, wiki bool) bool {
	if wiki && unborn(want) {
		return afterHead(got) == afterHead(want)
	}
	return got == want
}

func unborn(state string) bool {
	head, refs, _ := strings.Cut(state, "\n")
	target := head[strings.LastIndex(head, " ")+1:]
	return strings.Contains(head, "refs/") && !strings.Contains(refs, " "+target+"\n") && !strings.Contains(refs, target+" ")
}

// restoredAt restores both parts as of one run with mayfly.
func restoredAt(t *testing.T, w *world, config string, m moment, gitless bool) {
	t.Helper()
	for _, part := range []string{"", "--wiki"} {
		dir := filepath.Join(t.TempDir(), "back.git")
		args := []string{"restore", "github/" + runOwner + "/r", dir, "--at", m.run}
		want := m.repo
		if part != "" {
			args, want = append(args, part), m.wiki
		}
		run := w.run
		if gitless {
			run = w.runWithoutGit
		}
		if r := run(config, args...); r.code != 0 {
			t.Errorf("run %s (%s): %s", m.run, m.what, r)
			continue
		}
		if got := stateOf(t, dir); !sameState(got, want, part != "") {
			t.Errorf("run %s (%s): restored %s\n%s\nwant\n%s", m.run, m.what, part, got, want)
		}
		gitIn(t, dir, "fsck", "--full", "--no-dangling")
	}
}

// runWithoutGit is run on a machine that has no git.
func (w *world) runWithoutGit(config string, args ...string) result {
	w.t.Helper()
	return w.startWith([]string{"env", "PATH=/nowhere"}, config, args...).wait()
}

// byHandAt does what RESTORE.txt of the newest segment at that time says.
func byHandAt(t *testing.T, dir string, m moment, current bool) {
	t.Helper()
	work := t.TempDir()
	path := os.Getenv("PATH")
	if current {
		bin := filepath.Join(moduleRoot(t), ".e2e", "git-current", "bin")
		if _, err := os.Stat(filepath.Join(bin, "git")); err != nil {
			t.Fatalf("there is no current git: %v: run e2e/install.sh first", err)
		}
		path = bin + ":" + path
	}
	script := `cp "$CHAIN"/*.zip .; unzip -q -p "$KEY" RESTORE.txt >RESTORE.txt
case $KEY in *-full.zip) unzip -q "$KEY" -x RESTORE.txt;; esac
sed -n 's/^    //p' RESTORE.txt >commands; sh -eu commands`
	cmd := shell(t, script, append(gittest.Env(), "LC_ALL=C", "CHAIN="+filepath.Dir(m.key), "KEY="+filepath.Base(m.key), "PATH="+path)...)
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("run %s (%s), by hand from %s: %v\n%s", m.run, m.what, m.key, err, out)
		return
	}
	for name, want := range map[string]string{"r.git": m.repo, "r.wiki.git": m.wiki} {
		if got := stateOf(t, filepath.Join(work, name)); !sameState(got, want, name != "r.git") {
			t.Errorf("run %s (%s): %s by hand\n%s\nwant\n%s", m.run, m.what, name, got, want)
		}
	}
}

// segmentsByRun maps the runs that wrote a segment of the repository to its
// file.
func segmentsByRun(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, f := range filesBelow(t, filepath.Join(dir, "github", runOwner, "r")) {
		if !strings.HasSuffix(f, ".zip") {
			continue
		}
		z, err := zip.OpenReader(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := fs.ReadFile(z, "manifest.json")
		z.Close()
		var m archive.Manifest
		if err == nil {
			err = json.Unmarshal(b, &m)
		}
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		found[m.Run] = f
	}
	return found
}

// chainsIn lists the folders of the repository's chains.
func chainsIn(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "github", runOwner, "r", "*"))
	if err != nil {
		t.Fatal(fmt.Errorf("list chains: %w", err))
	}
	return found
}
