package command

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/store"
	"mayfly/runner"
)

// kept are the names of what the job has put into the store.
func (w *world) kept() []string {
	w.t.Helper()
	var names []string
	for o, err := range w.env.Store.List(w.t.Context(), "task/") {
		if err != nil {
			w.t.Fatal(err)
		}
		names = append(names, strings.TrimPrefix(o.Key, "task/20261120T170412Z/"))
	}
	slices.Sort(names)
	return names
}

func TestArtifacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(Config{Artifacts: "out/sub/", Run: `
[ "$MAYFLY_ARTIFACTS" = "$PWD/out/sub" ] || exit 9
cd "$MAYFLY_ARTIFACTS"
echo one > one; mkdir -p d/e; echo two > "d/e/two words"; : > empty
ln -s /etc/passwd link; ln -s / rootlink; ln -s one relative; mkfifo pipe; ln one hard
touch ../not-below
`})
	if got, want := w.kept(), []string{"d/e/two words", "empty", "hard", "one"}; !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
	says(t, w.log.String(), "not kept, for they are no regular files: link; pipe; relative; rootlink")
	jr := w.rec.Snapshot()
	made, err := (&Config{Run: "x", Artifacts: "out"}).New(w.env)
	if err != nil {
		t.Fatal(err)
	}
	hint := made.(*job).Restore(jr)
	says(t, hint, "cp -R "+filepath.Join(w.dir, "store", "task", "20261120T170412Z")+" .")
	if jr.Items[0].Wrote != 12 {
		t.Errorf("%d bytes written", jr.Items[0].Wrote)
	}
}

// A failed command's files must not look like a result.
func TestNoArtifactsOfAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.bad(Config{Artifacts: "out", Run: "echo half > out/dump.sql; exit 1"})
	if got := w.kept(); len(got) > 0 {
		t.Errorf("kept %q", got)
	}
	w = newWorld(t)
	w.ok(Config{Artifacts: "out", Run: "true"})
	says(t, w.log.String(), "it left no artifacts")
	w = newWorld(t)
	p := w.bad(Config{Artifacts: "out", Run: "rmdir out; ln -s /etc out"})
	says(t, p.String(), "out: it is a link")
	w = newWorld(t)
	dir := t.TempDir()
	if err := os.Symlink("/etc", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	p = w.bad(Config{Artifacts: "out/x", Dir: dir, Run: "true"})
	says(t, p.String(), "make the directory of artifacts")
}

// No link on the way to the artifacts is followed, not even one that stays
// inside of dir.
func TestArtifactsBehindLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.bad(Config{Artifacts: "out/sub", Run: "mkdir -p private/sub; echo x > private/sub/key; rm -r out; ln -s private out"})
	says(t, p.String(), "keep the artifacts of", "it is a link")
	if got := w.kept(); len(got) > 0 {
		t.Errorf("kept %q", got)
	}
	w = newWorld(t)
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "private"), 0o755), os.Symlink("private", filepath.Join(dir, "out"))); err != nil {
		t.Fatal(err)
	}
	p = w.bad(Config{Artifacts: "out/x", Dir: dir, Run: "true"})
	says(t, p.String(), "make the directory of artifacts", "it is a link")
	if _, err := os.Stat(filepath.Join(dir, "private", "x")); err == nil {
		t.Error("a directory was made behind the link")
	}
}

// What cannot be stored is named, and the rest is kept.
func TestArtifactsInPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := strings.Repeat("x", 200)
	it := w.run(Config{Artifacts: "out", Run: "cd out; echo good > good\nprintf x > \"$(printf 'bad\\nname')\"\n" +
		strings.Repeat("mkdir "+long+"; cd "+long+"\n", 6) + "echo deep > deep\n"})
	if it.Outcome != runner.Partial || it.Problem == nil {
		t.Fatalf("%s %v", it.Outcome, it.Problem)
	}
	says(t, it.Problem.Reason, "the store cannot hold this name", "control character", "longer than 1024 bytes")
	if got := w.kept(); !slices.Equal(got, []string{"good"}) {
		t.Errorf("kept %q", got)
	}
	w = newWorld(t)
	w.env.Store = full{w.env.Store}
	it = w.run(Config{Artifacts: "out", Run: "echo a > out/a; echo b > out/b"})
	if it.Outcome != runner.Failed {
		t.Fatalf("%s %v", it.Outcome, it.Problem)
	}
	says(t, it.Problem.Reason, "the command succeeded, but not all", "no space")
}

// full is a store that takes nothing.
type full struct{ store.Store }

func (full) Create(context.Context, string) (store.Writer, error) {
	return nil, errors.New("no space left")
}

// A file that is only linked from elsewhere is another user's.
func TestForeignArtifacts(t *testing.T) {
	t.Parallel()
	root(t)
	w := newWorld(t)
	dir := filepath.Join(w.dir, "shared")
	if err := errors.Join(os.Mkdir(dir, 0o777), os.Chmod(dir, 0o777), os.WriteFile(filepath.Join(w.dir, "private"), []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	// The kernel forbids this where fs.protected_hardlinks is set; so root does
	// it for the command.
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "out"), 0o777), os.Link(filepath.Join(w.dir, "private"), filepath.Join(dir, "out", "mine"))); err != nil {
		t.Fatal(err)
	}
	it := w.run(Config{Artifacts: "out", Dir: dir, User: "nobody", Run: "ls out"})
	if it.Outcome != runner.Failed || len(w.kept()) > 0 {
		t.Fatalf("%s %v, kept %v", it.Outcome, it.Problem, w.kept())
	}
	says(t, it.Problem.Reason, "another user's file")
	if _, err := os.Stat(filepath.Join(dir, "out")); errors.Is(err, fs.ErrNotExist) {
		t.Error("a directory that was there is gone")
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made, err := (&Config{
		Run: "echo a\necho b\n", Args: []string{"x y"}, Dir: "/srv", Env: map[string]string{"A": "b"}, Memory: 64 << 20,
		Packages: []string{"git"}, Artifacts: "out", AWS: true, Allow: []Allow{{Actions: []string{"s3:GetObject"}}},
	}).New(w.env)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	err = made.(*job).Preview(t.Context(), &b)
	if os.Geteuid() != 0 { // and there is no memory limit without root
		if err == nil || !strings.Contains(err.Error(), "memory cannot be limited") {
			t.Errorf("not as root: %v", err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	says(t, b.String(), "would run the script\n", "  | echo b\n", "arguments 'x y'\n", "in /srv\n", "variables A\n", "64MiB", "packages git", "credentials", "s3:GetObject", "/task/20261120T170412Z/...")
	if _, err := os.Stat(filepath.Join(w.dir, "store", "task")); err == nil {
		t.Error("a preview has written something")
	}
}

// A preview refuses what a run would.
func TestPreviewRefuses(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Config{
		"make it, or name another":           {Run: "true", Dir: "/no/such/directory"},
		"is no directory":                    {Run: "true", Dir: "/etc/passwd"},
		"there is no program no-such":        {Argv: []string{"no-such"}},
		"there is no program /no/such/shell": {Run: "#!/no/such/shell\n"},
		"there is no user nosuchuser":        {Run: "true", User: "nosuchuser"},
	} {
		w := newWorld(t)
		made, err := c.New(w.env)
		if err != nil {
			t.Fatal(err)
		}
		if err := made.(*job).Preview(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
