//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What a user would run instead of a sync job, as its manual says. All get DIR
// and PLACE besides what the other scripts get.
const (
	scriptAWS    = `aws --endpoint-url "$ENDPOINT" s3 sync "$DIR" "s3://$BUCKET/$PLACE/aws" --only-show-errors`
	scriptRclone = `
unset AWS_CA_BUNDLE # which this rclone does not bear
export RCLONE_CONFIG_R_TYPE=s3 RCLONE_CONFIG_R_PROVIDER=Other RCLONE_CONFIG_R_ENV_AUTH=true RCLONE_CONFIG_R_REGION="$AWS_REGION" RCLONE_CONFIG_R_ENDPOINT="$ENDPOINT"
rclone --config /dev/null sync "$DIR" "R:$BUCKET/$PLACE/rclone"`
)

var contenders = []string{"aws s3 sync", "rclone sync", "mayfly run"}

// directories compares sync jobs with aws s3 sync and rclone sync: many small
// files, and a few large ones, each for the first time, unchanged, and with one
// in a hundred changed. Contenders take turns, another one first in each round;
// the best round of each counts.
func (b *bench) directories(ctx context.Context, t *table) error {
	for _, c := range []struct {
		title  string
		make   func(dir string) error
		change func(dir string, round int) error
	}{
		{"20,000 files of 10 kB", makeSmall, changeSmall},
		{"4 files of 1 GiB", makeLarge, changeLarge},
	} {
		dir := filepath.Join(b.dir, "directory")
		say("generate %s", c.title)
		if err := c.make(dir); err != nil {
			return err
		}
		steps := []struct {
			what  string
			times int
			do    func(round int) error
		}{
			{"first", 1, func(int) error { return b.srv.empty() }},
			{"nothing changed", 3, func(int) error { return nil }}, // it takes so little that noise would count
			{"1 % changed", 1, func(round int) error { return c.change(dir, round) }},
		}
		best := map[string]row{}
		for round := range b.rounds {
			for _, s := range steps {
				if err := s.do(round); err != nil {
					return err
				}
				turns := slices.Concat(contenders[round%3:], contenders[:round%3])
				for _, name := range slices.Repeat(turns, s.times) {
					say("%s, %s, round %d: %s", c.title, s.what, round+1, name)
					r, err := b.syncOnce(ctx, name, dir)
					if err != nil {
						return err
					}
					if old, ok := best[s.what+name]; !ok || r.wall < old.wall {
						best[s.what+name] = r
					}
				}
			}
		}
		fmt.Fprintf(&t.b, "### %s\n\n| | wall s | CPU s | peak memory MB | wall / better of the two |\n|---|--:|--:|--:|--:|\n", c.title)
		for _, s := range steps {
			better := min(best[s.what+"aws s3 sync"].wall, best[s.what+"rclone sync"].wall)
			for _, name := range contenders {
				r := best[s.what+name]
				what := name
				if name == "aws s3 sync" {
					what = "**" + s.what + ":** " + name
				}
				fmt.Fprintf(&t.b, "| %s | %.2f | %.2f | %.1f | %.2f |\n", what, r.wall.Seconds(), r.cpu.Seconds(), mb(r.peakRSS), r.wall.Seconds()/better.Seconds())
			}
		}
		t.b.WriteString("\n")
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// syncOnce runs one contender with the bucket as it is.
func (b *bench) syncOnce(ctx context.Context, name, dir string) (row, error) {
	env := append(b.srv.env(), "DIR="+dir, "PLACE=directory")
	argv := []string{"sh", "-ec", scriptAWS}
	switch name {
	case "rclone sync":
		argv[2] = scriptRclone
	case "mayfly run":
		time.Sleep(time.Second) // a run is named after the second in which it began
		config := filepath.Join(b.dir, "directory.yaml")
		text := fmt.Sprintf("name: bench\nstore: {url: \"s3://%s/directory/mayfly\", endpoint: %q}\njobs:\n  - name: docs\n    sync: {from: %s}\n", bucket, b.srv.s3URL, dir)
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			return row{}, err
		}
		argv = []string{b.mayfly, "run", "-c", config}
	}
	if err := b.level(ctx, dir); err != nil {
		return row{}, err
	}
	s, _, err := run(ctx, b.dir, env, argv...)
	return row{name: name, sample: s}, err
}

// level lets every contender begin alike: the server has nothing of another's
// files to write any more, they take no memory that would have to be freed
// first, and the directory is in memory.
func (b *bench) level(ctx context.Context, dir string) error {
	if err := exec.CommandContext(ctx, "sync").Run(); err != nil {
		return err
	}
	each := func(dir string, do func(*os.File) error) error {
		return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			return do(f)
		})
	}
	err := each(b.srv.s3Dir, func(f *os.File) error {
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
	if err != nil {
		return err
	}
	return each(dir, func(f *os.File) error {
		_, err := io.Copy(struct{ io.Writer }{io.Discard}, f)
		return err
	})
}

const smallFiles = 20_000

func smallFile(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("d%02d/e%02d/file-%05d.dat", i%20, i/20%50, i))
}

func makeSmall(dir string) error {
	noise := rand.NewChaCha8([32]byte{1})
	body := make([]byte, 10_000)
	for i := range smallFiles {
		noise.Read(body)
		p := smallFile(dir, i)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p, body, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func changeSmall(dir string, round int) error {
	for i := round; i < smallFiles; i += 100 {
		if err := os.WriteFile(smallFile(dir, i), []byte(strings.Repeat(fmt.Sprint(round), 10_000)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func makeLarge(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range 4 {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("large-%d", i)))
		if err != nil {
			return err
		}
		if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{byte(i + 1)}), 1<<30); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// changeLarge changes 41 MiB of one of the files.
func changeLarge(dir string, round int) error {
	f, err := os.OpenFile(filepath.Join(dir, "large-0"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{99, byte(round)}), 41<<20); err != nil {
		return err
	}
	return f.Close()
}
