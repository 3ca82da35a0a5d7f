//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	forced = "bench/forced" // a branch that is force-pushed
	gone   = "bench/gone-%d"
)

// prepare gives the repository the branches that change needs: one to be
// force-pushed, and one to be deleted in each round. They are there when the
// first backup is made.
func prepare(ctx context.Context, dir string) error {
	if err := git(ctx, dir, "branch", "-f", forced, "HEAD~1"); err != nil {
		return err
	}
	for n := range 10 {
		if err := git(ctx, dir, "branch", "-f", fmt.Sprintf(gone, n), "HEAD"); err != nil {
			return err
		}
	}
	return nil
}

// change makes what happens to a repository in a week: 20 commits on its default
// branch, each to three files that are there, a tag, a force push, and the
// deletion of a branch. What a push brings lies in packs of its own until a
// hosting service's maintenance, days later: nothing is repacked here.
func change(ctx context.Context, dir string, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 20))
	branch, err := gitText(ctx, dir, "symbolic-ref", "HEAD")
	if err != nil {
		return err
	}
	files, err := textFiles(ctx, dir)
	if err != nil {
		return err
	}
	var in bytes.Buffer
	for n := range 20 {
		fmt.Fprintf(&in, "commit %s\ncommitter Bench <bench@example.com> %d +0000\ndata 7\ncommit\n\n", branch, 1_790_000_000+int(seed)*1000+n*60)
		if n == 0 {
			fmt.Fprintf(&in, "from %s^0\n", branch)
		}
		for range 3 {
			name := files[r.IntN(len(files))]
			content, err := exec.CommandContext(ctx, "git", "-C", dir, "cat-file", "blob", "HEAD:"+name).Output()
			if err != nil {
				return fmt.Errorf("read %s of %s: %w", name, dir, err)
			}
			lines := bytes.SplitAfter(content, []byte("\n"))
			at := r.IntN(len(lines))
			lines[at] = append(bytes.Clone(lines[at]), text(r, 60)...)
			lines[at] = append(lines[at], '\n')
			if err := blob(&in, quoted(name), bytes.Join(lines, nil)); err != nil {
				return err
			}
		}
	}
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "fast-import", "--quiet")
	cmd.Stdin = &in
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git fast-import: %w\n%s", err, out)
	}
	who := []string{"-c", "user.name=Bench", "-c", "user.email=bench@example.com"}
	if err := git(ctx, dir, append(who, "tag", "-a", "-m", "week", fmt.Sprintf("bench-week-%d", seed), branch)...); err != nil {
		return err
	}
	cmd = exec.CommandContext(ctx, "git", append(append([]string{"-C", dir}, who...), "commit-tree", "-p", branch+"~3", "-m", fmt.Sprint("rewritten ", seed), branch+"^{tree}")...)
	id, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("git commit-tree: %w", err)
	}
	if err := git(ctx, dir, "update-ref", "refs/heads/"+forced, strings.TrimSpace(string(id))); err != nil {
		return err
	}
	return git(ctx, dir, "branch", "-D", fmt.Sprintf(gone, seed/100%10))
}

// textFiles are the regular files of HEAD that are of a size that people edit.
func textFiles(ctx context.Context, dir string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "git", "-C", dir, "ls-tree", "-r", "-l", "-z", "HEAD").Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-tree: %w", err)
	}
	var names []string
	for line := range strings.SplitSeq(string(out), "\x00") {
		about, name, ok := strings.Cut(line, "\t")
		f := strings.Fields(about)
		var size int
		if !ok || f[0] != "100644" {
			continue
		}
		if _, err := fmt.Sscan(f[3], &size); err == nil && size > 200 && size < 100_000 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s has no file to edit", dir)
	}
	return names, nil
}

// quoted spells a path as fast-import reads it.
func quoted(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(name) + `"`
}

func gitText(ctx context.Context, dir string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// small makes n bare repositories with the same few objects and refs that
// differ: one is made by git, the others are copies of it whose pack is the same
// file.
func small(ctx context.Context, root, owner string, n int) error {
	template := filepath.Join(root, "template.git")
	if err := generate(ctx, template, 0, 77); err != nil {
		return err
	}
	var in bytes.Buffer
	for k := range 3 {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Bench <bench@example.com> %d +0000\ndata 7\ncommit\n\n", 1_700_000_000+k)
		if err := blob(&in, "README", text(rand.New(rand.NewPCG(1, uint64(k))), 2000)); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "git", "-C", template, "fast-import", "--quiet")
	cmd.Stdin = &in
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git fast-import: %w\n%s", err, out)
	}
	if err := git(ctx, template, "repack", "-adq"); err != nil {
		return err
	}
	main, err := gitText(ctx, template, "rev-parse", "main")
	if err != nil {
		return err
	}
	packs, err := filepath.Glob(filepath.Join(template, "objects", "pack", "*"))
	if err != nil {
		return err
	}
	for i := range n {
		if err := copySmall(bare(root, owner, fmt.Sprintf("r%05d", i)), main, packs, i); err != nil {
			return err
		}
	}
	return os.RemoveAll(template)
}

func copySmall(dir, main string, packs []string, i int) error {
	pack := filepath.Join(dir, "objects", "pack")
	for _, d := range []string{pack, filepath.Join(dir, "refs")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for _, p := range packs {
		if err := os.Link(p, filepath.Join(pack, filepath.Base(p))); err != nil {
			return err
		}
	}
	for name, content := range map[string]string{
		"HEAD":        "ref: refs/heads/main\n",
		"config":      "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
		"packed-refs": fmt.Sprintf("%[1]s refs/heads/main\n%[1]s refs/heads/topic-%[2]d\n%[1]s refs/tags/v%[2]d\n", main, i),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), fs.FileMode(0o644)); err != nil {
			return err
		}
	}
	return nil
}
