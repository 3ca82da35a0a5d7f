package github

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/gittest"
	"mayfly/internal/store"
	"mayfly/runner"
)

// TestRestoreHint does what the report says, in a directory whose name a shell
// would take apart.
func TestRestoreHint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo("octo/site", gittest.Normal)
	w.dir = filepath.Join(t.TempDir(), "it's my 100% $(backup)#1")
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	st, err := store.NewDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	w.st = st
	rep := w.mustRun(w.config())
	hint := (&job{env: w.env()}).Restore(rep)
	sh := exec.Command("sh", "-e", "-c", hint)
	sh.Dir = t.TempDir()
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, hint)
	}
	if _, err := os.Stat(filepath.Join(sh.Dir, "site.git", "HEAD")); err != nil {
		t.Error(err)
	}
	if strings.Contains(hint, "aws") {
		t.Errorf("hint %q", hint)
	}
}

// The advice for a store with an endpoint of its own must not ask AWS.
func TestRestoreHintNamesTheEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	env := w.env()
	env.Store, env.Endpoint = bucketURL{env.Store}, "http://127.0.0.1:9000"
	jr := runner.JobReport{Items: []runner.ItemReport{{Name: "octo/site", Outcome: runner.Changed}}}
	if hint := (&job{env: env}).Restore(jr); !strings.HasPrefix(hint, "aws --endpoint-url http://127.0.0.1:9000 s3 cp s3://bucket/") {
		t.Errorf("hint %q", hint)
	}
}

// A bucketURL is a store that calls itself a bucket.
type bucketURL struct{ store.Store }

func (bucketURL) URL(key string) string { return "s3://bucket/" + key }
