package rebuild_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/gittest"
	"mayfly/internal/rebuild"
)

// Every kind of repository comes back as it was, or is refused for what it is.
func TestKinds(t *testing.T) {
	t.Parallel()
	for _, kind := range gittest.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			from := source(t, kind)
			head, refs := state(t, from)
			pack := everything(t, from)
			bothEngines(t, func(t *testing.T, path string) {
				for _, checkout := range []bool{false, true} {
					r, dir := empty(t, rebuild.Options{Git: path, Checkout: checkout})
					err := r.AddPack(t.Context(), strings.NewReader(string(pack)))
					if kind == gittest.SHA256 {
						if err == nil {
							t.Error("a pack with SHA-256 was taken")
						}
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					err = r.Connected(t.Context(), tips(head, refs))
					if kind == gittest.Shallow {
						if err == nil || !strings.Contains(err.Error(), "commit") && !strings.Contains(err.Error(), "parents") {
							t.Errorf("history is cut off, but Connected says: %v", err)
						}
						continue
					}
					if err != nil {
						t.Error(err)
					}
					if err := r.SetRefs(head, refs); err != nil {
						t.Fatal(err)
					}
					sameState(t, dir, from)
					sound(t, dir)
				}
			})
		})
	}
}

// Both engines leave the same files, and no more than git needs.
func TestLayout(t *testing.T) {
	t.Parallel()
	from := source(t, gittest.Normal)
	var files [2]string
	for i, path := range []string{findGit(t), ""} {
		_, dir := filled(t, rebuild.Options{Git: path}, from)
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if strings.HasSuffix(path, ".rev") { // of git 2.41 and later, only there for speed
				return nil
			}
			fi, err := d.Info()
			rel, _ := filepath.Rel(dir, path)
			files[i] += fi.Mode().String() + " " + rel + "\n"
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "config"))
		if want := "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"; err != nil || string(text) != want {
			t.Errorf("config is %q, not %q (%v)", text, want, err)
		}
	}
	if files[0] != files[1] {
		t.Errorf("git leaves\n%s\nGo leaves\n%s", files[0], files[1])
	}
	if strings.Contains(files[0], "hooks") || strings.Contains(files[0], "probe") {
		t.Errorf("there is more than there should be:\n%s", files[0])
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, checkout := range []bool{false, true} {
		for _, path := range []string{dir, file} {
			_, err := rebuild.New(t.Context(), rebuild.Options{Dir: path, Checkout: checkout})
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("New in %s: %v", path, err)
			}
		}
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("the directory was touched: %v, %v", names, err)
	}
	if text, err := os.ReadFile(file); string(text) != "mine" {
		t.Errorf("the file was touched: %q, %v", text, err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := rebuild.New(t.Context(), rebuild.Options{Dir: empty}); err != nil {
		t.Errorf("an empty directory is refused: %v", err)
	}
}
