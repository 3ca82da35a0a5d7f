package rebuild

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// layOut makes the files of an empty repository (gitrepository-layout(5)),
// those of `git init` without its templates, in a directory that is empty or
// does not exist. HEAD names main, which is unborn.
func layOut(gitDir string, bare bool) error {
	for _, dir := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags", "info"} {
		if err := os.MkdirAll(filepath.Join(gitDir, filepath.FromSlash(dir)), 0o777); err != nil {
			return err
		}
	}
	text, err := config(gitDir, bare)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"config": text, "HEAD": "ref: " + defaultHead + "\n"} {
		err := replaceFile(filepath.Join(gitDir, name), func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, dir := range []string{"objects", "refs", ""} {
		if err := syncDir(filepath.Join(gitDir, dir)); err != nil {
			return err
		}
	}
	return nil
}

// config says what git itself would find out about the file system: create_
// default_files in git's setup.c.
func config(gitDir string, bare bool) (string, error) {
	probe := filepath.Join(gitDir, "probe-CoNfIg")
	if err := os.WriteFile(probe, nil, 0o644); err != nil {
		return "", err
	}
	defer os.Remove(probe)
	var b strings.Builder
	b.WriteString("[core]\n\trepositoryformatversion = 0\n")
	fmt.Fprintf(&b, "\tfilemode = %t\n\tbare = %t\n", keepsMode(probe), bare)
	if !bare {
		b.WriteString("\tlogallrefupdates = true\n")
	}
	if !linksSymbolically(probe) {
		b.WriteString("\tsymlinks = false\n")
	}
	if exists(filepath.Join(gitDir, "PROBE-config")) {
		b.WriteString("\tignorecase = true\n")
	}
	if runtime.GOOS == "darwin" {
		fmt.Fprintf(&b, "\tprecomposeunicode = %t\n", composes(gitDir))
	}
	return b.String(), nil
}

// keepsMode reports whether a file can be made executable, and be seen to be.
func keepsMode(path string) bool {
	before, err := os.Lstat(path)
	if err != nil || os.Chmod(path, 0o744) != nil {
		return false
	}
	after, err := os.Lstat(path)
	return err == nil && after.Mode() != before.Mode()
}

func linksSymbolically(path string) bool {
	link := path + "-link"
	if os.Symlink("nowhere", link) != nil {
		return false
	}
	defer os.Remove(link)
	fi, err := os.Lstat(link)
	return err == nil && fi.Mode()&os.ModeSymlink != 0
}

// composes reports whether the file system takes a letter with an umlaut for
// the same whether it is one code point or two.
func composes(dir string) bool {
	one, two := filepath.Join(dir, "probe-\u00e4"), filepath.Join(dir, "probe-a\u0308")
	if os.WriteFile(one, nil, 0o644) != nil {
		return false
	}
	defer os.Remove(one)
	return exists(two)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
