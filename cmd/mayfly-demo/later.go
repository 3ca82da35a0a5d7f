package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"mayfly/internal/gittest"
)

// later changes one repository, runs again, and gets it back as it was before.
func (d *demo) later(ctx context.Context, w *servers) error {
	zip, err := d.pick()
	if err != nil {
		return err
	}
	stamp := filepath.Base(filepath.Dir(zip))
	name := filepath.Base(filepath.Dir(filepath.Dir(zip)))
	if err := d.change(filepath.Join(d.dir, "github", owner, name+".git")); err != nil {
		return err
	}
	time.Sleep(time.Second) // a run is named after the second in which it began
	if err := d.backUp(ctx, w); err != nil {
		return err
	}
	if err := d.mail(w); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	d.say("As of any time", "every run that found something new is a point to go back to")
	path := "github/" + owner + "/" + name
	for _, args := range [][]string{
		{"list"},
		{"list", path},
		{"restore", path, filepath.Join(d.dir, "before.git"), "--at", stamp},
		{"verify", "--deep"},
	} {
		if err := d.tell(ctx, w, args...); err != nil {
			return err
		}
	}
	return nil
}

// change puts a commit on the repository's branch and deletes another branch,
// if there is one.
func (d *demo) change(dir string) error {
	head, err := gittest.Git(dir, "symbolic-ref", "HEAD")
	if err != nil {
		return err
	}
	id, err := gittest.Git(dir, "commit-tree", "-p", "HEAD", "-m", "a week's work", "HEAD^{tree}")
	if err != nil {
		return err
	}
	if _, err := gittest.Git(dir, "update-ref", head, id); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "(a commit on %s of %s", strings.TrimPrefix(head, "refs/heads/"), strings.TrimSuffix(filepath.Base(dir), ".git"))
	all, err := gittest.Git(dir, "for-each-ref", "--format=%(refname)", "refs/heads/")
	if err != nil {
		return err
	}
	for _, ref := range strings.Fields(all) {
		if ref != head {
			fmt.Fprintf(d.out, ", and the branch %s is deleted", strings.TrimPrefix(ref, "refs/heads/"))
			_, err = gittest.Git(dir, "update-ref", "-d", ref)
			break
		}
	}
	fmt.Fprintf(d.out, ")\n")
	return err
}

// tell runs a mayfly command and shows what it prints.
func (d *demo) tell(ctx context.Context, w *servers, args ...string) error {
	fmt.Fprintf(d.out, "$ mayfly %s\n", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, d.mayfly, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.dir, d.out, d.out
	cmd.Env = os.Environ()
	for k, v := range w.aws.Env() {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("mayfly %s: %w", args[0], err)
	}
	fmt.Fprintln(d.out)
	return nil
}
