package receive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/volume"
	"mayfly/runner"
)

const day = 24 * time.Hour

var now = time.Date(2026, 11, 26, 1, 0, 0, 0, time.UTC)

// snap is one taken some days ago; what is "complete", "partial", or a state.
func snap(days int, what string) runner.Snapshot {
	s := runner.Snapshot{ID: fmt.Sprintf("snap-%02d", days), State: stateCompleted, Began: now.Add(-time.Duration(days) * day),
		Tags: map[string]string{volume.TagHost: "a", tagData: what}}
	if what == statePending || what == "error" || what == "recoverable" {
		s.State, s.Tags[tagData] = what, string(allThere)
	}
	return s
}

func TestExpired(t *testing.T) {
	t.Parallel()
	twenty := Keep{Within: runner.Duration(20 * day)}
	for name, x := range map[string]struct {
		keep Keep
		list []runner.Snapshot
		gone string
	}{
		"none":                {twenty, nil, ""},
		"all in time":         {twenty, []runner.Snapshot{snap(1, "complete"), snap(20, "complete")}, ""},
		"one too old":         {twenty, []runner.Snapshot{snap(1, "complete"), snap(21, "complete")}, "snap-21"},
		"oldest first":        {twenty, []runner.Snapshot{snap(30, "complete"), snap(1, "complete"), snap(40, "complete")}, "snap-40 snap-30"},
		"the last good one":   {twenty, []runner.Snapshot{snap(50, "complete"), snap(60, "complete")}, "snap-60"},
		"and newer partial":   {twenty, []runner.Snapshot{snap(50, "complete"), snap(40, "partial"), snap(60, "partial")}, "snap-60"},
		"pending is no good":  {twenty, []runner.Snapshot{snap(1, "pending"), snap(50, "complete")}, ""},
		"error is no good":    {twenty, []runner.Snapshot{snap(1, "error"), snap(50, "complete")}, ""},
		"never an error":      {twenty, []runner.Snapshot{snap(1, "complete"), snap(50, "error"), snap(51, "pending"), snap(52, "recoverable")}, ""},
		"never one by hand":   {twenty, []runner.Snapshot{snap(1, "complete"), snap(50, ""), snap(51, "by hand")}, ""},
		"only partial":        {twenty, []runner.Snapshot{snap(30, "partial"), snap(40, "partial")}, ""},
		"old partial":         {twenty, []runner.Snapshot{snap(1, "complete"), snap(30, "partial")}, "snap-30"},
		"last two":            {Keep{Last: 2}, []runner.Snapshot{snap(1, "complete"), snap(2, "complete"), snap(3, "complete")}, "snap-03"},
		"last counts good":    {Keep{Last: 2}, []runner.Snapshot{snap(1, "complete"), snap(2, "partial"), snap(3, "complete"), snap(4, "complete")}, "snap-04"},
		"last and within":     {Keep{Last: 1, Within: runner.Duration(5 * day)}, []runner.Snapshot{snap(1, "complete"), snap(4, "complete"), snap(6, "complete")}, "snap-06"},
		"last beyond within":  {Keep{Last: 3, Within: runner.Duration(day)}, []runner.Snapshot{snap(1, "complete"), snap(40, "complete"), snap(60, "complete"), snap(80, "complete")}, "snap-80"},
		"a clock that's back": {twenty, []runner.Snapshot{snap(-2, "complete"), snap(1, "complete"), snap(30, "complete")}, "snap-30"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ids []string
			for _, s := range expired(x.list, x.keep, now) {
				ids = append(ids, s.ID)
			}
			if got := strings.Join(ids, " "); got != x.gone {
				t.Errorf("gone: %q, want %q", got, x.gone)
			}
		})
	}
}

// Whatever there is: the newest good snapshot stays, and nothing goes that has
// not completed, is not ours, or lies within what is kept.
func TestExpiredNeverTheLastGood(t *testing.T) {
	t.Parallel()
	kinds := []string{"complete", "partial", "pending", "error", "", "by hand"}
	for range 20_000 {
		var list []runner.Snapshot
		for d := range rand.IntN(12) {
			if rand.IntN(2) == 0 {
				list = append(list, snap(d*3, kinds[rand.IntN(len(kinds))]))
			}
		}
		rand.Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
		keep := Keep{Last: rand.IntN(4), Within: runner.Duration(rand.IntN(30)) * runner.Duration(day)}
		newest := newestGood(list)
		goodLeft := 0
		gone := expired(list, keep, now)
		for _, s := range list {
			removed := slices.ContainsFunc(gone, func(g runner.Snapshot) bool { return g.ID == s.ID })
			if good(s) && !removed {
				goodLeft++
			}
			if removed && (s.ID == newest.ID || s.State != stateCompleted || newest.ID == "" ||
				keep.Within > 0 && now.Sub(s.Began) <= time.Duration(keep.Within) || s.Tags[tagData] == "" || s.Tags[tagData] == "by hand") {
				t.Fatalf("of %v with %+v: %v goes", list, keep, s)
			}
		}
		all := 0
		for _, s := range list {
			if good(s) {
				all++
			}
		}
		if goodLeft < min(all, max(1, keep.Last)) {
			t.Fatalf("of %v with %+v: %d good ones stay", list, keep, goodLeft)
		}
	}
}

func TestAssign(t *testing.T) {
	t.Parallel()
	vol := func(id, host string) runner.Volume {
		v := runner.Volume{ID: id, Tags: map[string]string{}}
		if host != "" {
			v.Tags[volume.TagHost] = host
		}
		return v
	}
	list := []runner.Volume{vol("vol-1", "a"), vol("vol-2", "b"), vol("vol-3", ""), vol("vol-4", "twice"), vol("vol-5", "twice")}
	for _, x := range []struct{ host, id, want, says string }{
		{"a", "", "vol-1", ""},
		{"a", "vol-1", "vol-1", ""},
		{"twice", "vol-5", "vol-5", ""},
		{"twice", "", "", "vol-4 and vol-5 both have its name"},
		{"c", "", "", "there is none yet: mayfly deploy creates it"},
		{"c", "vol-9", "", "vol-9 is not one of the deployment's volumes: mayfly volume adopt vol-9 --host c"},
		{"a", "vol-2", "", "vol-2 is the volume of the host b"},
		{"a", "vol-3", "", "vol-3 has no tag that says whose it is: mayfly volume adopt vol-3 --host a"},
	} {
		v, p := assign(list, x.host, x.id)
		said := ""
		if p != nil {
			said = p.String()
		}
		if v.ID != x.want || x.says == "" && p != nil || !strings.Contains(said, x.says) {
			t.Errorf("%s %s: %q, %s", x.host, x.id, v.ID, said)
		}
	}
}

// deletions remembers which snapshots are deleted.
type deletions struct {
	runner.Volumes // nothing else is called
	gone           []string
}

func (d *deletions) DeleteSnapshot(_ context.Context, id string) error {
	d.gone = append(d.gone, id)
	return nil
}

// A clock that is ahead lets no snapshot go before its time: EC2 knows how late
// it is.
func TestPruneByTheRightClock(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		own, ec2 time.Time
		gone     int
	}{
		"right":            {now, now.Add(time.Hour), 1},
		"ahead":            {now.AddDate(10, 0, 0), now.Add(time.Hour), 1},
		"behind":           {now.AddDate(-10, 0, 0), now.Add(time.Hour), 0},
		"EC2 said no time": {now, time.Time{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &deletions{}
			r := newTidyRun(nil)
			r.job.config, r.job.env.Volumes, r.job.env.Start = &Config{Keep: Keep{Within: runner.Duration(20 * day)}}, d, x.own
			r.drills = &drills{run: r}
			h := newHost("a", Host{}, nil, func() {})
			h.good, h.transfers = 1, 1
			h.snapshots = []runner.Snapshot{snap(1, "complete"), snap(2, "complete"), snap(3, "partial"), snap(19, "complete"), snap(30, "complete")}
			e := &ending{run: r, host: h, taken: runner.Snapshot{ID: "snap-new", Began: x.ec2}}
			e.prune(t.Context())
			if len(d.gone) != x.gone || x.gone == 1 && d.gone[0] != "snap-30" {
				t.Errorf("gone: %v", d.gone)
			}
		})
	}
}
