package archive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gittest"
	"mayfly/internal/store"
)

// packFor is a fetch of what wants reach and haves do not, as git packs it.
func packFor(t testing.TB, dir string, wants, haves []plumbing.Hash) func(io.Writer) (uint32, int64, error) {
	t.Helper()
	var in bytes.Buffer
	for _, id := range wants {
		fmt.Fprintln(&in, id)
	}
	for _, id := range haves {
		if _, err := gittest.Git(dir, "cat-file", "-e", id.String()); err == nil {
			fmt.Fprintf(&in, "^%s\n", id)
		}
	}
	cmd := exec.Command("git", "pack-objects", "--revs", "--stdout", "--quiet", "--delta-base-offset")
	cmd.Dir, cmd.Stdin, cmd.Env = dir, &in, append(gittest.Env(), "GIT_NO_REPLACE_OBJECTS=1")
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

// open reads the newest chain of acme/site and replays it; nil when there is
// none.
func open(t testing.TB, st store.Store) *Chain {
	t.Helper()
	lists, err := Chains(t.Context(), st, "github", "acme", "site", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(lists) == 0 {
		return nil
	}
	c, err := OpenChain(t.Context(), st, "github", lists[len(lists)-1].Objects)
	if err == nil {
		err = c.Replay(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// backUp writes the next segment of acme/site: the states of repo and wiki,
// whose folders may be "".
func backUp(t testing.TB, st store.Store, at time.Time, repo, wiki string) Segment {
	t.Helper()
	o := testOptions()
	o.Created = at
	var w *Writer
	var err error
	if c := open(t, st); c == nil {
		w, err = Create(t.Context(), st, Key("github", "acme", "site", at, 0, false), o)
	} else {
		w, err = Append(t.Context(), st, c, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for part, dir := range map[Part]string{Repo: repo, Wiki: wiki} {
		if dir == "" {
			continue
		}
		s := snapshot(t, dir)
		if wants := w.Wants(part, s); len(wants) == 0 {
			err = w.Refs(part, s)
		} else {
			err = w.Bundle(part, s, packFor(t, dir, wants, w.Haves(part, s)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	seg, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := st.(*faulty); ok {
		seg.Object = f.redate(t, seg.Key, at.Add(time.Minute))
	}
	return seg
}

// byHand restores a point as its RESTORE.txt says and returns the folder.
func byHand(t *testing.T, st store.Store, seg Segment) string {
	t.Helper()
	dir := t.TempDir()
	for o, err := range st.List(t.Context(), strings.TrimSuffix(seg.Key, filepath.Base(seg.Key))) {
		if err != nil {
			t.Fatal(err)
		}
		files, _ := unzip(t, object(t, st, o.Key))
		name := strings.TrimSuffix(filepath.Base(o.Key), ".zip")
		if err := os.Rename(files, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, strings.TrimSuffix(filepath.Base(seg.Key), ".zip"), "RESTORE.txt"))
	if err != nil {
		t.Fatal(err)
	}
	// Unpacked already: this machine may lack unzip.
	text = bytes.Replace(text, []byte("do unzip "), []byte("do : "), 1)
	at := dir
	if seg.Manifest.Kind == KindFull {
		at = filepath.Join(dir, "0000-full")
	}
	if err := os.WriteFile(filepath.Join(at, "RESTORE.txt"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	follow(t, at)
	return at
}

// fsckOnly is a Builder that rebuilds with git's own commands.
type gitBuilder struct {
	dir string
	s   Snapshot
}

func newGitBuilder(t *testing.T) *gitBuilder {
	t.Helper()
	b := &gitBuilder{dir: filepath.Join(t.TempDir(), "rebuilt.git")}
	if err := gittest.Repo(b.dir, gittest.Empty); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *gitBuilder) AddPack(_ context.Context, pack io.Reader) error {
	_, err := gittest.GitInput(b.dir, pack, "index-pack", "--stdin")
	return err
}

func (b *gitBuilder) SetRefs(head *plumbing.Reference, refs []*plumbing.Reference) error {
	b.s = Snapshot{head, refs}
	return nil
}

func (b *gitBuilder) Connected(_ context.Context, tips []plumbing.Hash) error {
	var in bytes.Buffer
	for _, id := range tips {
		fmt.Fprintln(&in, id)
	}
	_, err := gittest.GitInput(b.dir, &in, "rev-list", "--objects", "--quiet", "--stdin")
	return err
}

var _ Builder = (*gitBuilder)(nil)

// steps change a repository; each begins where the one before ended.
var steps = []struct {
	name     string
	commands []string
}{
	{"a commit and a tag", []string{"fetch -q DONOR main:more", "tag -a -m new v2 more"}},
	{"a tag moved", []string{"tag -f light main~4"}},
	{"a branch deleted", []string{"branch -D topic/one"}},
	{"a folder where a branch was", []string{"branch -D more", "branch more/main main~1"}},
	{"and back", []string{"branch -D more/main", "branch more main~2"}},
	{"HEAD moved", []string{"symbolic-ref HEAD refs/heads/more"}},
	{"HEAD detached", []string{"update-ref --no-deref HEAD main~3"}},
	{"a name of the old recipe", []string{"update-ref refs/bk/1/heads/main main"}},
	{"a tag on a blob", []string{"tag blob main:file.txt", "tag -a -m tree tree main^{tree}"}},
	{"notes", []string{"notes add -m note main"}},
	{"odd names", []string{`update-ref refs/heads/a"b'$c;<d>&e main~1`, "update-ref refs/heads/\xff\xfe main~2", "update-ref refs/heads/A/b main", "update-ref refs/heads/a/b main~1"}},
	{"emptied", nil},
	{"filled again with what was there", []string{"update-ref refs/heads/main OLD~1", "symbolic-ref HEAD refs/heads/main"}},
	{"an unrelated history", []string{"fetch -q OTHER +master:main"}},
}

// Every point of a chain comes back as it was: from refs.json, with a Builder,
// and by hand.
func TestChain(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	dir, donor, other, wiki := repo(t, gittest.Normal), repo(t, gittest.Pull), repo(t, gittest.Wiki), repo(t, gittest.Wiki)
	git(t, donor, "update-ref", "refs/heads/main", git(t, donor, "commit-tree", "-p", "main", "-m", "new", "main^{tree}"))
	old := git(t, dir, "rev-parse", "main")
	type point struct {
		seg        Segment
		repo, wiki string // digests
	}
	var points []point
	wikis := []string{wiki, "", wiki} // it goes, and comes back
	back := func() {
		w := wikis[len(points)%len(wikis)]
		seg := backUp(t, st, created.AddDate(0, 0, len(points)), dir, w)
		p := point{seg: seg, repo: snapshot(t, dir).Digest()}
		if w != "" {
			p.wiki = snapshot(t, w).Digest()
		}
		points = append(points, p)
	}
	back()
	for _, step := range steps {
		if step.name == "emptied" {
			git(t, dir, "symbolic-ref", "HEAD", "refs/heads/nowhere")
			for _, ref := range strings.Fields(git(t, dir, "for-each-ref", "--format=%(refname)")) {
				git(t, dir, "update-ref", "-d", ref)
			}
		}
		for _, c := range step.commands {
			git(t, dir, strings.Fields(strings.NewReplacer("DONOR", donor, "OTHER", other, "OLD", old).Replace(c))...)
		}
		// The wiki loses a page's history now and then.
		if len(points)%4 == 1 {
			git(t, wiki, "update-ref", "refs/heads/master", "master~1")
		}
		back()
	}
	c := open(t, st)
	if len(c.Segments) != len(steps)+1 {
		t.Fatalf("%d segments", len(c.Segments))
	}
	all, err := Points(t.Context(), st, "github", "acme", "site")
	if err != nil || len(all) != len(points) {
		t.Fatalf("%d points, %v", len(all), err)
	}
	for i, p := range points {
		if i%3 != 0 && i != len(points)-1 && testing.Short() {
			continue
		}
		hand := byHand(t, st, p.seg)
		at, err := PointAt(t.Context(), st, "github", "acme", "site", created.AddDate(0, 0, i).Add(time.Hour), nil)
		if err != nil || at.Key != p.seg.Key {
			t.Fatalf("point %d is %s, %v", i, at.Key, err)
		}
		for part, want := range map[Part]string{Repo: p.repo, Wiki: p.wiki} {
			folder := filepath.Join(hand, map[Part]string{Repo: "site.git", Wiki: "site.wiki.git"}[part])
			if want == "" {
				if _, err := os.Stat(folder); err == nil || at.Has(part) {
					t.Errorf("point %d has a wiki", i)
				}
				continue
			}
			git(t, folder, "fsck", "--full")
			if got := snapshot(t, folder); got.Digest() != want {
				t.Errorf("point %d, %s by hand: %v %v", i, part, got.Head, got.Refs)
			}
			b := newGitBuilder(t)
			s, err := at.Restore(t.Context(), part, b, nil)
			if err != nil || s.Digest() != want || b.s.Digest() != want {
				t.Errorf("point %d, %s: restored as %v %v, %v", i, part, s.Head, s.Refs, err)
			}
		}
	}
	r := Repository{Prefix: "github", Owner: "acme", Name: "site"}
	deep := func(Part, int64) (Builder, func(), error) { return newGitBuilder(t), func() {}, nil }
	checked, missing, err := Verify(t.Context(), st, r, nil, deep, nil)
	if err != nil || len(checked) == 0 || missing != nil {
		t.Errorf("verify: %v, %v", checked, err)
	}
	for _, k := range checked {
		if len(k.Problems) > 0 || k.Good != k.Segments {
			t.Errorf("verify: %+v", k)
		}
	}
	list, err := Repositories(t.Context(), st, "github/acme")
	if err != nil || len(list) != 1 || list[0].Points != len(points) || list[0].Path() != "github/acme/site" || !list[0].Oldest.Equal(created) || list[0].Gap {
		t.Errorf("listed as %+v, %v", list, err)
	}
	// What is told twice the second segment cannot be told again.
	if _, err := Append(t.Context(), st, &Chain{Prefix: "github", Segments: c.Segments[:1], Repository: c.Repository, st: st, readers: c.readers[:1], parts: c.parts}, testOptions()); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(c.Segments, func(s Segment) bool { return s.Manifest.Kind == KindIncr && len(s.Manifest.Entries) < 5 }) {
		t.Error("no increment came without a bundle")
	}
}
