package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	dirsync "mayfly/jobs/sync"
	"mayfly/runner"
)

// directory lists the files of what a sync job keeps, if path is within that;
// done is false when it is not.
func (l *lister) directory(ctx context.Context, at string) (done bool, err error) {
	prefix, sub, ok, err := dirsync.Find(ctx, l.st, at)
	if err != nil || !ok {
		return false, nil // whoever looks for repositories says what is wrong
	}
	type fileJSON struct {
		Path     string    `json:"path"`
		Bytes    int64     `json:"bytes"`
		Modified time.Time `json:"modified"`
	}
	list := []fileJSON{}
	w := tabwriter.NewWriter(l.app.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	files, bytes := 0, int64(0)
	show := func(f dirsync.File) {
		files++
		bytes += f.Size
		if l.json {
			list = append(list, fileJSON{f.Path, f.Size, f.Modified})
			return
		}
		fmt.Fprintf(w, "%s\t%s\t  %s\n", runner.FormatSize(f.Size), f.Modified.Local().Format("2006-01-02 15:04"), runner.OneLine(f.Path, 1024))
	}
	if sub != "" {
		if f, err := dirsync.One(ctx, l.st, prefix, sub); err == nil {
			show(f)
		}
	}
	for f, err := range dirsync.Files(ctx, l.st, prefix, sub) {
		if err != nil {
			return true, err
		}
		show(f)
	}
	if files == 0 {
		return true, fmt.Errorf("nothing of %s is in %s: mayfly list %s%s shows what there is", at, l.st.URL(""), prefix, l.flags)
	}
	if l.json {
		return true, l.printJSON(map[string]any{"store": l.st.URL(""), "prefix": prefix, "files": list})
	}
	if err := w.Flush(); err != nil {
		return true, err
	}
	fmt.Fprintf(l.app.stdout, "\n%s, %s in %s\nNext: mayfly restore %s%s\n", runner.FormatCount(files, "files"), runner.FormatSize(bytes), l.st.URL(prefix), shellWord(at), l.flags)
	return true, nil
}

// directories are what sync jobs keep, as a table.
func (l *lister) directories(all []dirsync.Directory) error {
	if len(all) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(l.app.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "DIRECTORY\tFILES\tSIZE\tLAST SYNC\n")
	for _, d := range all {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", d.Prefix, d.Files, runner.FormatSize(d.Bytes), day(d.Synced))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(l.app.stdout, "Next: mayfly list %s%s\n", all[0].Prefix, l.flags)
	return nil
}
