package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/archive"
)

// aimed is a target with a finished repository.
func aimed(t *testing.T, dir string) *target {
	t.Helper()
	to, err := aim(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"HEAD", "config", "objects/pack/p"} {
		file := filepath.Join(to.work, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// tree is all that is below dir, hidden temporary folders too.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

const whole = "HEAD config objects/pack/p"

// A repository comes into a new folder, an empty one, and one that a link leads
// to; what was there keeps its mode and stays what it was.
func TestTarget(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{"new", "new/deeper", "slash/"} {
		to := aimed(t, root+"/at-"+dir)
		if err := to.keep(); err != nil {
			t.Fatal(err)
		}
		to.drop()
		if got := tree(t, filepath.Join(root, "at-"+dir)); !strings.HasSuffix(got, whole) {
			t.Errorf("%s holds %s", dir, got)
		}
		if err := os.RemoveAll(filepath.Join(root, "at-new")); err != nil {
			t.Fatal(err)
		}
	}
	private, link := filepath.Join(root, "private"), filepath.Join(root, "link")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("private", link); err != nil {
		t.Fatal(err)
	}
	to := aimed(t, link)
	if err := to.keep(); err != nil {
		t.Fatal(err)
	}
	to.drop()
	if got := tree(t, private); got != whole {
		t.Errorf("it holds %s", got)
	}
	if fi, err := os.Stat(private); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("its mode is %v, %v", fi.Mode(), err)
	}
	if fi, err := os.Lstat(link); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", fi.Mode(), err)
	}
}

// What comes into the folder's place during a long restore is never touched.
func TestTargetTaken(t *testing.T) {
	t.Parallel()
	file := func(p string) error { return os.WriteFile(p, []byte("precious"), 0o600) }
	for name, c := range map[string]struct {
		before bool // the folder is there, and empty
		come   func(dir string) error
		want   string
	}{
		"a file":                   {false, file, "dir"},
		"a link":                   {false, func(p string) error { return os.Symlink("elsewhere", p) }, "dir"},
		"a folder":                 {false, func(p string) error { return os.Mkdir(p, 0o700) }, ""},
		"a folder with something":  {false, func(p string) error { os.Mkdir(p, 0o700); return file(p + "/f") }, "dir/f"},
		"something in the folder":  {true, func(p string) error { return file(p + "/f") }, "dir/f"},
		"a file of the same name":  {true, func(p string) error { return file(p + "/HEAD") }, "dir/HEAD"},
		"the folder is a file now": {true, func(p string) error { os.RemoveAll(p); return file(p) }, "dir"},
	} {
		root := t.TempDir()
		dir := filepath.Join(root, "dir")
		if c.before {
			if err := os.Mkdir(dir, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		to := aimed(t, dir)
		if err := c.come(dir); err != nil {
			t.Fatal(err)
		}
		if err := to.keep(); err == nil {
			t.Errorf("%s: no error", name)
		}
		to.drop()
		if got := tree(t, root); got != c.want {
			t.Errorf("%s: then there is %q", name, got)
		}
	}
}

func TestTargetRefused(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Symlink("nowhere", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"link", "file", "file/below", "."} {
		if to, err := aim(filepath.Join(root, dir)); err == nil {
			t.Errorf("%s was taken: %+v", dir, to)
		}
	}
	if got := tree(t, root); got != "file link" {
		t.Errorf("then there is %s", got)
	}
}

// A key that somebody put into the store leads nowhere outside.
func TestInside(t *testing.T) {
	t.Parallel()
	for prefix, ok := range map[string]bool{
		"": true, "github": true, "a/b": true, "a..b": true,
		"..": false, "a/../../b": false, "/etc": false, `a\..\..\b`: false, `\\host\share`: false, "C:": false, "a/./b": false, "a\x1b[2Jb": false,
	} {
		if err := inside(archive.Repository{Prefix: prefix, Owner: "o", Name: "r"}); (err == nil) != ok {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}
