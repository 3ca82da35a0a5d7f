package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"mayfly/internal/store"
	dirsync "mayfly/jobs/sync"
	"mayfly/runner"
)

// directory restores what a sync job keeps, if path is that; done is false when
// it is not.
func (r *restoring) directory(ctx context.Context, at, dir string) (done bool, err error) {
	prefix, sub, ok, err := dirsync.Find(ctx, r.st, at)
	if err != nil || !ok {
		return false, nil // whoever looks for a repository says what is wrong
	}
	if o := r.o; o.at != "" || o.wiki || o.checkout || o.all || o.pushTo != "" {
		return true, usageError(fmt.Errorf("restore: %s is a directory that a sync job keeps: it has one state, the newest, and neither --at, --wiki, --checkout, --all nor --push-to; older versions of its objects are in the bucket, if that keeps versions", prefix))
	}
	if sub != "" {
		if file, err := dirsync.One(ctx, r.st, prefix, sub); err == nil {
			return true, r.oneFile(ctx, prefix, file, dir)
		} else if !errors.Is(err, store.ErrNotExist) {
			return true, err
		}
	}
	return true, r.tree(ctx, prefix, sub, dir)
}

// oneFile restores a single file into a folder.
func (r *restoring) oneFile(ctx context.Context, prefix string, file dirsync.File, dir string) error {
	if dir == "" {
		dir = "."
	}
	name := filepath.Join(dir, path.Base(file.Path))
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("restore: %s is there already: nothing is overwritten: name another folder", name)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	f := dirsync.Fetch{Store: r.st, Root: root, Prefix: prefix, Sub: path.Dir(file.Path)}
	if f.Sub == "." {
		f.Sub = ""
	}
	t := r.app.transfer(file.Path, file.Size)
	_, err = f.All(ctx, only1(file), t.add)
	t.end()
	if err != nil {
		return fmt.Errorf("restore %s: %w", prefix, err)
	}
	fmt.Fprintf(r.app.stdout, "Restored %s, %s of %s.\n", name, runner.FormatSize(file.Size), file.Modified.Local().Format("Mon 2 Jan 2006 15:04:05 MST"))
	return nil
}

func only1(f dirsync.File) func(func(dirsync.File, error) bool) {
	return func(yield func(dirsync.File, error) bool) { yield(f, nil) }
}

// tree restores all files below a part of the directory. Those that can be
// brought back are, even if others cannot.
func (r *restoring) tree(ctx context.Context, prefix, sub, dir string) error {
	at := path.Join(prefix, sub)
	if dir == "" {
		dir = path.Base(at)
	}
	files, bytes := 0, int64(0)
	for f, err := range dirsync.Files(ctx, r.st, prefix, sub) {
		if err != nil {
			return err
		}
		files++
		bytes += f.Size
	}
	if files == 0 {
		return fmt.Errorf("restore: nothing of %s is in %s: mayfly list %s%s shows what there is", at, r.st.URL(""), prefix, r.flags)
	}
	to, err := aim(dir)
	if err != nil {
		return fmt.Errorf("restore %s: %w", at, err)
	}
	defer to.drop()
	if err := os.Mkdir(to.work, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(to.work)
	if err != nil {
		return err
	}
	defer root.Close()
	t := r.app.transfer(at, bytes)
	n, err := dirsync.Fetch{Store: r.st, Root: root, Prefix: prefix, Sub: sub}.All(ctx, dirsync.Files(ctx, r.st, prefix, sub), t.add)
	t.end()
	if ctx.Err() != nil || n == 0 {
		return fmt.Errorf("restore %s: %w", at, withoutPath(err, to.work))
	}
	if kerr := to.keep(); kerr != nil {
		return fmt.Errorf("restore %s: %w", at, kerr)
	}
	fmt.Fprintf(r.app.stdout, "Restored %s, %s, into %s.\n", runner.FormatCount(n, "files"), runner.FormatSize(bytes), dir)
	if err != nil {
		return &codeError{exitPartial, fmt.Errorf("restore %s: %s not restored:\n%w", at, runner.FormatCount(files-n, "files"), withoutPath(err, to.work))}
	}
	return nil
}
