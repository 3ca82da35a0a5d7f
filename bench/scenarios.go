//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// first compares the first backup of every repository: A, B and mayfly in
// turn, so often, each time into an empty bucket; the best of each counts.
func (b *bench) first(ctx context.Context, t *table) error {
	best := map[string]row{}
	for round := range b.rounds {
		for _, c := range []struct{ name, script string }{{"A", scriptA}, {"B", scriptB}, {"mayfly", ""}} {
			say("first backup, round %d: %s", round+1, c.name)
			r, err := b.contend(ctx, c.name, c.script, "first", b.urls("first"))
			if err != nil {
				return err
			}
			if old, ok := best[c.name]; !ok || r.wall < old.wall {
				best[c.name] = r
			}
		}
	}
	t.compare("first backup", best["A"], best["B"], best["mayfly"])
	return nil
}

// memory measures mayfly alone with four large repositories at once, and with
// one of over 4 GiB.
func (b *bench) memory(ctx context.Context, t *table) error {
	for _, owner := range []string{"large", "huge"} {
		say("memory: %s", owner)
		r, err := b.contend(ctx, "mayfly", "", owner, "")
		if err != nil {
			return err
		}
		what := "mayfly, four copies of the largest repository at once"
		if owner == "huge" {
			what = "mayfly, one repository of 4.5 GiB"
		}
		t.alone(what, r)
	}
	return nil
}

// contend runs one contender in an empty folder against an empty bucket.
func (b *bench) contend(ctx context.Context, name, script, owner, urls string) (row, error) {
	if err := b.srv.empty(); err != nil {
		return row{}, err
	}
	return b.measure(ctx, name, script, owner, urls)
}

// measure runs one contender in an empty folder, as a new instance would, with
// the bucket as it is. What it stored is what it uploaded.
func (b *bench) measure(ctx context.Context, name, script, owner, urls string) (row, error) {
	dir, err := os.MkdirTemp(b.dir, "work-")
	if err != nil {
		return row{}, err
	}
	defer os.RemoveAll(dir)
	env := append(b.srv.env(), "REPOS="+urls, "MIRRORS="+filepath.Join(b.dir, "mirrors"))
	argv := []string{"bash", "-c", script}
	if script == "" {
		config := filepath.Join(b.dir, owner+".yaml")
		if err := os.WriteFile(config, []byte(b.config(owner)), 0o644); err != nil {
			return row{}, err
		}
		argv = []string{b.mayfly, "run", "-c", config}
	}
	began := time.Now()
	s, _, err := run(ctx, dir, env, argv...)
	if err != nil {
		return row{}, err
	}
	stored, err := b.srv.written(began)
	return row{name: name, sample: s, stored: stored}, err
}

func (b *bench) config(owner string) string {
	return fmt.Sprintf(`name: bench
store: {url: "s3://%s/m", endpoint: "%s"}
jobs:
  - name: github
    github:
      url: %s
      owners: [%s]
      pull_requests: %t
`, bucket, b.srv.s3URL, b.srv.githubURL, owner, owner == "large") // what makes them large
}

// startTime measures how long mayfly takes to start and end, doing nothing.
func (b *bench) startTime(ctx context.Context, t *table) error {
	config := filepath.Join(b.dir, "first.yaml")
	for _, args := range [][]string{{"version"}, {"check", "-c", config}} {
		var walls []time.Duration
		for range 21 {
			s, _, err := run(ctx, b.dir, nil, append([]string{b.mayfly}, args...)...)
			if err != nil {
				return err
			}
			walls = append(walls, s.wall)
		}
		slices.Sort(walls)
		t.starts = append(t.starts, fmt.Sprintf("`mayfly %s` %.0f ms", args[0], float64(walls[len(walls)/2].Microseconds())/1000))
	}
	return nil
}
