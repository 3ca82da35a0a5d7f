// Mayfly-demo shows what mayfly does without an account or a network: it
// starts a GitHub and an SNS on loopback, over the git repositories it is given
// or small ones that it makes, runs the real mayfly against them twice, and gets
// one repository back: with unzip and git, and as it was before the second run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := demo{out: os.Stdout}
	flag.StringVar(&d.mayfly, "mayfly", "", "the mayfly `binary` to run (default: the one beside this program, or in PATH)")
	flag.StringVar(&d.repos, "repos", "", "back up the git repositories below this `directory`, instead of small ones made for the demo")
	flag.StringVar(&d.keep, "keep", "", "work in this new `directory` and leave it there (default: a temporary one, removed at the end)")
	flag.Parse()
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mayfly-demo:", err)
		os.Exit(1)
	}
}

// A demo is one showing.
type demo struct {
	mayfly, repos, keep string
	out                 io.Writer
	dir                 string // the work folder
	mails               int    // shown
}

// the account that everything belongs to
const (
	owner = "octocat"
	token = "ghp_demoTokenThatMustAppearNowhere00000"
)

func (d *demo) run(ctx context.Context) (err error) {
	if d.mayfly, err = findMayfly(d.mayfly); err != nil {
		return err
	}
	if err := d.makeDir(); err != nil {
		return err
	}
	if d.keep == "" {
		defer os.RemoveAll(d.dir)
	}
	w, err := d.start(ctx)
	if err != nil {
		return err
	}
	defer w.close()

	d.say("The config", "a GitHub and an SNS of this machine stand in for the real ones")
	if err := d.config(w); err != nil {
		return err
	}
	d.say("The run", "every repository, several at a time, from the git server into the store")
	if err := d.backUp(ctx, w); err != nil {
		return err
	}
	d.say("The mail", "as SNS would deliver it")
	if err := d.mail(w); err != nil {
		return err
	}
	d.say("The store", "what is there now")
	if err := d.tree(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("stopped: what was there by then is above")
	}
	d.say("One repository, back", "with stock tools: the commands stand in RESTORE.txt of each archive too")
	if err := d.restore(ctx); err != nil {
		return err
	}
	d.say("A week later", "only what has changed is fetched and written")
	if err := d.later(ctx, w); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nNow with your own repositories: %s init github --owner YOU\n", d.mayfly)
	return nil
}

func (d *demo) say(title, what string) {
	fmt.Fprintf(d.out, "\n=== %s: %s\n\n", title, what)
}

// findMayfly returns the absolute path of the binary to show.
func findMayfly(given string) (string, error) {
	if given == "" {
		self, err := os.Executable()
		if err == nil {
			given = filepath.Join(filepath.Dir(self), "mayfly")
		}
		if _, err := os.Stat(given); err != nil {
			if given, err = exec.LookPath("mayfly"); err != nil {
				return "", errors.New("no mayfly beside this program or in PATH: build it with make build, or name it with -mayfly")
			}
		}
	}
	if _, err := os.Stat(given); err != nil {
		return "", fmt.Errorf("find mayfly: %w: build it with make build", err)
	}
	return filepath.Abs(given)
}

func (d *demo) makeDir() (err error) {
	if d.keep == "" {
		d.dir, err = os.MkdirTemp("", "mayfly-demo-")
		return err
	}
	if err := os.Mkdir(d.keep, 0o755); err != nil {
		return fmt.Errorf("%w: name a directory that does not exist yet", err)
	}
	d.dir, err = filepath.Abs(d.keep)
	return err
}
