//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/awstest"
)

// A synced is a directory, and the world whose store it is kept in.
type synced struct {
	*world
	src   string
	store string
}

func newSynced(t *testing.T) *synced { return newSyncedIn(t, t.TempDir()) }

func newSyncedIn(t *testing.T, dir string) *synced {
	t.Helper()
	w := newWorldIn(t, dir).versity()
	s := &synced{world: w, src: filepath.Join(w.dir, "docs"), store: s3Store}
	if err := os.Mkdir(s.src, 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// config is one with a single job; more are lines of its sync mapping.
func (s *synced) config(way string, more ...string) string {
	return fmt.Sprintf("name: e2e\nstore: %s\njobs:\n  - name: docs\n    sync:\n      %s\n      %s\n", s.store, way, strings.Join(more, "\n      "))
}

func (s *synced) from(more ...string) string { return s.config("from: "+s.src, more...) }

// write writes a file whose first line is the sum of the rest.
func (s *synced) write(name string, body []byte) {
	s.t.Helper()
	sum := sha256.Sum256(body)
	p := filepath.Join(s.src, name)
	err := os.MkdirAll(filepath.Dir(p), 0o755)
	if err == nil {
		err = os.WriteFile(p, append(hex.AppendEncode(nil, sum[:]), body...), 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// untorn reports whether a file is one that write has written.
func untorn(b []byte) bool {
	if len(b) < 64 {
		return false
	}
	sum := sha256.Sum256(b[64:])
	return string(b[:64]) == hex.EncodeToString(sum[:])
}

// tree is what a directory holds: mode, time and sum of each file.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(p, filepath.Join(dir, ".mayfly")+"/") {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		m[p[len(dir)+1:]] = fmt.Sprintf("%o %d %x", fi.Mode().Perm(), fi.ModTime().UnixNano(), sha256.Sum256(b))
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return m
}

// sums is tree without modes and times.
func sums(m map[string]string) map[string]string {
	n := map[string]string{}
	for k, v := range m {
		n[k] = v[strings.LastIndex(v, " ")+1:]
	}
	return n
}

func sameTree(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: %q is %q, want %q", what, name, got[name], w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %q should not be there", what, name)
		}
	}
}

// kept is what the gateway holds.
func (s *synced) kept() map[string]string {
	return sums(tree(s.t, filepath.Join(s.s3dir, strings.TrimPrefix(s3Store, "s3://"), "docs")))
}

// rclone runs it with the remote s3: as the store's server.
func (s *synced) rclone(args ...string) string {
	s.t.Helper()
	c := exec.Command("rclone", append([]string{"--config", "/dev/null", "--s3-no-check-bucket"}, args...)...)
	c.Env = append(s.env(), "RCLONE_CONFIG_S3_TYPE=s3", "RCLONE_CONFIG_S3_PROVIDER=Other", "RCLONE_CONFIG_S3_ENV_AUTH=true",
		"RCLONE_CONFIG_S3_REGION="+awstest.Region, "RCLONE_CONFIG_S3_ENDPOINT="+s.s3)
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		s.t.Fatalf("rclone %v: %v: %s: run e2e/install.sh first", args, err, &said)
	}
	return string(out)
}

func (s *synced) aws(args ...string) {
	s.t.Helper()
	c := exec.Command(filepath.Join(moduleRoot(s.t), ".e2e", "venv", "bin", "aws"), args...)
	c.Env = s.env()
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Fatalf("aws %v: %v\n%s", args, err, out)
	}
}

var jobLine = regexp.MustCompile(`(?m)^docs +(.*)$`)

// expect runs mayfly, whose report must say so of the job.
func (s *synced) expect(config string, code int, says string) result {
	s.t.Helper()
	s.stale()
	nextSecond()
	r := s.run(config)
	if line := jobLine.FindString(r.out); r.code != code || !strings.Contains(line, says) {
		s.t.Fatalf("want exit code %d and %q: %s", code, says, r)
	}
	return r
}

// stale lets the lock of a killed run go.
func (s *synced) stale() {
	lock := filepath.Join(s.s3dir, strings.TrimPrefix(s3Store, "s3://"), "runs", "lock.json")
	old := time.Now().Add(-3 * time.Minute)
	if err := os.Chtimes(lock, old, old); err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
}

// What was kept comes back with mayfly, and with tools that never heard of it;
// what those have written is taken over without being written again.
func TestSyncThereAndBack(t *testing.T) {
	t.Parallel()
	s := newSynced(t)
	dice := rand.NewChaCha8([32]byte{1})
	for i, name := range []string{
		"a", "b.x", "b/c", "trailing.", "trailing ", "spaces in it/and ü, 日本", "d/.hidden", "d/e/f/g/h", "plus+and&%20;=@", "-dash", "~tilde", "!bang", "quote'\"", "star*?[x]",
	} {
		b := make([]byte, i*100)
		dice.Read(b)
		s.write(name, b)
	}
	large := make([]byte, 13<<20)
	dice.Read(large)
	s.write("large", large)
	if err := os.WriteFile(filepath.Join(s.src, "empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(s.src, "a"), 0o750); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1234567890, 123456789)
	if err := os.Chtimes(filepath.Join(s.src, "b/c"), at, at); err != nil {
		t.Fatal(err)
	}
	want := tree(t, s.src)
	s.expect(s.from(), 0, fmt.Sprintf("%d files: %d changed", len(want), len(want)))
	s.expect(s.from(), 0, fmt.Sprintf("%d files: %d unchanged; 0 B written", len(want), len(want)))
	sameTree(t, "store", s.kept(), sums(want))

	to := func(name string) string { return filepath.Join(s.dir, name) }
	if r := s.run(s.from(), "restore", "docs", to("restored")); r.code != 0 {
		t.Fatalf("%s", r)
	}
	sameTree(t, "mayfly restore", tree(t, to("restored")), want)
	s.expect(s.config("to: "+to("synced")), 0, fmt.Sprintf("%d changed", len(want)))
	sameTree(t, "sync to", tree(t, to("synced")), want)
	s.expect(s.config("to: "+to("synced")), 0, fmt.Sprintf("%d unchanged", len(want)))
	s.rclone("copy", "--metadata", "--exclude", "/.mayfly/**", "s3:backups/deep/docs", to("rclone"))
	sameTree(t, "rclone", tree(t, to("rclone")), want)
	s.aws("s3", "sync", "--only-show-errors", "--exclude", ".mayfly/*", s3Store+"/docs/", to("aws"))
	sameTree(t, "aws s3 sync", sums(tree(t, to("aws"))), sums(want))

	// Of the same size, and older: what aws s3 sync does not see.
	s.write("d/e/f/g/h", bytes.Repeat([]byte("x"), 700))
	if err := os.Chtimes(filepath.Join(s.src, "d/e/f/g/h"), at, at); err != nil {
		t.Fatal(err)
	}
	s.expect(s.from(), 0, "1 changed")
	sameTree(t, "store", s.kept(), sums(tree(t, s.src)))

	// The stores of others.
	want = tree(t, s.src)
	s.aws("s3", "rm", "--recursive", "--only-show-errors", s3Store+"/docs/")
	s.rclone("sync", s.src, "s3:backups/deep/docs")
	s.expect(s.from(), 0, fmt.Sprintf("%d unchanged", len(want)))
	s.aws("s3", "rm", "--recursive", "--only-show-errors", s3Store+"/docs/")
	s.aws("s3", "sync", "--only-show-errors", s.src, s3Store+"/docs/")
	s.expect(s.from(), 0, fmt.Sprintf("1 changed, %d unchanged", len(want)-1)) // one went in parts: its ETag says nothing
}

// Filters take what rclone's take.
func TestSyncFilters(t *testing.T) {
	t.Parallel()
	s := newSynced(t)
	for _, name := range []string{
		"a.jpg", "a.jpgs", "b.png", "d/a.jpg", "d/b.tmp", "d/e/a.jpg", "d/e/cache/x", "cache/x", "cache/y/z.jpg", "mycache/x", "[x]", "{y}", "star*", "tmp/a.jpg", "tmp/keep/a.jpg", "long name/file one.txt", ".hidden/x", "A.JPG",
	} {
		s.write(name, nil)
	}
	for _, flags := range [][]string{
		{"--include", "*.jpg"}, {"--include", "/*.jpg"}, {"--include", "*.{jpg,png}"}, {"--include", "/d/**"}, {"--include", "d/*/a.jpg"}, {"--include", "/d/**.jpg"},
		{"--exclude", "cache/**"}, {"--exclude", "/cache/**"}, {"--exclude", "cache/"}, {"--exclude", "/tmp/"}, {"--exclude", "cache"}, {"--exclude", "*a*/**"}, {"--exclude", "**"},
		{"--exclude", "*.jpg", "--exclude", "x"}, {"--include", "a?jpg*"}, {"--exclude", "[a-c].*"}, {"--exclude", "[^a-c].*"}, {"--exclude", `\[x\]`}, {"--exclude", `\{y\}`}, {"--exclude", `star\*`},
		{"--filter", "+ /tmp/keep/**", "--filter", "- /tmp/**", "--filter", "+ *.jpg", "--filter", "- *"},
		{"--filter", "- *.tmp", "--filter", "+ /d/**", "--filter", "- /d/e/**", "--filter", "- *"},
		{"--include", "file one.txt"}, {"--include", "l*e/*"}, {"--include", "**cache**"}, {"--include", "d/**/x"},
	} {
		lists := map[string][]string{}
		for i := 0; i < len(flags); i += 2 {
			key := strings.TrimPrefix(flags[i], "--")
			lists[key] = append(lists[key], fmt.Sprintf("'%s'", flags[i+1]))
		}
		var more []string
		for key, globs := range lists {
			more = append(more, key+": ["+strings.Join(globs, ", ")+"]")
		}
		want := strings.Fields(strings.ReplaceAll(s.rclone(append([]string{"lsf", "-R", "--files-only", s.src}, flags...)...), " ", "_"))
		r := s.run(s.from(more...), "run", "--dry-run")
		var got []string
		for line := range strings.Lines(r.out) {
			if name, ok := strings.CutPrefix(line, `docs: + "`); ok {
				got = append(got, strings.ReplaceAll(strings.TrimSuffix(name, "\"\n"), " ", "_"))
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%v: %q, rclone takes %q\n%s", flags, got, want, r.err)
		}
	}
}

// What is wrong with the source is named, and the rest is kept.
func TestSyncSourceFaults(t *testing.T) {
	t.Parallel()
	s := newSynced(t)
	s.write("fine", []byte("x"))
	s.write("gone", []byte("x"))
	s.write("secret", []byte("x"))
	s.write("closed/x", []byte("x"))
	s.write("busy", bytes.Repeat([]byte("x"), 20<<20))
	s.expect(s.from(), 0, "5 changed")
	before := s.kept()

	if err := errors.Join(os.Chmod(filepath.Join(s.src, "secret"), 0), os.Chmod(filepath.Join(s.src, "closed"), 0), os.Remove(filepath.Join(s.src, "gone"))); err != nil {
		t.Fatal(err)
	}
	s.write("new\nline", nil)
	s.write("bad\xff\xfe", nil)
	s.write("fine", []byte("y"))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		f, err := os.OpenFile(filepath.Join(s.src, "busy"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				f.Write([]byte("y"))
			}
		}
	}()
	nextSecond()
	p := s.startWith([]string{"setpriv", "--bounding-set=-dac_override,-dac_read_search"}, s.from("delete: true", "max_delete: 100%"))
	r := p.wait()
	close(stop)
	<-stopped
	if r.code != 3 {
		t.Fatalf("%s", r)
	}
	for _, want := range []string{
		"read secret: permission denied", "read closed/: permission denied", "the store cannot keep this name: it holds a control character", "the store cannot keep this name: it is not UTF-8",
		"read busy: it changed while it was read", "gone and not deleted on the other side, since not all went well", "1 changed",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	after := s.kept()
	if after["fine"] == before["fine"] {
		t.Error("fine was not kept")
	}
	after["fine"] = before["fine"]
	if !maps.Equal(before, after) {
		t.Errorf("the store has %v, had %v", after, before)
	}
	if t.Failed() {
		t.Logf("%s", r)
	}
	if left := s.uploads(); len(left) > 0 {
		t.Errorf("unfinished uploads: %v", left)
	}
}

// Many files in one folder take little memory, and a disappearing source
// nothing from the store.
func TestSyncManyFiles(t *testing.T) {
	t.Parallel()
	s := newSynced(t)
	n := 100_000
	for i := range n {
		if err := os.WriteFile(filepath.Join(s.src, fmt.Sprintf("a-file-with-an-ordinary-name-%06d.txt", i)), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := s.run(s.from(), "run", "--dry-run")
	if r.code != 0 || !strings.Contains(r.out, fmt.Sprintf("%d new, 0 replaced", n)) {
		t.Fatalf("%s", r.err)
	}
	t.Logf("%d files compared with nothing in %s, %.1f MiB", n, r.wall, mib(r.peak))
	if r.peak > 64<<20 {
		t.Errorf("%.1f MiB of memory", mib(r.peak))
	}
	some, include := n/50, "include: ['*[02]7.txt']" // the gateway takes minutes for all
	if os.Getenv("MAYFLY_E2E_ALL") != "" {
		some, include = n, "include: ['*']"
	}
	r = s.expect(s.from(include), 0, fmt.Sprintf("%d changed", some))
	t.Logf("%d files kept in %s, %.1f MiB", some, r.wall, mib(r.peak))
	if r.peak > 64<<20 {
		t.Errorf("%.1f MiB of memory", mib(r.peak))
	}
	s.expect(s.from(include), 0, fmt.Sprintf("%d unchanged", some))
	if err := os.Rename(s.src, s.src+".away"); err != nil {
		t.Fatal(err)
	}
	s.expect(s.from("delete: true"), 1, "failed")
	if err := os.Mkdir(s.src, 0o755); err != nil {
		t.Fatal(err)
	}
	s.expect(s.from("delete: true"), 1, "files")
	if got := len(s.kept()); got != some {
		t.Errorf("%d files are left of %d", got, some)
	}
}

// A file that no single request could carry: S3's limit is 5 GiB. It is not
// parallel: its writes would keep the disk from all tests beside it.
func TestSyncHugeFile(t *testing.T) {
	t.Parallel()
	s := newSyncedIn(t, roomy(t, 6<<30))
	f, err := os.Create(filepath.Join(s.src, "huge"))
	if err == nil {
		_, err = f.WriteAt([]byte("the end"), 5<<30+12345)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	r := s.expect(s.from(), 0, "1 changed")
	t.Logf("%s, %.1f MiB", r.wall, mib(r.peak))
	if r.peak > 64<<20 {
		t.Errorf("%.1f MiB of memory", mib(r.peak))
	}
	s.expect(s.from(), 0, "1 unchanged")
	same := func(with string) {
		t.Helper()
		if out, err := exec.Command("cmp", filepath.Join(s.src, "huge"), with).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	same(filepath.Join(s.s3dir, runBucket, "deep", "docs", "huge"))
	if os.Getenv("MAYFLY_E2E_ALL") == "" {
		return // bringing it back takes as long again
	}
	if r := s.run(s.from(), "restore", "docs", filepath.Join(s.dir, "back")); r.code != 0 {
		t.Fatalf("%s", r)
	}
	same(filepath.Join(s.dir, "back", "huge"))
}

// Killed at random moments, with changes in between, a store has nothing but
// whole files, and so has a directory that they are brought back to.
func TestSyncRandomKills(t *testing.T) {
	t.Parallel()
	s := newSynced(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	change := func() {
		for range 150 {
			size := dice.IntN(3000)
			if dice.IntN(30) == 0 {
				size = 5<<20 + dice.IntN(12<<20)
			}
			b := make([]byte, size)
			for i := range min(size, 100) {
				b[i] = byte(dice.Uint32())
			}
			s.write(fmt.Sprintf("d%d/f%d", dice.IntN(10), dice.IntN(40)), b)
		}
		os.Remove(filepath.Join(s.src, fmt.Sprintf("d%d/f%d", dice.IntN(10), dice.IntN(40))))
	}
	change()
	nextSecond()
	calm := s.run(s.from())
	if calm.code != 0 {
		t.Fatalf("%s", calm)
	}
	back := filepath.Join(s.dir, "back")
	allWhole := func(what, dir string) {
		t.Helper()
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.Contains(p, "/.mayfly") {
				return err
			}
			b, err := os.ReadFile(p)
			if err == nil && !untorn(b) {
				t.Errorf("%s: %s is not whole", what, p)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	to := s.config("to: "+back, "delete: true", "max_delete: 100%")
	for round := range 12 {
		change()
		nextSecond()
		s.stale()
		config := s.from("delete: true")
		if round%3 == 2 {
			config = to
		}
		p := s.start(config)
		time.Sleep(time.Duration(dice.Int64N(int64(calm.wall))))
		p.cmd.Process.Kill()
		p.wait()
		allWhole("store", filepath.Join(s.s3dir, strings.TrimPrefix(s3Store, "s3://"), "docs"))
		allWhole("back", back)
	}
	s.expect(s.from("delete: true"), 0, "files")
	sameTree(t, "store", s.kept(), sums(tree(t, s.src)))
	if left := s.uploads(); len(left) > 0 {
		t.Errorf("unfinished uploads: %v", left)
	}
	s.expect(s.from(), 0, "unchanged; 0 B written")
	s.expect(to, 0, "files")
	got := tree(t, back)
	for name := range got {
		if strings.Contains(name, ".mayfly-") { // of a killed run; an hour old, it is removed
			delete(got, name)
		}
	}
	sameTree(t, "back", got, tree(t, s.src))
}
