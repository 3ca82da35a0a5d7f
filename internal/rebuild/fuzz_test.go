package rebuild_test

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gittest"
	"mayfly/internal/rebuild"
)

// Whatever pack Go takes, git takes, and makes the same index for.
func FuzzAddPack(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "source.git")
	if err := gittest.Repo(dir, gittest.Normal); err != nil {
		f.Fatal(err)
	}
	for _, flags := range [][]string{{"--all"}, {"--all", "--delta-base-offset"}} {
		cmd := exec.CommandContext(f.Context(), "git", append([]string{"pack-objects", "--stdout", "--quiet", "--revs"}, flags...)...)
		cmd.Dir, cmd.Env = dir, gittest.Env()
		pack, err := cmd.Output()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pack[:len(pack)-sha1.Size])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, dir := empty(t, rebuild.Options{})
		if r.AddPack(t.Context(), bytes.NewReader(trailed(bytes.Clone(body)))) != nil {
			return
		}
		packs, err := filepath.Glob(filepath.Join(dir, "objects", "pack", "*.idx"))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range packs {
			index := filepath.Join(dir, "idx")
			git(t, dir, "index-pack", "-o", index, p[:len(p)-len("idx")]+"pack")
			ours, err := os.ReadFile(p)
			theirs, err2 := os.ReadFile(index)
			if err != nil || err2 != nil || !bytes.Equal(ours, theirs) {
				t.Errorf("the index differs from git's (%v, %v)", err, err2)
			}
		}
	})
}

// No object makes the walk or the checkout fall over.
func FuzzObject(f *testing.F) {
	id := "0123456789abcdef0123456789abcdef01234567"
	for kind, content := range map[plumbing.ObjectType]string{
		plumbing.CommitObject: "tree " + id + "\nparent " + id + "\nauthor A <a@b> 1 +0000\n",
		plumbing.TreeObject:   entry("100644", "a", id) + entry("40000", "b", id) + entry("160000", "c", id),
		plumbing.TagObject:    "object " + id + "\ntype commit\ntag v1\n",
		plumbing.BlobObject:   "abc",
	} {
		f.Add(byte(kind), []byte(content))
	}
	f.Fuzz(func(t *testing.T, kind byte, content []byte) {
		k := plumbing.ObjectType(kind & 7)
		pack := []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01")
		first, rest := byte(k)<<4|byte(len(content)&15), len(content)>>4
		for rest > 0 {
			pack = append(pack, first|0x80)
			first, rest = byte(rest&0x7f), rest>>7
		}
		b := bytes.NewBuffer(append(pack, first))
		z := zlib.NewWriter(b)
		z.Write(content)
		z.Close()
		r, _ := empty(t, rebuild.Options{Checkout: true})
		if r.AddPack(t.Context(), bytes.NewReader(trailed(b.Bytes()))) != nil {
			return
		}
		tip := plumbing.ComputeHash(k, content)
		err := r.Connected(t.Context(), []plumbing.Hash{tip})
		if k == plumbing.BlobObject && err != nil {
			t.Error(err)
		}
		if err := r.SetRefs(nil, []*plumbing.Reference{named("refs/heads/main", tip)}); err != nil {
			t.Fatal(err)
		}
		_ = r.CheckOut(t.Context())
	})
}
