package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	dirsync "mayfly/jobs/sync"
	"mayfly/runner"
)

type directoryJSON struct {
	Directory string    `json:"directory"` // as restore takes it
	Files     int       `json:"files"`
	Size      int64     `json:"size_bytes"`
	Changed   time.Time `json:"last_change,omitzero"` // when the run began that last changed something
}

// directories counts what sync jobs keep.
func (l *lister) directories(ctx context.Context, seen *dirsync.Watcher) ([]directoryJSON, error) {
	trees, err := seen.Trees(ctx)
	if err != nil {
		return nil, err
	}
	var list []directoryJSON
	for _, t := range trees {
		n, size, err := t.Sum(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, directoryJSON{t.Path(), n, size, t.Changed})
	}
	return list, nil
}

func (l *lister) directoryTable(dirs []directoryJSON) error {
	if len(dirs) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(l.app.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "DIRECTORY\tFILES\tSIZE\tLAST CHANGE\n")
	for _, d := range dirs {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", d.Directory, d.Files, runner.FormatSize(d.Size), day(d.Changed))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(l.app.stdout, "\nNext: mayfly list %s%s\n", shellWord(dirs[0].Directory), l.flags)
	return nil
}

type fileJSON struct {
	Path     string    `json:"path"` // relative to the directory
	Size     int64     `json:"size_bytes"`
	Modified time.Time `json:"modified"`
	Mode     string    `json:"mode,omitempty"` // permissions in octal, where the index knows them
}

// files shows what is in a synced directory, one by one as the store lists
// them: there may be millions.
func (l *lister) files(ctx context.Context, t *dirsync.Tree) error {
	n, size := 0, int64(0)
	if l.json {
		at, err := json.Marshal(t.Path())
		if err != nil {
			return err
		}
		fmt.Fprintf(l.app.stdout, "{\n  \"directory\": %s,\n  \"files\": [", at)
	}
	for f, err := range t.Files(ctx) {
		if err != nil {
			return err
		}
		if f.Path == "" && !l.json { // the tree is one file
			f.Path = path.Base(t.Path())
		}
		if err := l.file(f, n); err != nil {
			return err
		}
		n++
		size += f.Size
	}
	if l.json {
		fmt.Fprint(l.app.stdout, "\n  ]\n}\n")
	}
	switch {
	case n == 0:
		return fmt.Errorf("nothing of %s is in %s: mayfly list %s%s shows what there is", t.Path(), l.st.URL(""), shellWord(t.Prefix), l.flags)
	case !l.json:
		fmt.Fprintf(l.app.stdout, "\n%s, %s in %s\nNext: mayfly restore %s%s\n", runner.FormatCount(n, "files"), runner.FormatSize(size), l.st.URL(t.Path()), shellWord(t.Path()), l.flags)
	}
	return nil
}

func (l *lister) file(f dirsync.File, n int) error {
	if !l.json {
		if n == 0 {
			fmt.Fprintf(l.app.stdout, "%12s  %-20s  %s\n", "SIZE", "MODIFIED", "FILE")
		}
		_, err := fmt.Fprintf(l.app.stdout, "%12d  %-20s  %s\n", f.Size, day(f.Modified), printable(f.Path))
		return err
	}
	j := fileJSON{Path: f.Path, Size: f.Size, Modified: f.Modified.UTC()}
	if f.Known {
		j.Mode = fmt.Sprintf("%04o", f.Mode)
	}
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	comma := ","
	if n == 0 {
		comma = ""
	}
	_, err = fmt.Fprintf(l.app.stdout, "%s\n    %s", comma, b)
	return err
}

// printable is a path as a terminal may get it: of other tools' objects, keys
// may hold anything.
func printable(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(path)
	}
	return path
}
