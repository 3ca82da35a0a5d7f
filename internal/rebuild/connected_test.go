package rebuild_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gittest"
	"mayfly/internal/rebuild"
)

// Whatever is missing is found and named.
func TestMissing(t *testing.T) {
	t.Parallel()
	from := source(t, gittest.OddTags)
	git(t, from, "tag", "-a", "-m", "commit", "annotated", "main~1")
	git(t, from, "tag", "-a", "-m", "nested", "nested", "annotated")
	git(t, from, "tag", "-a", "-m", "note", "note", "main~5:notes/n01.md")
	git(t, from, "tag", "-d", "blob", "tree")
	objects := strings.Fields(git(t, from, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)"))
	head, refs := state(t, from)
	for name, what := range map[string]string{
		"tip":                      "main",
		"parent":                   "main~3",
		"root":                     "main~11",
		"tree of the tip":          "main^{tree}",
		"tree of an old commit":    "main~7^{tree}",
		"subtree":                  "main~2:notes",
		"blob":                     "main:file.txt",
		"blob in a subtree":        "main:notes/n04.md",
		"blob of an old commit":    "main~9:file.txt",
		"tag that is a tip":        "nested",
		"tag that a tag names":     "nested^{object}",
		"commit that a tag names":  "annotated^{commit}",
		"blob that a tag names":    "note^{}",
		"tree that a tag names":    "annotated-tree^{}",
		"tag between tag and blob": "nested-blob^{object}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := git(t, from, "rev-parse", what)
			kept := strings.Replace(strings.Join(objects, "\n")+"\n", id+"\n", "", 1)
			pack := packOf(t, from, kept)
			bothEngines(t, func(t *testing.T, path string) {
				r, _ := empty(t, rebuild.Options{Git: path})
				add(t, r, pack)
				err := r.Connected(t.Context(), tips(head, refs))
				if err == nil || !strings.Contains(err.Error(), id) && !namesIts(err, from, what) {
					t.Errorf("%s is missing, but Connected says: %v", id, err)
				}
				// With what was missing, all is well.
				add(t, r, packOf(t, from, id+"\n"))
				if err := r.Connected(t.Context(), tips(head, refs)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// namesIts reports whether an error names the child of a missing commit,
// which is what git does.
func namesIts(err error, dir, what string) bool {
	n := 0
	if c, _ := fmt.Sscanf(what, "main~%d", &n); c == 0 {
		return false
	}
	child, gerr := gittest.Git(dir, "rev-parse", fmt.Sprintf("main~%d", n-1))
	return gerr == nil && strings.Contains(err.Error(), child)
}

// Objects that git would never make: each is there, with the right id.
func TestDamagedObjects(t *testing.T) {
	t.Parallel()
	from := source(t, gittest.Normal)
	blob, tree, commit := git(t, from, "rev-parse", "main:file.txt"), git(t, from, "rev-parse", "main^{tree}"), git(t, from, "rev-parse", "main")
	who := "author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nmessage\n"
	raw := func(id string) string { h := plumbing.NewHash(id); return string(h[:]) }
	for name, c := range map[string]struct {
		kind, content string
		goOnly        bool // git's walk does not look at it
	}{
		"commit without a tree":     {kind: "commit", content: who},
		"commit with half an id":    {kind: "commit", content: "tree 1234\n" + who},
		"commit of a blob":          {kind: "commit", content: "tree " + blob + "\n" + who},
		"parent is a tree":          {kind: "commit", content: "tree " + tree + "\nparent " + tree + "\n" + who},
		"parent is not an id":       {kind: "commit", content: "tree " + tree + "\nparent " + strings.Repeat("x", 40) + "\n" + who},
		"tree cut off":              {kind: "tree", content: "100644 name\x00short"},
		"tree without a mode":       {kind: "tree", content: " name\x00" + raw(blob)},
		"tree with a mode of words": {kind: "tree", content: "octal name\x00" + raw(blob)},
		"tree without a name":       {kind: "tree", content: "100644 \x00" + raw(blob)},
		"folder is a file":          {kind: "tree", content: "40000 name\x00" + raw(blob)},
		"file is a folder":          {kind: "tree", content: "100644 name\x00" + raw(tree), goOnly: true},
		"file is a commit":          {kind: "tree", content: "100644 name\x00" + raw(commit), goOnly: true},
		"tag of nothing":            {kind: "tag", content: "type commit\ntag v1\n\nmessage\n"},
		"tag without a name":        {kind: "tag", content: "object " + commit + "\ntype commit\n\nmessage\n"},
		"tag of an unknown type":    {kind: "tag", content: "object " + commit + "\ntype branch\ntag v1\n\nmessage\n"},
		"tag of another type":       {kind: "tag", content: "object " + commit + "\ntype tree\ntag v1\n\nmessage\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := gitInput(t, from, c.content, "hash-object", "-t", c.kind, "--literally", "-w", "--stdin")
			pack := packOf(t, from, strings.Join([]string{id, blob, tree, commit}, "\n")+"\n")
			bothEngines(t, func(t *testing.T, path string) {
				r, _ := empty(t, rebuild.Options{Git: path})
				add(t, r, everything(t, from), pack)
				err := r.Connected(t.Context(), []plumbing.Hash{plumbing.NewHash(id)})
				if c.goOnly && path != "" {
					return
				}
				if err == nil {
					t.Error("Connected found nothing wrong")
				}
				t.Log(err)
			})
		})
	}
}

// Submodules name commits of other repositories.
func TestSubmodulesAreNotFollowed(t *testing.T) {
	t.Parallel()
	from := source(t, gittest.Normal)
	elsewhere := strings.Repeat("ab", 20)
	tree := gitInput(t, from, "160000 commit "+elsewhere+"\tsub\n", "mktree")
	id := plumbing.NewHash(git(t, from, "commit-tree", "-m", "with a submodule", tree))
	pack := packOf(t, from, id.String()+"\n"+tree+"\n")
	bothEngines(t, func(t *testing.T, path string) {
		r, _ := empty(t, rebuild.Options{Git: path})
		add(t, r, pack)
		if err := r.Connected(t.Context(), []plumbing.Hash{id}); err != nil {
			t.Error(err)
		}
	})
}

// Replace refs, grafts, alternates and the caller's environment hide nothing.
func TestConnectedIsNotFooled(t *testing.T) {
	t.Parallel()
	from := source(t, gittest.Normal)
	whole, broken := git(t, from, "rev-parse", "main~3"), git(t, from, "rev-parse", "main~2")
	objects := git(t, from, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)") + "\n"
	missing := git(t, from, "rev-parse", "main~2^{tree}")
	pack := packOf(t, from, strings.Replace(objects, missing+"\n", "", 1))
	head, refs := state(t, from)
	refs = append(refs, plumbing.NewHashReference(plumbing.ReferenceName("refs/replace/"+broken), plumbing.NewHash(whole)))
	bothEngines(t, func(t *testing.T, path string) {
		home := t.TempDir()
		if err := os.WriteFile(filepath.Join(home, "grafts"), []byte(git(t, from, "rev-parse", "main")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r, _ := empty(t, rebuild.Options{Git: path, Env: append(os.Environ(),
			"GIT_DIR="+from, "GIT_OBJECT_DIRECTORY="+filepath.Join(from, "objects"),
			"GIT_ALTERNATE_OBJECT_DIRECTORIES="+filepath.Join(from, "objects"),
			"GIT_GRAFT_FILE="+filepath.Join(home, "grafts"),
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=extensions.partialClone", "GIT_CONFIG_VALUE_0=origin")})
		add(t, r, pack)
		if err := r.SetRefs(head, refs); err != nil {
			t.Fatal(err)
		}
		err := r.Connected(t.Context(), tips(head, refs))
		if err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("a tree is missing, but Connected says: %v", err)
		}
	})
}

// Many tips, each of them more than once.
func TestManyTips(t *testing.T) {
	t.Parallel()
	from := filepath.Join(t.TempDir(), "many.git")
	if err := gittest.Many(from, 1500); err != nil {
		t.Fatal(err)
	}
	head, refs := state(t, from)
	pack := everything(t, from)
	bothEngines(t, func(t *testing.T, path string) {
		r, dir := empty(t, rebuild.Options{Git: path})
		if err := r.AddPack(t.Context(), bytes.NewReader(pack)); err != nil {
			t.Fatal(err)
		}
		ids := tips(head, refs)
		if err := r.Connected(t.Context(), append(ids, ids...)); err != nil {
			t.Error(err)
		}
		if err := r.SetRefs(head, refs); err != nil {
			t.Fatal(err)
		}
		sameState(t, dir, from)
	})
}
