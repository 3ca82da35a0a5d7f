package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"mayfly/internal/awstest"
)

// config writes the config and shows it.
func (d *demo) config(w *servers) error {
	text := fmt.Sprintf(`name: demo
store: file://%s
notify: {topic: "%s"}
jobs:
  - name: github
    github:
      url: %s
      owners: [me]
      token: ssm:/demo/github-token
`, filepath.ToSlash(filepath.Join(d.dir, "store")), awstest.TopicARN("demo"), w.githubURL)
	fmt.Fprint(d.out, text)
	return os.WriteFile(filepath.Join(d.dir, "mayfly.yaml"), []byte(text), 0o644)
}

// backUp runs mayfly as a user would, with the terminal handed on to it. A
// partial run is what is expected when a repository is broken.
func (d *demo) backUp(ctx context.Context, w *servers) error {
	fmt.Fprintln(d.out, "$ mayfly run")
	cmd := exec.CommandContext(ctx, d.mayfly, "run")
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = d.dir, os.Stdin, io.Discard, os.Stderr
	cmd.Env = os.Environ()
	for k, v := range w.aws.Env() {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	// Ctrl-C reaches mayfly through the terminal; it stops by itself, reports,
	// and would take a second signal for an order to drop everything.
	cmd.Cancel = func() error { return nil }
	cmd.WaitDelay = 2 * time.Minute
	err := cmd.Run()
	code := cmd.ProcessState.ExitCode()
	const partial, interrupted = 3, 4
	switch {
	case err == nil:
		fmt.Fprintln(d.out, "exit code 0: complete")
	case code == partial:
		fmt.Fprintln(d.out, "exit code 3: partial. Some repositories failed; the mail says which, and why. The others are safe.")
	case code == interrupted:
		fmt.Fprintln(d.out, "exit code 4: interrupted. What was finished is kept.")
	default:
		return fmt.Errorf("mayfly run: %w", err)
	}
	return nil
}

func (d *demo) mail(w *servers) error {
	messages := w.aws.Messages()
	d.mails++
	if len(messages) != d.mails {
		return fmt.Errorf("%d messages were published; %d were expected", len(messages), d.mails)
	}
	last := messages[d.mails-1]
	fmt.Fprintf(d.out, "Subject: %s\n\n%s\n", last.Subject, last.Body)
	return nil
}

// tree prints every file of the store with its size.
func (d *demo) tree() error {
	root := filepath.Join(d.dir, "store")
	return filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil || strings.HasPrefix(e.Name(), ".") {
			return err
		}
		depth := 0
		if rel != "." {
			depth = 1 + strings.Count(filepath.ToSlash(rel), "/")
		}
		if e.IsDir() {
			fmt.Fprintf(d.out, "%s%s/\n", strings.Repeat("  ", depth), path.Base(filepath.ToSlash(p)))
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(d.out, "%-50s %10d bytes\n", strings.Repeat("  ", depth)+e.Name(), info.Size())
		return nil
	})
}

// restore gets the first repository that has a wiki, or else the first, back
// by doing what its RESTORE.txt says.
func (d *demo) restore(ctx context.Context) error {
	zip, err := d.pick()
	if err != nil {
		return err
	}
	work := filepath.Join(d.dir, "back")
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "$ cd %s\n", work)
	if err := d.unzip(ctx, work, zip); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(work, "RESTORE.txt"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		command, ok := strings.CutPrefix(line, "    ")
		if !ok {
			continue
		}
		if err := d.shell(ctx, work, strings.TrimSpace(command)); err != nil {
			return err
		}
	}
	bare, err := filepath.Glob(filepath.Join(work, "*.git"))
	if err != nil || len(bare) == 0 {
		return errors.New("nothing was restored")
	}
	sort.Strings(bare)
	return d.shell(ctx, work, "git --git-dir="+filepath.Base(bare[0])+" log --oneline --decorate --max-count=5 --all")
}

// pick names the archive to restore: the smallest that holds a wiki, or else
// the smallest.
func (d *demo) pick() (string, error) {
	zips, err := filepath.Glob(filepath.Join(d.dir, "store", "github", "*", "*", "*", "*-full.zip"))
	if err != nil || len(zips) == 0 {
		return "", errors.New("the store holds no archive")
	}
	for _, z := range zips {
		if strings.Contains(filepath.ToSlash(z), "/hello-world/") {
			return z, nil
		}
	}
	return zips[0], nil
}

func (d *demo) unzip(ctx context.Context, work, zip string) error {
	if _, err := exec.LookPath("unzip"); err == nil {
		return d.shell(ctx, work, "unzip -q "+zip)
	}
	fmt.Fprintf(d.out, "$ unzip -q %s\n(there is no unzip on this machine: unpacked with Go's archive/zip)\n", zip)
	return unpack(zip, work)
}

func (d *demo) shell(ctx context.Context, dir, command string) error {
	fmt.Fprintf(d.out, "$ %s\n", command)
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, d.out, d.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}
