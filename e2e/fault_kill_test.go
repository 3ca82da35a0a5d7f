//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/internal/gittest"
	"mayfly/internal/s3test"
)

// pointOf names a request of a run, the same in every run.
func pointOf(r *s3test.Request) string {
	key := r.Key
	if _, rest, ok := strings.Cut(key, "/runs/"); ok {
		_, file, nested := strings.Cut(rest, "/")
		if key = "runs/" + rest; nested {
			key = "runs/RUN/" + file
		}
	} else if _, rest, ok := strings.Cut(key, "/"+runOwner+"/"); ok {
		parts := strings.Split(rest, "/")
		key = parts[0] + "/" + parts[len(parts)-1]
	}
	if r.Part > 0 {
		key += fmt.Sprintf(" part %d", r.Part)
	}
	return r.Op + " " + key
}

// sampled is how many of the kill points are tried unless MAYFLY_E2E_ALL is
// set: all of them take ten minutes.
const sampled = 10

// Killed at any request to its store, before the request has an effect or with
// its answer lost, a run harms nothing, and the next one heals. Each run of the
// suite tries others of these points.
func TestFaultKillPoints(t *testing.T) {
	t.Parallel()
	k := weekOf(t)
	var points []string
	calm := k.inWorld(t)
	seen := make(chan string, 1000)
	calm.strike(func(r *s3test.Request) s3test.Fault {
		seen <- pointOf(r)
		return s3test.Fault{}
	})
	if r := calm.run(calm.store()); r.code != 0 {
		t.Fatalf("%s", r)
	}
	close(seen)
	times := map[string]int{}
	for p := range seen {
		times[p]++
		points = append(points, fmt.Sprintf("%s #%d", p, times[p]))
	}
	if len(points) < 25 {
		t.Fatalf("only %d points: %v", len(points), points)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%d named points, seed %d", len(points), seed)
	every := os.Getenv("MAYFLY_E2E_ALL") != ""
	share := float64(sampled) / float64(2*len(points))
	dice := rand.New(rand.NewPCG(seed, 2))
	for _, point := range points {
		for _, after := range []bool{false, true} {
			name := "before " + point
			if after {
				name = "after " + point
			}
			if !every && dice.Float64() > share {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := k.inWorld(t)
				if killed := f.killAt(point, after); !killed {
					t.Logf("the run was over before that point")
				}
				f.unharmed(name)
				f.healed(name)
			})
		}
	}
}

// killAt runs and kills mayfly at a point. It reports whether the point came.
func (f *faultWorld) killAt(point string, after bool) bool {
	var process atomic.Pointer[process]
	var hit atomic.Bool
	times := make(chan map[string]int, 1)
	times <- map[string]int{}
	kill := func() {
		for process.Load() == nil {
			time.Sleep(time.Millisecond)
		}
		process.Load().cmd.Process.Kill()
	}
	f.strike(func(r *s3test.Request) s3test.Fault {
		seen := <-times
		p := pointOf(r)
		seen[p]++
		n := seen[p]
		times <- seen
		switch {
		case hit.Load(): // whatever still comes from the dying process, a retry among it
			kill()
			return s3test.Fault{ResetBefore: true}
		case fmt.Sprintf("%s #%d", p, n) != point:
			return s3test.Fault{}
		}
		hit.Store(true)
		if after {
			time.AfterFunc(20*time.Millisecond, kill)
			return s3test.Fault{ResetAfter: true}
		}
		kill()
		return s3test.Fault{ResetBefore: true}
	})
	p := f.start(f.store())
	process.Store(p)
	p.wait()
	f.strike(nil)
	return hit.Load()
}

// Killed again and again at random moments, with changes in between, a store
// behind a real S3 server stays sound.
func TestFaultRandomKills(t *testing.T) {
	t.Parallel()
	w := newWorld(t).versity()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	var repos []*gittest.Evolution
	for i, name := range []string{"a", "b", "c.wiki", "c"} {
		e, err := gittest.NewEvolution(w.bare(name), seed+uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		repos = append(repos, e)
	}
	config := w.config(s3Store, "full: {after: 4, share: 100}", "pull_requests: true")
	calm := w.run(config)
	if calm.code != 0 {
		t.Fatalf("%s", calm)
	}
	took, rounds := calm.wall, 40
	if os.Getenv("MAYFLY_E2E_ALL") != "" {
		rounds = 200
	}
	lock := filepath.Join(w.s3dir, strings.TrimPrefix(s3Store, "s3://"), "runs", "lock.json")
	stale := func() {
		old := time.Now().Add(-3 * time.Minute)
		if err := os.Chtimes(lock, old, old); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	for round := 1; round <= rounds; round++ {
		step(t, repos[dice.IntN(len(repos))])
		if round%3 == 0 {
			if err := gittest.Big(w.bare(fmt.Sprintf("big%d", round)), 6<<20, uint64(round)); err != nil {
				t.Fatal(err)
			}
		}
		nextSecond()
		stale()
		p := w.start(config)
		time.Sleep(time.Duration(dice.Int64N(int64(took))))
		p.cmd.Process.Kill()
		p.wait()
		if round%10 > 0 {
			continue
		}
		nextSecond()
		stale()
		if r := w.run(config); r.code != 0 {
			t.Fatalf("round %d: the next run: %s", round, r)
		}
		if left := w.uploads(); len(left) > 0 {
			t.Errorf("round %d: unfinished uploads: %v", round, left)
		}
		if r := w.run(config, "verify", "--deep"); r.code != 0 {
			t.Fatalf("round %d: verify: %s", round, r)
		}
		for n := range round + 1 { // the larger ones have served
			os.RemoveAll(w.bare(fmt.Sprintf("big%d", n)))
		}
	}
	all := filepath.Join(t.TempDir(), "all")
	if r := w.run(config, "restore", "github/"+runOwner, all, "--all"); r.code != 0 {
		t.Fatalf("%s", r)
	}
	for _, name := range []string{"a", "b", "c", "c.wiki"} {
		if got, want := stateOf(t, filepath.Join(all, name+".git")), stateOf(t, w.bare(name)); !sameState(got, want, name == "c.wiki") {
			t.Errorf("%s came back as\n%s\nwant\n%s", name, got, want)
		}
	}
}
