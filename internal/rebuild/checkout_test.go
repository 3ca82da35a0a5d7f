package rebuild_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gittest"
	"mayfly/internal/rebuild"
)

func TestCheckOut(t *testing.T) {
	t.Parallel()
	for _, kind := range []gittest.Kind{gittest.Normal, gittest.Detached, gittest.Shared, gittest.Wiki, gittest.Unborn, gittest.Empty} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			from := source(t, kind)
			bothEngines(t, func(t *testing.T, path string) {
				r, dir := filled(t, rebuild.Options{Git: path, Checkout: true}, from)
				err := r.CheckOut(t.Context())
				switch {
				case kind == gittest.Unborn || kind == gittest.Empty:
					if !errors.Is(err, rebuild.ErrUnborn) {
						t.Errorf("CheckOut says %v", err)
					}
					return
				case err != nil:
					t.Fatal(err)
				}
				if out := git(t, dir, "status", "--porcelain", "--ignored"); out != "" {
					t.Errorf("git status says\n%s", out)
				}
				want := git(t, from, "show", "HEAD:file.txt")
				if text, err := os.ReadFile(filepath.Join(dir, "file.txt")); strings.TrimSuffix(string(text), "\n") != want {
					t.Errorf("file.txt is %q, not %q: %v", text, want, err)
				}
				sameState(t, dir, from)
				sound(t, dir)
			})
		})
	}
	r, _ := filled(t, rebuild.Options{Git: findGit(t)}, source(t, gittest.Normal))
	if err := r.CheckOut(t.Context()); err == nil || !strings.Contains(err.Error(), "bare") {
		t.Errorf("CheckOut of a bare repository says %v", err)
	}
}

// Files of all modes, folders in an order of their own, and odd names.
func TestCheckOutModes(t *testing.T) {
	t.Parallel()
	from := source(t, gittest.Normal)
	object := func(content string) string { return gitInput(t, from, content, "hash-object", "-w", "--stdin") }
	script, link, attributes := object("#!/bin/sh\n"), object("../else/where"), object("*.crlf eol=crlf\n* filter=lfs\n")
	commit := strings.Repeat("ab", 20)
	var lines strings.Builder
	for _, l := range [][3]string{
		{"100644 blob", script, "a.b"}, {"100644 blob", script, "a/b/c"}, {"100644 blob", script, "a/b0"}, {"100644 blob", script, "a0"},
		{"100755 blob", script, "run"}, {"120000 blob", link, "link"}, {"120000 blob", link, "a/link"}, {"160000 commit", commit, "sub/module"},
		{"100644 blob", attributes, ".gitattributes"}, {"100644 blob", script, "windows.crlf"}, {"100644 blob", script, "caf\xe9"},
		{"100644 blob", script, ".github/x"}, {"100644 blob", script, "git~10"}, {"100644 blob", script, "..."}, {"100644 blob", object(""), "nothing"},
		{"100644 blob", script, strings.Repeat(strings.Repeat("long", 50)+"/", 18) + "x"},
	} {
		fmt.Fprintf(&lines, "%s %s\t%s\n", l[0], l[1], l[2])
	}
	index := append(gittest.Env(), "GIT_INDEX_FILE="+filepath.Join(t.TempDir(), "index"))
	var tree string
	for _, args := range [][]string{{"update-index", "--index-info"}, {"write-tree", "--missing-ok"}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir, cmd.Env, cmd.Stdin = from, index, strings.NewReader(lines.String())
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(args, err)
		}
		tree = strings.TrimSpace(string(out))
	}
	git(t, from, "update-ref", "refs/heads/main", git(t, from, "commit-tree", "-m", "modes", tree))
	git(t, from, "tag", "-a", "-m", "annotated", "annotated", "main")
	var listings [2]string
	for i, path := range []string{findGit(t), ""} {
		r, dir := filled(t, rebuild.Options{Git: path, Checkout: true}, from)
		if err := r.Connected(t.Context(), tips(state(t, from))); err != nil {
			t.Error(err)
		}
		if err := r.CheckOut(t.Context()); err != nil {
			t.Fatal(err)
		}
		if out := git(t, dir, "status", "--porcelain", "--ignored"); out != "" {
			t.Errorf("git status says\n%s", out)
		}
		git(t, dir, "diff-index", "--exit-code", "HEAD") // git status has refreshed the index
		if got, want := git(t, dir, "ls-files", "--stage"), git(t, from, "ls-tree", "-r", "--format=%(objectmode) %(objectname) 0%x09%(path)", "main"); got != want {
			t.Errorf("the index has\n%s\nnot\n%s", got, want)
		}
		sound(t, dir)
		listings[i] = modes(t, dir)
	}
	// What attributes say about ends of lines is git's to do.
	if got, want := listings[1], strings.Replace(listings[0], "#!/bin/sh\\r\\n", "#!/bin/sh\\n", 1); got != want {
		t.Errorf("Go writes\n%s\nand git\n%s", got, want)
	}
}

// modes lists the work tree: modes, names, and what is in files and links.
func modes(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == ".git" {
			return filepath.SkipDir
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		var text []byte
		switch {
		case fi.Mode()&os.ModeSymlink != 0:
			target, lerr := os.Readlink(path)
			text, err = []byte(target), lerr
		case fi.Mode().IsRegular():
			text, err = os.ReadFile(path)
		}
		fmt.Fprintf(&b, "%s %q %q\n", fi.Mode(), strings.TrimPrefix(path, dir), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A tree entry as it stands in a tree object.
func entry(mode, name, id string) string {
	h := plumbing.NewHash(id)
	return mode + " " + name + "\x00" + string(h[:])
}

// Trees that want to write elsewhere do not, and the error says what to do.
func TestHostileTrees(t *testing.T) {
	t.Parallel()
	from := source(t, gittest.Normal)
	object := func(kind, content string) string {
		return gitInput(t, from, content, "hash-object", "-t", kind, "--literally", "-w", "--stdin")
	}
	blob := object("blob", "#!/bin/sh\ntouch owned\n")
	config := object("tree", entry("100644", "config", blob))
	hooks := object("tree", entry("40000", "hooks", object("tree", entry("100755", "post-checkout", blob))))
	outside := t.TempDir()
	link, linkGit := object("blob", outside), object("blob", ".git")
	one, two := object("tree", entry("100644", "x", blob)), object("tree", entry("40000", "x", config))
	cases := map[string]struct {
		tree  string
		taken bool // it is harmless on this system
	}{
		".git folder":            {tree: entry("40000", ".git", config)},
		".git hooks":             {tree: entry("40000", ".git", hooks)},
		".git file":              {tree: entry("100644", ".git", blob)},
		".git link":              {tree: entry("120000", ".git", link)},
		".GIT":                   {tree: entry("40000", ".GIT", config)},
		".git below":             {tree: entry("40000", "sub", object("tree", entry("40000", ".git", config)))},
		"git~1":                  {tree: entry("40000", "git~1", config)},
		".git for HFS":           {tree: entry("40000", ".g\u200cit", config)},
		".git for NTFS":          {tree: entry("40000", ".git ", config)},
		".git stream":            {tree: entry("40000", ".git::$INDEX_ALLOCATION", config)},
		"..":                     {tree: entry("40000", "..", config)},
		".":                      {tree: entry("40000", ".", config)},
		"slash":                  {tree: entry("100644", "sub/../../escaped", blob)},
		"slash to .git":          {tree: entry("100644", ".git/config", blob)},
		"root":                   {tree: entry("100644", "/"+outside+"/escaped", blob)},
		"backslash":              {tree: entry("100644", "sub\\..\\..\\escaped", blob), taken: true},
		"link and file":          {tree: entry("120000", "a", link) + entry("40000", "a", one)},
		"file and link":          {tree: entry("40000", "a", one) + entry("120000", "a", link)},
		"link to .git and file":  {tree: entry("120000", "a", linkGit) + entry("40000", "a", config)},
		"link, other case, file": {tree: entry("120000", "A", link) + entry("40000", "a", one), taken: true},
		"cases collide":          {tree: entry("100644", "A", blob) + entry("100644", "a", blob) + entry("40000", "B", two) + entry("40000", "b", one), taken: true},
		"submodules file link":   {tree: entry("120000", ".gitmodules", link)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := object("tree", c.tree)
			commit := gitInput(t, from, "hostile", "commit-tree", tree)
			objects := strings.Fields(git(t, from, "rev-list", "--objects", "--no-object-names", "main"))
			pack := packOf(t, from, strings.Join(append(objects, commit, tree, blob, config, hooks, link, linkGit, one, two), "\n")+"\n"+
				strings.Join(strings.Fields(git(t, from, "rev-list", "--objects", "--no-object-names", commit)), "\n")+"\n")
			bothEngines(t, func(t *testing.T, path string) {
				parent := t.TempDir()
				r, dir := empty(t, rebuild.Options{Git: path, Checkout: true, Dir: filepath.Join(parent, "a", "work")})
				add(t, r, pack)
				id := plumbing.NewHash(commit)
				if err := r.Connected(t.Context(), []plumbing.Hash{id}); err != nil {
					t.Error(err)
				}
				if err := r.SetRefs(nil, []*plumbing.Reference{named("refs/heads/main", id)}); err != nil {
					t.Fatal(err)
				}
				before := listing(t, filepath.Join(dir, ".git"))
				err := r.CheckOut(t.Context())
				t.Logf("%v", err)
				switch {
				case err != nil && !strings.Contains(err.Error(), "restore without --checkout"):
					t.Errorf("the error does not say what to do: %v", err)
				case err == nil && !c.taken && !strings.Contains(name, "link"):
					t.Errorf("it was checked out:\n%s", listing(t, dir))
				case err != nil && c.taken && runtime.GOOS == "linux":
					t.Errorf("it was not checked out: %v", err)
				}
				after := strings.ReplaceAll(listing(t, filepath.Join(dir, ".git")), "index\n", "")
				if after != before {
					t.Errorf(".git was\n%s\nand is\n%s", before, after)
				}
				if got := listing(t, outside); got != ".\n" {
					t.Errorf("outside there is\n%s", got)
				}
				if names, err := os.ReadDir(filepath.Join(parent, "a")); err != nil || len(names) != 1 {
					t.Errorf("beside the work tree: %v, %v", names, err)
				}
			})
		})
	}
}

// listing names the files below dir, and says what config and HEAD hold.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		fmt.Fprintln(&b, rel)
		if name := d.Name(); name == "config" || name == "HEAD" {
			text, err := os.ReadFile(path)
			fmt.Fprintf(&b, "%q\n", text)
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Neither the user's configuration nor the repository's attributes make
// anything run.
func TestCheckOutRunsNothing(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	ran := filepath.Join(home, "ran")
	hooks := filepath.Join(home, "hooks")
	config := fmt.Sprintf(`[filter "evil"]
	smudge = touch %[1]s && cat
	clean = touch %[1]s && cat
	process = touch %[1]s
	required = true
[core]
	hooksPath = %[2]s
	fsmonitor = touch %[1]s
	attributesFile = %[3]s/attributes
	sshCommand = touch %[1]s
[diff "evil"]
	textconv = touch %[1]s
`, ran, hooks, home)
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(home, ".gitconfig"), config, 0o600)
	write(filepath.Join(home, "git", "config"), config, 0o600)
	write(filepath.Join(home, "attributes"), "* filter=evil\n", 0o600)
	write(filepath.Join(home, "git", "attributes"), "* filter=evil\n", 0o600)
	for _, hook := range []string{"post-checkout", "post-index-change", "reference-transaction", "fsmonitor-watchman"} {
		write(filepath.Join(hooks, hook), "#!/bin/sh\ntouch "+ran+"\n", 0o700)
	}
	from := source(t, gittest.Normal)
	tree := gitInput(t, from, "100644 blob "+gitInput(t, from, "* filter=evil diff=evil\n", "hash-object", "-w", "--stdin")+"\t.gitattributes\n"+
		"100644 blob "+git(t, from, "rev-parse", "main:file.txt")+"\tfile.txt\n", "mktree")
	git(t, from, "update-ref", "refs/heads/main", git(t, from, "commit-tree", "-m", "attributes", tree))

	r, dir := filled(t, rebuild.Options{Git: findGit(t), Checkout: true, Env: append(os.Environ(),
		"HOME="+home, "XDG_CONFIG_HOME="+home, "GIT_CONFIG_GLOBAL="+filepath.Join(home, ".gitconfig"),
		"GIT_DIR="+from, "GIT_WORK_TREE="+home, "GIT_INDEX_FILE="+filepath.Join(home, "index"), "GIT_TEMPLATE_DIR="+hooks,
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=filter.evil.smudge", "GIT_CONFIG_VALUE_0=touch "+ran)}, from)
	if err := r.Connected(t.Context(), tips(state(t, from))); err != nil {
		t.Error(err)
	}
	if err := r.CheckOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(ran); err == nil {
		t.Error("something ran")
	}
	if out := git(t, dir, "status", "--porcelain"); out != "" {
		t.Errorf("git status says\n%s", out)
	}
	if _, err := os.Lstat(filepath.Join(home, "index")); err == nil {
		t.Error("the index is elsewhere")
	}
}
