//go:build linux

// Bench runs mayfly side by side with what a user would run instead, on the
// same local servers, in one run, and writes the table that stands in
// bench/README.md. See make bench.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var b bench
	flag.StringVar(&b.mayfly, "mayfly", "bin/mayfly", "the mayfly `binary`")
	flag.StringVar(&b.repos, "repos", "", "a `directory` of git repositories of 10 to 300 MB (default: generated ones)")
	flag.StringVar(&b.table, "table", "bench/README.md", "write the table into this `file`")
	flag.StringVar(&b.only, "only", "", "`repositories` or directories: do only these comparisons")
	flag.IntVar(&b.rounds, "rounds", 3, "run each contender so often and keep its best")
	flag.Parse()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A bench is one run of all measurements.
type bench struct {
	mayfly, repos, table string
	rounds               int
	only                 string

	dir    string // scratch space, removed at the end
	served string // DIR/OWNER/NAME.git
	names  []string
	srv    *servers
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.mayfly, err = filepath.Abs(b.mayfly); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "mayfly-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.served = filepath.Join(b.dir, "served")
	if b.only != "directories" {
		if err := b.prepare(ctx); err != nil {
			return err
		}
	}
	if b.srv, err = startServers(ctx, b.dir, b.served); err != nil {
		return err
	}
	defer b.srv.close()
	if b.only != "repositories" {
		var t table
		if err := b.directories(ctx, &t); err != nil {
			return err
		}
		if err := writeTable(b.table, directoriesMark, b.machine(ctx, rcloneVersion)+t.b.String()); err != nil {
			return err
		}
	}
	if b.only == "directories" {
		return nil
	}
	return b.repositories(ctx)
}

// repositories makes the comparisons of jobs that back up repositories.
func (b *bench) repositories(ctx context.Context) error {
	var t table
	for _, f := range []func(context.Context, *table) error{b.first, b.later, b.many, b.memory, b.startTime} {
		if err := f(ctx, &t); err != nil {
			return err
		}
	}
	return writeTable(b.table, tableMark, t.markdown(b.describe(ctx)))
}

// prepare fills the folder that is served: owner "first" has what the first
// comparison backs up, "large" four large repositories and "huge" one of over
// 4 GiB.
func (b *bench) prepare(ctx context.Context) error {
	if b.repos == "" {
		for i, mb := range []int{10, 20, 40, 80, 200} {
			name := fmt.Sprintf("generated-%d", mb)
			say("generate %s, %d MB", name, mb)
			if err := generate(ctx, bare(b.served, "first", name), mb, uint64(i+1)); err != nil {
				return err
			}
			b.names = append(b.names, name)
		}
		return b.finish(ctx)
	}
	dirs, err := repositories(b.repos)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(dirs)) {
		say("mirror %s", name)
		if err := mirror(ctx, dirs[name], bare(b.served, "first", name)); err != nil {
			return err
		}
		b.names = append(b.names, name)
	}
	return b.finish(ctx)
}

// finish adds what the later comparisons need.
func (b *bench) finish(ctx context.Context) error {
	for _, name := range b.names {
		if err := prepare(ctx, bare(b.served, "first", name)); err != nil {
			return err
		}
	}
	return b.large(ctx)
}

// large makes the repositories of the memory runs.
func (b *bench) large(ctx context.Context) error {
	biggest, most := "", int64(0)
	for _, name := range b.names {
		n, err := size(bare(b.served, "first", name))
		if err != nil {
			return err
		}
		if n > most {
			biggest, most = name, n
		}
	}
	for i := range 4 {
		to := bare(b.served, "large", fmt.Sprintf("copy-%d", i+1))
		if most >= 240<<20 {
			if err := git(ctx, "", "clone", "-q", "--mirror", bare(b.served, "first", biggest), to); err != nil {
				return err
			}
			continue
		}
		say("generate a large repository, 260 MB")
		if err := randomBlobs(to, 260<<20, uint64(i+1)); err != nil {
			return err
		}
	}
	say("generate a repository of 4.5 GiB")
	return randomBlobs(bare(b.served, "huge", "huge"), 4608<<20, 9)
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, strings.TrimSuffix(format, "\n")+"\n", args...)
}
