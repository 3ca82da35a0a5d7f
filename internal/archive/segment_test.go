package archive

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gittest"
)

// git runs git in dir and returns what it printed.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := gittest.Git(dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func repo(t testing.TB, kind gittest.Kind) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source.git")
	if err := gittest.Repo(dir, kind); err != nil {
		t.Fatal(err)
	}
	return dir
}

// snapshot reads what a server would advertise of the repository at dir. A
// HEAD with an unborn target is symbolic, as GitHub's API tells it.
func snapshot(t testing.TB, dir string) Snapshot {
	t.Helper()
	var s Snapshot
	for line := range strings.Lines(git(t, dir, "for-each-ref", "--format=%(objectname) %(refname)")) {
		oid, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		s.Refs = append(s.Refs, ref(name, oid))
	}
	if target, err := gittest.Git(dir, "symbolic-ref", "--quiet", "HEAD"); err == nil {
		s.Head = symbolic(target)
	} else {
		s.Head = ref("HEAD", git(t, dir, "rev-parse", "HEAD"))
	}
	return s
}

// pack returns a fetch function that git itself packs for.
func pack(t *testing.T, dir string, s Snapshot) func(io.Writer) (uint32, int64, error) {
	t.Helper()
	var want bytes.Buffer
	for _, r := range append(slices.Clone(s.Refs), s.Head) {
		if r != nil && r.Type() == plumbing.HashReference {
			fmt.Fprintln(&want, r.Hash())
		}
	}
	cmd := exec.Command("git", "pack-objects", "--revs", "--stdout", "--quiet", "--delta-base-offset")
	cmd.Dir, cmd.Stdin, cmd.Env = dir, &want, append(gittest.Env(), "GIT_NO_REPLACE_OBJECTS=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	objects := uint32(out[8])<<24 | uint32(out[9])<<16 | uint32(out[10])<<8 | uint32(out[11])
	return func(w io.Writer) (uint32, int64, error) {
		n, err := w.Write(out)
		return objects, int64(n), err
	}
}

// add writes a part, as the source at dir has it, into w.
func add(t *testing.T, w *Writer, part Part, dir string) Snapshot {
	t.Helper()
	s := snapshot(t, dir)
	var err error
	if len(s.Refs) == 0 && s.Head.Type() == plumbing.SymbolicReference {
		err = w.Refs(part, s)
	} else {
		err = w.Bundle(part, s, pack(t, dir, s))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// unzip unpacks the only object of st into a new folder.
func unzip(t *testing.T, b []byte) (dir string, names []string) {
	t.Helper()
	dir = t.TempDir()
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		file := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, readEntry(t, f), 0o644); err != nil {
			t.Fatal(err)
		}
		names = append(names, f.Name)
	}
	return dir, names
}

// follow types the commands of RESTORE.txt.
func follow(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "RESTORE.txt"))
	if err != nil {
		t.Fatal(err)
	}
	script := "set -eu\n"
	for line := range strings.Lines(string(text)) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			script += command
		}
	}
	cmd := exec.Command("sh")
	cmd.Dir, cmd.Env, cmd.Stdin = dir, gittest.Env(), strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
}

// same fails unless the repository at dir has the refs and the HEAD of s and
// all of its objects.
func same(t *testing.T, dir string, s Snapshot) {
	t.Helper()
	git(t, dir, "fsck", "--full", "--strict")
	if got, want := snapshot(t, dir), s; got.Digest() != want.Digest() {
		t.Errorf("restored\n%v %v\nwant\n%v %v", got.Head, got.Refs, want.Head, want.Refs)
	}
}

func checkManifest(t *testing.T, dir string, names []string, seg Segment) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%+v", m), fmt.Sprintf("%+v", seg.Manifest); got != want {
		t.Errorf("manifest.json\n%s\nwant\n%s", got, want)
	}
	var listed []string
	for _, e := range m.Entries {
		listed = append(listed, e.Name)
		b, err := os.ReadFile(filepath.Join(dir, e.Name))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(b); e.SHA256 != hex.EncodeToString(sum[:]) || e.Size != int64(len(b)) {
			t.Errorf("manifest says of %s: %d bytes, %s", e.Name, e.Size, e.SHA256)
		}
	}
	if listed = append(listed, "manifest.json"); !slices.Equal(listed, names) {
		t.Errorf("the zip holds %q, want %q", names, listed)
	}
}

func TestSegment(t *testing.T) {
	t.Parallel()
	for _, kind := range []gittest.Kind{
		gittest.Normal, gittest.OddTags, gittest.Notes, gittest.Pull, gittest.Shared,
		gittest.Detached, gittest.Unborn, gittest.Hidden, gittest.Empty,
	} {
		for _, wiki := range []gittest.Kind{"", gittest.Wiki, gittest.Empty} {
			t.Run(fmt.Sprintf("%s/wiki=%s", kind, wiki), func(t *testing.T) {
				t.Parallel()
				st := newStore(t)
				w := begin(t, st)
				s := add(t, w, Repo, repo(t, kind))
				var ws Snapshot
				if wiki != "" {
					ws = add(t, w, Wiki, repo(t, wiki))
				}
				if err := w.Metadata("repository", []byte(`{"id": 42}`)); err != nil {
					t.Fatal(err)
				}
				seg, err := w.Commit()
				if err != nil {
					t.Fatal(err)
				}
				dir, names := unzip(t, object(t, st, seg.Key))
				checkManifest(t, dir, names, seg)
				checkRefs(t, dir, seg, &s, wikiOrNil(wiki, &ws))
				follow(t, dir)
				same(t, filepath.Join(dir, "site.git"), s)
				if wiki != "" {
					same(t, filepath.Join(dir, "site.wiki.git"), ws)
				}
			})
		}
	}
}

func wikiOrNil(kind gittest.Kind, s *Snapshot) *Snapshot {
	if kind == "" {
		return nil
	}
	return s
}

// checkRefs reads refs.json as a stranger would.
func checkRefs(t *testing.T, dir string, seg Segment, repo, wiki *Snapshot) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "refs.json"))
	if err != nil {
		t.Fatal(err)
	}
	type part struct {
		Head   *namedRef
		Digest string
		Refs   []namedRef
	}
	var got struct {
		Format       int
		Kind, Digest string
		Selection    Selection
		Repo, Wiki   *part
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	if got.Format != 1 || got.Kind != "full" || got.Digest != seg.Manifest.Digest || got.Selection != seg.Manifest.Selection {
		t.Errorf("refs.json begins %+v", got)
	}
	for _, c := range []struct {
		got  *part
		want *Snapshot
	}{{got.Repo, repo}, {got.Wiki, wiki}} {
		if c.want == nil {
			if c.got != nil {
				t.Errorf("refs.json has %+v of a part that is absent", c.got)
			}
			continue
		}
		back := Snapshot{}
		for _, r := range c.got.Refs {
			back.Refs = append(back.Refs, ref(r.Name, r.OID))
		}
		if h := c.got.Head; h != nil && h.OID != "" {
			back.Head = ref("HEAD", h.OID)
		} else if h != nil {
			back.Head = symbolic(h.Name)
		}
		if back.Digest() != c.want.Digest() || c.got.Digest != c.want.Digest() {
			t.Errorf("refs.json says %+v, want %+v", c.got, c.want)
		}
	}
}

// Names that a shell or JSON could trip over, a repository whose name looks
// like an option, and a HEAD of which nothing is known but its target.
func TestSegmentOddNames(t *testing.T) {
	t.Parallel()
	for _, branch := range []string{"it's", "$(touch${IFS}pwned)", "`id`;#", `"<&>"`, "-rf", "caf\xe9", "été"} {
		t.Run(branch, func(t *testing.T) {
			t.Parallel()
			dir := repo(t, gittest.Normal)
			name := "refs/heads/" + branch
			git(t, dir, "update-ref", name, "main~1")
			git(t, dir, "symbolic-ref", "HEAD", name)
			st := newStore(t)
			o := testOptions()
			o.Identity.Name = "-n"
			w, err := Create(t.Context(), st, Key("", "acme", "-n", created, 0, false), o)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			s := add(t, w, Repo, dir)
			seg, err := w.Commit()
			if err != nil {
				t.Fatal(err)
			}
			out, _ := unzip(t, object(t, st, seg.Key))
			follow(t, out)
			same(t, filepath.Join(out, "-n.git"), s)
		})
	}
}

// A name that is not UTF-8 keeps its bytes in refs.json.
func TestRefsNotUTF8(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	s := &Snapshot{Head: symbolic("refs/heads/caf\xe9"), Refs: []*plumbing.Reference{ref("refs/heads/caf\xe9", oidA)}}
	if err := writeRefs(&b, &Manifest{}, &Changes{Head: s.Head, Set: s.Refs}, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"head": {"name":"refs/heads/caf\ufffd","bytes":"cmVmcy9oZWFkcy9jYWbp"}`,
		`{"oid":"` + oidA + `","name":"refs/heads/caf\ufffd","bytes":"cmVmcy9oZWFkcy9jYWbp"}`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in %s", want, b.String())
		}
	}
}

// What the wire does not tell, or tells without any ref.
func TestSegmentOddHeads(t *testing.T) {
	t.Parallel()
	source := repo(t, gittest.Normal)
	all := snapshot(t, source)
	tip := git(t, source, "rev-parse", "main")
	for _, c := range []struct {
		name string
		s    Snapshot
	}{
		{"detached and no ref", Snapshot{Head: ref("HEAD", tip)}},
		{"unknown", Snapshot{Refs: all.Refs}},
		{"no branch", Snapshot{Head: symbolic("refs/heads/gone"), Refs: []*plumbing.Reference{ref("refs/tags/only", tip)}}},
		{"empty, unknown", Snapshot{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st := newStore(t)
			w := begin(t, st)
			var err error
			if c.name == "empty, unknown" {
				err = w.Refs(Repo, c.s)
			} else {
				err = w.Bundle(Repo, c.s, pack(t, source, c.s))
			}
			if err != nil {
				t.Fatal(err)
			}
			seg, err := w.Commit()
			if err != nil {
				t.Fatal(err)
			}
			dir, _ := unzip(t, object(t, st, seg.Key))
			checkRefs(t, dir, seg, &c.s, nil)
			follow(t, dir)
			restored := filepath.Join(dir, "site.git")
			git(t, restored, "fsck", "--full")
			got := snapshot(t, restored)
			if c.s.Head == nil { // git chose one
				got.Head = nil
			}
			if got.Digest() != c.s.Digest() {
				t.Errorf("restored %v %v, want %v %v", got.Head, got.Refs, c.s.Head, c.s.Refs)
			}
		})
	}
}

// A short ranged read of the tail finds the manifest.
func TestManifestInTail(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	w := begin(t, st)
	if err := w.Bundle(Repo, oneRef, func(to io.Writer) (uint32, int64, error) {
		n, err := to.Write(randomBytes(1 << 20))
		return 1, int64(n), err
	}); err != nil {
		t.Fatal(err)
	}
	seg, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	b := object(t, st, seg.Key)
	const tail = 16 << 10
	at := int64(len(b) - tail)
	r, err := zip.NewReader(&sparse{at: at, b: b[at:]}, int64(len(b))) // zeros before it
	if err != nil {
		t.Fatal(err)
	}
	var m Manifest
	if err := json.Unmarshal(readEntry(t, r.File[len(r.File)-1]), &m); err != nil {
		t.Fatal(err)
	}
	if m.Digest != seg.Manifest.Digest {
		t.Errorf("manifest %+v, want %+v", m, seg.Manifest)
	}
}

// The bundle alone, without a word of ours, is enough for stock git.
func TestBundleAlone(t *testing.T) {
	t.Parallel()
	source := repo(t, gittest.Normal)
	st := newStore(t)
	w := begin(t, st)
	s := add(t, w, Repo, source)
	seg, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := unzip(t, object(t, st, seg.Key))
	git(t, source, "bundle", "verify", filepath.Join(dir, "repo.bundle"))
	if got, want := git(t, dir, "bundle", "list-heads", "repo.bundle"), git(t, source, "show-ref", "--head"); got != want {
		t.Errorf("the bundle lists\n%s\nwant\n%s", got, want)
	}
	git(t, dir, "clone", "--quiet", "--mirror", "repo.bundle", "copy.git")
	same(t, filepath.Join(dir, "copy.git"), s)
}

// Not parallel: it counts the whole process's allocations. What is allocated
// in all bounds what is held at any time.
func TestMemoryPerRef(t *testing.T) {
	const n = 100_000
	s := Snapshot{Head: symbolic("refs/heads/main")}
	for i := range n {
		s.Refs = append(s.Refs, ref(fmt.Sprintf("refs/pull/%06d/head", i), fmt.Sprintf("%040x", i+1)))
	}
	z := &zipWriter{w: io.Discard, created: created}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	m := Manifest{Parts: Parts{Repo: PartInfo{Digest: s.Digest()}}}
	for name, write := range map[string]func(io.Writer) error{
		"repo.bundle": func(w io.Writer) error { return bundleHead{Refs: s.Refs}.write(w) },
		"refs.json":   func(w io.Writer) error { return writeRefs(w, &m, &Changes{Head: s.Head, Set: s.Refs}, nil) },
	} {
		if _, err := z.add(name, write); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if per := (after.TotalAlloc - before.TotalAlloc) / n; per > 1000 {
		t.Errorf("%d bytes allocated per ref, want at most 1000", per)
	}
}
