package receive

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mayfly/internal/volume"
	"mayfly/runner"
)

// The tags of a snapshot, besides the deployment's and the host's.
const (
	tagRun  = "mayfly:run"
	tagData = "mayfly:data" // a came: allThere or inParts
)

// EC2's states of a snapshot.
const (
	statePending   = "pending"
	stateCompleted = "completed"
)

func ofHost(list []runner.Snapshot, name string) []runner.Snapshot {
	var own []runner.Snapshot
	for _, s := range list {
		if s.Tags[volume.TagHost] == name {
			own = append(own, s)
		}
	}
	return own
}

// Good reports whether a snapshot with EC2's state and tags is one that can be
// counted on: it has completed, of data that was whole.
func Good(state string, tags map[string]string) bool {
	return state == stateCompleted && tags[tagData] == string(allThere)
}

func good(s runner.Snapshot) bool { return Good(s.State, s.Tags) }

// newestGood is the zero Snapshot when there is none.
func newestGood(list []runner.Snapshot) (newest runner.Snapshot) {
	for _, s := range list {
		if good(s) && s.Began.After(newest.Began) {
			newest = s
		}
	}
	return newest
}

// snapshot takes one of a volume that is cleanly unmounted, if anything on it
// was changed. A partial transfer is worth one, too: it may be all there is of
// what a host lost since.
func (e *ending) snapshot(ctx context.Context) {
	h := e.host
	what, _ := h.outcome()
	if what != allThere && what != inParts || h.changes() == 0 {
		return
	}
	tags := map[string]string{volume.TagHost: h.name, tagRun: e.env.RunID, tagData: string(what), "Name": e.env.Deployment + " " + h.name}
	s, err := e.env.Volumes.Snapshot(ctx, h.volume.ID, fmt.Sprintf("mayfly %s: %s, %s, run %s", e.env.Deployment, h.name, what, e.env.RunID), tags)
	if err != nil {
		e.untaken = problem(h.name, "take a snapshot of the volume of", err)
		return
	}
	e.taken = s
	e.mu.Lock()
	e.job.taken = append(e.job.taken, h.name+" -o DIR --at "+s.ID)
	e.mu.Unlock()
	e.rec.Log().Info("snapshot "+s.ID+" of "+h.volume.ID+", "+string(what), runner.KeyItem, h.name)
}

func (h *host) changes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.transfers
}

// prune deletes the host's snapshots that are past their time, and only after
// its data came whole and a new snapshot of it was begun.
func (e *ending) prune(ctx context.Context) {
	h := e.host
	what, _ := h.outcome()
	if what != allThere || e.taken.ID == "" || e.drilled != nil || e.drills.unread != nil {
		return
	}
	for _, s := range expired(h.snapshots, e.config.Keep, byBoth(e.env.Start, e.taken.Began)) {
		if err := e.rec.Held(ctx); err != nil {
			return
		}
		if err := e.env.Volumes.DeleteSnapshot(ctx, s.ID); err != nil {
			p := problem(h.name, "delete the snapshot "+s.ID+" of", err)
			p.Fix = "the next run tries again"
			e.rec.Warn(*p)
			return
		}
		e.pruned++
		e.rec.Log().Info(fmt.Sprintf("deleted the snapshot %s of %s, %s", s.ID, s.Began.UTC().Format(time.RFC3339), s.Tags[tagData]), runner.KeyItem, h.name)
	}
}

// byBoth is the time by which snapshots are let go: the instance's, unless by
// EC2's own clock, which said when the new snapshot began, it is not so late. A
// clock that is ahead would let all of them go.
func byBoth(own, ec2 time.Time) time.Time {
	if ec2.Before(own) {
		return ec2
	}
	return own
}

// expired are a host's snapshots that keep lets go, oldest first: completed
// ones of our own. The newest good one always stays, and so does every one that
// is newer than it. What is pending or has failed counts for nothing, and
// stays. Snapshots of partial transfers stay as long as good ones of their
// time, and are never among the last that are counted.
func expired(list []runner.Snapshot, keep Keep, now time.Time) []runner.Snapshot {
	newest := newestGood(list)
	if newest.ID == "" {
		return nil
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b runner.Snapshot) int { return b.Began.Compare(a.Began) }) // newest first
	var gone []runner.Snapshot
	counted := 0
	for _, s := range list {
		if good(s) {
			counted++
		}
		switch {
		case s.State != stateCompleted, s.Tags[tagData] != string(allThere) && s.Tags[tagData] != string(inParts):
		case s.ID == newest.ID, s.Began.After(newest.Began):
		case keep.Within > 0 && now.Sub(s.Began) <= time.Duration(keep.Within):
		case keep.Last > 0 && counted <= keep.Last:
		default:
			gone = append(gone, s)
		}
	}
	slices.Reverse(gone)
	return gone
}
