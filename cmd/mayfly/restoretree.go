package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	dirsync "mayfly/jobs/sync"
	"mayfly/runner"
)

// syncPrefixes are the prefixes of a config's sync jobs.
func syncPrefixes(c *runner.Config) []string {
	if c == nil {
		return nil
	}
	var list []string
	for _, j := range c.Jobs {
		if j.Kind == "sync" {
			list = append(list, string(j.Prefix))
		}
	}
	return list
}

// checkTree refuses what is about repositories.
func (o restoreOptions) checkTree(t *dirsync.Tree) error {
	for flag, given := range map[string]bool{"--wiki": o.wiki, "--checkout": o.checkout, "--all": o.all, "--push-to": o.pushTo != ""} {
		if given {
			return fmt.Errorf("%s is about repositories, and %s is a directory that a sync job keeps: leave it out", flag, t.Prefix)
		}
	}
	if o.at != "" {
		return fmt.Errorf("--at is about repositories: a sync job keeps %s as of its last run alone; earlier versions of the files are there if the bucket keeps versions, with aws s3api list-object-versions", t.Prefix)
	}
	return nil
}

// tree brings a synced directory back, or a part of it.
func (r *restoring) tree(ctx context.Context, t *dirsync.Tree, dir string) error {
	what := t.Path()
	if dir == "" {
		dir = path.Base(what)
	}
	single, total, err := r.measure(ctx, t)
	if err != nil {
		return fmt.Errorf("restore %s: %w", what, err)
	}
	if single {
		if fi, err := os.Stat(dir); err == nil && fi.IsDir() {
			dir = filepath.Join(dir, path.Base(what))
		}
		if _, err := os.Lstat(dir); err == nil {
			return fmt.Errorf("restore %s: %s is there already: nothing is overwritten: name another file or folder", what, dir)
		}
	}
	to, err := aim(dir)
	if err != nil {
		return fmt.Errorf("restore %s: %w", what, err)
	}
	defer to.drop()
	res, err := r.fetchTree(ctx, t, to, single, total)
	if err == nil && res.Files == 0 && len(res.Failed) > 0 {
		err = errors.New(res.Failed[0])
	}
	if err == nil {
		if single {
			err = to.keepFile()
		} else {
			err = to.keep()
		}
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", what, withoutPath(err, to.work))
	}
	asOf := ""
	if !t.Changed.IsZero() {
		asOf = " as of " + moment(t.Changed, time.Local)
	}
	fmt.Fprintf(r.app.stdout, "Restored %s%s into %s: %s, %s.\n", what, asOf, dir, runner.FormatCount(res.Files, "files"), runner.FormatSize(res.Bytes))
	if res.Index != nil {
		fmt.Fprintf(r.app.stderr, "mayfly: whether the store has lost files is not known: %s\n", runner.OneLine(res.Index.Error(), 300))
	}
	if res.Missed == 0 {
		return nil
	}
	for _, f := range res.Failed {
		fmt.Fprintf(r.app.stderr, "mayfly: not restored: %s\n", runner.OneLine(f, 1000))
	}
	return &codeError{code: exitPartial, err: fmt.Errorf("restore %s: %s not restored: what is in %s is whole: restore the others one by one once that is cured, or bring all that differs with a job sync: {to: DIRECTORY}",
		what, runner.FormatCount(res.Missed, "files"), dir)}
}

// measure finds out whether a tree is a single file, and how much there is, if
// somebody looks.
func (r *restoring) measure(ctx context.Context, t *dirsync.Tree) (single bool, total int64, err error) {
	n, looks := 0, r.app.onTerminal() != nil
	for f, err := range t.Files(ctx) {
		if err != nil {
			return false, 0, err
		}
		n++
		total += f.Size
		single = f.Path == ""
		if !looks && n > 1 {
			break
		}
	}
	if n == 0 {
		return false, 0, fmt.Errorf("nothing of it is in %s: mayfly list %s%s shows what there is", t.Store.URL(""), shellWord(t.Prefix), r.flags)
	}
	return single && n == 1, total, nil
}

func (r *restoring) fetchTree(ctx context.Context, t *dirsync.Tree, to *target, single bool, total int64) (res dirsync.Restored, err error) {
	in, name := to.work, ""
	if single {
		in, name = to.tmp, filepath.Base(to.work)
	} else if err := os.Mkdir(in, 0o700); err != nil { // modes of directories are not kept: what lay in a private one stays private
		return res, err
	}
	root, err := os.OpenRoot(in)
	if err != nil {
		return res, err
	}
	defer root.Close()
	show := r.app.transfer(t.Path(), total)
	defer show.end()
	return t.Restore(ctx, root, name, show.add)
}

// keepFile gives a restored file its name.
func (t *target) keepFile() error {
	err := os.Link(t.work, t.dir)
	if err == nil {
		return nil
	}
	if _, there := os.Lstat(t.dir); there == nil {
		return t.taken(t.dir)
	}
	return os.Rename(t.work, t.dir) // no links on this file system
}
