//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/gittest"
)

// What of a system call's trace makes or changes a file.
var (
	changes = regexp.MustCompile(`\b(mkdir|mkdirat|rename|renameat|renameat2|link|linkat|creat)\(`)
	opens   = regexp.MustCompile(`\b(?:open|openat)\([^"]*"([^"]*)".*\b(?:O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE|O_TRUNC|O_APPEND)\b`)
)

// What goes to a bucket touches no disk on its way.
func TestNoByteOnLocalDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t).versity()
	w.repo("small", gittest.Normal)
	w.repo("small.wiki", gittest.Wiki)
	w.repo("broken", gittest.Normal)
	w.github.Git.Fail(runOwner+"/broken", gittest.Fault{Step: gittest.Pack, Corrupt: true})
	if err := gittest.Big(w.bare("large"), 30<<20, 1); err != nil {
		t.Fatal(err)
	}
	touched, r := w.traced(w.config(s3Store))
	if r.code != 3 || len(w.segments(filepath.Join(w.s3dir, strings.TrimPrefix(s3Store, "s3://")))) != 2 {
		t.Fatalf("%s", r)
	}
	if len(touched) > 0 {
		t.Errorf("it made or changed files:\n%s", strings.Join(touched, "\n"))
	}
	for _, d := range []string{"home", "work"} {
		if files := filesBelow(t, filepath.Join(w.dir, d)); len(files) > 1 || len(files) == 1 && filepath.Base(files[0]) != "mayfly.yaml" {
			t.Errorf("it left %v", files)
		}
	}

	// The trace sees what it should: the same with a directory as the store.
	touched, r = w.traced(w.config(w.fileStore()))
	if r.code != 3 {
		t.Fatalf("%s", r)
	}
	for _, want := range []string{"mkdir", "link", "open"} {
		if !slices.ContainsFunc(touched, func(line string) bool { return strings.Contains(line, want) }) {
			t.Errorf("strace shows no %s of a run that writes files: this tests nothing", want)
		}
	}
}

// traced runs mayfly under strace and returns the lines that show a file made
// or opened for writing, apart from devices.
func (w *world) traced(config string) (touched []string, r result) {
	w.t.Helper()
	log := filepath.Join(w.t.TempDir(), "strace")
	r = w.startWith([]string{"strace", "-f", "-q", "-o", log,
		"-e", "trace=openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat"}, config).wait()
	b, err := os.ReadFile(log)
	if err != nil {
		w.t.Fatalf("%v: %s", err, r)
	}
	for line := range strings.Lines(string(b)) {
		m := opens.FindStringSubmatch(line)
		if changes.MatchString(line) || m != nil && m[1] != "/dev/null" && m[1] != "/dev/tty" {
			touched = append(touched, strings.TrimSpace(line))
		}
	}
	return touched, r
}
