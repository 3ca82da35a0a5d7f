//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
)

// fill makes one repository of every kind, with wikis of some kinds, and
// returns which of them no backup can hold.
func fill(w *world) (refused []string) {
	w.t.Helper()
	for _, kind := range gittest.Kinds() {
		name := repoName(kind)
		w.repo(name, kind)
		if kind == gittest.SHA256 || kind == gittest.Shallow {
			refused = append(refused, name)
		}
	}
	w.repo("normal.wiki", gittest.Wiki)
	w.repo("empty.wiki", gittest.Wiki)
	w.repo("shared.wiki", gittest.Empty)
	w.repo("detached.wiki", gittest.OddTags)
	w.repo("dot.github.io", gittest.Normal)
	w.github.Set(runOwner+"/odd-tags", githubtest.Attributes{Private: true})
	w.github.Set(runOwner+"/notes", githubtest.Attributes{Fork: true})
	w.github.Set(runOwner+"/shared", githubtest.Attributes{Archived: true})
	return refused
}

func repoName(k gittest.Kind) string { return strings.ReplaceAll(string(k), " ", "-") }

// wikis are the parts beside the repositories themselves.
var wikis = []string{"normal", "empty", "shared", "detached"}

// What one gets back with stock tools alone is what was there, of everything.
func TestRunRestoresEverywhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		store string
		pull  bool
		good  bool // leave out what cannot be backed up
	}{
		{"versitygw", false, false},
		{"versitygw", true, true},
		{"directory", true, false},
		{"directory", false, true},
	} {
		t.Run(fmt.Sprintf("%s/pull=%t/complete=%t", c.store, c.pull, c.good), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			refused := fill(w)
			job := []string{fmt.Sprintf("pull_requests: %t", c.pull)}
			if c.good {
				job = append(job, `exclude: ["octo/sha256", "octo/shallow"]`)
			}
			store := w.fileStore()
			if c.store == "versitygw" {
				w.versity()
				store = s3Store
			}
			r := w.run(w.config(store, job...))
			all := len(gittest.Kinds()) + 1
			if c.good {
				checkComplete(t, w, r, all)
			} else {
				checkPartial(t, w, r, all, refused)
			}
			dir := w.storeDir()
			if c.store == "versitygw" {
				dir = w.fetch()
				if left := w.uploads(); len(left) > 0 {
					t.Errorf("unfinished uploads: %v", left)
				}
			}
			if got := w.reportText(dir); got != r.out {
				t.Errorf("the stored report differs from the printed one:\n%s\nand\n%s", got, r.out)
			}
			segments := w.segments(dir)
			if len(segments) != all-len(refused) {
				t.Errorf("%d segments: %v", len(segments), segments)
			}
			for name, zip := range segments {
				restored(t, w, name, zip, c.pull)
			}
			for _, a := range r.argv {
				if !strings.HasSuffix(a, "/bin/mayfly\x00run\x00") {
					t.Errorf("it started %q", a)
				}
			}
		})
	}
}

func checkComplete(t *testing.T, w *world, r result, all int) {
	t.Helper()
	if r.code != 0 {
		t.Fatalf("%s", r)
	}
	has(t, "the report", r.out, "e2e complete.", fmt.Sprintf("%d repositories: ", all), "2 skipped", "1 empty", "Problems\n  none\n", "all current", "Restore one:")
	subject, body := w.mail()
	if want := fmt.Sprintf("mayfly e2e: complete, %d repositories, %d changed", all, all-3); subject != want {
		t.Errorf("subject %q, want %q", subject, want)
	}
	has(t, "the mail", body, r.out, "run started")
}

func checkPartial(t *testing.T, w *world, r result, all int, refused []string) {
	t.Helper()
	if r.code != 3 {
		t.Fatalf("%s", r)
	}
	has(t, "the report", r.out, "e2e partial.", fmt.Sprintf("%d repositories: ", all), "2 failed", "1 empty",
		"back up octo/sha256: ", "SHA-256", "back up octo/shallow: ", "never backed up: octo/sha256, octo/shallow")
	subject, body := w.mail()
	if want := fmt.Sprintf("mayfly e2e: partial, %d repositories, %d failed, %d changed", all, len(refused), all-len(refused)-1); subject != want {
		t.Errorf("subject %q, want %q", subject, want)
	}
	has(t, "the mail", body, r.out, "run started")
}

// mail is the only one that was sent.
func (w *world) mail() (subject, body string) {
	w.t.Helper()
	m := w.aws.Messages()
	if len(m) != 1 {
		w.t.Fatalf("%d messages were published", len(m))
	}
	return m[0].Subject, m[0].Body
}

// restored unpacks the segment, does what RESTORE.txt says, and compares.
func restored(t *testing.T, w *world, name, zip string, pull bool) {
	t.Helper()
	cmd := shell(t, `unzip -q "$FILE"; sed -n 's/^    //p' RESTORE.txt >commands; sh -eu commands`, append(gittest.Env(), "FILE="+zip)...)
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
		return
	}
	parts := []string{name}
	if slices.Contains(wikis, name) {
		parts = append(parts, name+".wiki")
	}
	for _, part := range parts {
		back := filepath.Join(cmd.Dir, part+".git")
		got, want := state(t, back, true), state(t, w.bare(part), pull)
		if part == "shared.wiki" { // the protocol does not tell the HEAD of an empty repository, and the REST API has none for a wiki
			got, want = afterHead(got), afterHead(want)
		}
		if got != want {
			t.Errorf("%s was restored as\n%s\nwant\n%s", part, got, want)
		}
		gitIn(t, back, "fsck", "--full", "--strict")
		if name != "hidden" && pull {
			count := []string{"rev-list", "--all", "--objects", "--count"}
			if got, want := gitIn(t, back, count...), gitIn(t, w.bare(part), count...); got != want {
				t.Errorf("%s has %s objects, want %s", part, got, want)
			}
		}
	}
	if extra, _ := filepath.Glob(filepath.Join(cmd.Dir, "*.git")); len(extra) != len(parts) {
		t.Errorf("%s restored %v, want %v", name, extra, parts)
	}
}

func afterHead(state string) string {
	_, refs, _ := strings.Cut(state, "\n")
	return refs
}

// state is HEAD and the refs of a repository that its server shows.
func state(t *testing.T, dir string, pull bool) string {
	t.Helper()
	head, err := os.ReadFile(filepath.Join(dir, "HEAD"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(head)
	hidden, _ := gittest.Git(dir, "config", "transfer.hideRefs") // fails when there is none
	if hidden != "" && text == "ref: "+hidden+"\n" {
		text = gitIn(t, dir, "rev-parse", hidden) + "\n" // as git clone does it: the commit is kept, detached
	}
	for line := range strings.Lines(gitIn(t, dir, "for-each-ref", "--format=%(refname) %(objectname)") + "\n") {
		ref, _, _ := strings.Cut(line, " ")
		if hidden != "" && ref == hidden || !pull && strings.HasPrefix(ref, "refs/pull/") {
			continue
		}
		text += line
	}
	return text
}
