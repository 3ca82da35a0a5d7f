//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// later compares the runs after the first: nothing changed, and a week's
// changes in every repository. A, whose instance is a new one every week, does
// everything again; C keeps its mirrors on a disk of its own.
func (b *bench) later(ctx context.Context, t *table) error {
	if err := b.srv.empty(); err != nil {
		return err
	}
	mirrors := filepath.Join(b.dir, "mirrors")
	if err := os.Mkdir(mirrors, 0o755); err != nil {
		return err
	}
	contenders := []struct{ name, script string }{{"A", scriptA}, {"C", scriptC}, {"mayfly", ""}}
	for _, c := range contenders {
		say("before the later runs: %s", c.name)
		if _, err := b.measure(ctx, c.name, c.script, "first", b.urls("first")); err != nil {
			return err
		}
	}
	measured := func(what string, change func(round int) (int64, error)) error {
		best := map[string]row{}
		var packs int64
		for round := range b.rounds {
			n, err := change(round)
			if err != nil {
				return err
			}
			packs += n
			for _, c := range contenders {
				say("%s, round %d: %s", what, round+1, c.name)
				time.Sleep(time.Second) // a run is named after the second in which it began
				r, err := b.measure(ctx, c.name, c.script, "first", b.urls("first"))
				if err != nil {
					return err
				}
				old, ok := best[c.name]
				uploaded := old.stored + r.stored // of all rounds
				if !ok || r.wall < old.wall {
					old = r
				}
				old.stored = uploaded
				best[c.name] = old
			}
		}
		t.sent(what, packs, best["A"], best["C"], best["mayfly"])
		return nil
	}
	if err := measured("nothing changed", func(int) (int64, error) { return 0, nil }); err != nil {
		return err
	}
	return measured("20 commits, a tag, a force push and a deletion in each", func(round int) (int64, error) {
		return b.change(ctx, round)
	})
}

func (b *bench) urls(owner string) string {
	var urls []string
	for _, name := range b.names {
		urls = append(urls, fmt.Sprintf("%s/%s/%s.git", b.srv.githubURL, owner, name))
	}
	return strings.Join(urls, " ")
}

// change makes a week's changes in every repository and returns the size of the
// packs that hold what is new, as git makes them.
func (b *bench) change(ctx context.Context, round int) (int64, error) {
	var total int64
	for i, name := range b.names {
		dir := bare(b.served, "first", name)
		old, err := tips(ctx, dir)
		if err != nil {
			return 0, err
		}
		say("change %s", name)
		if err := change(ctx, dir, uint64(100*round+i)); err != nil {
			return 0, err
		}
		now, err := tips(ctx, dir)
		if err != nil {
			return 0, err
		}
		n, err := packSize(ctx, dir, now, old)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// tips are the objects that all refs but pull requests name.
func tips(ctx context.Context, dir string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "git", "-C", dir, "for-each-ref", "--format=%(objectname) %(refname)").Output()
	if err != nil {
		return nil, err
	}
	var ids []string
	for line := range strings.Lines(string(out)) {
		if id, ref, _ := strings.Cut(line, " "); !strings.HasPrefix(ref, "refs/pull/") {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func packSize(ctx context.Context, dir string, now, old []string) (int64, error) {
	in := strings.Join(now, "\n") + "\n--not\n" + strings.Join(old, "\n") + "\n"
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "pack-objects", "--revs", "--stdout", "--quiet", "--delta-base-offset")
	cmd.Stdin = strings.NewReader(in)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("git pack-objects: %w", err)
	}
	return int64(out.Len()), nil
}

// written is how many bytes of the bucket are newer than a time: what was
// uploaded since.
func (s *servers) written(since time.Time) (total int64, err error) {
	err = filepath.WalkDir(filepath.Join(s.s3Dir, bucket), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.ModTime().After(since) {
			total += info.Size()
		}
		return err
	})
	return total, err
}
