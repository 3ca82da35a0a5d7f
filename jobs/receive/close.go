package receive

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"mayfly/internal/volume"
	"mayfly/runner"
)

const (
	// closeTime is for all volumes when the window is over by itself: writing
	// back what the kernel has not written yet may take a while.
	closeTime = 10 * time.Minute
	// hurryTime is for them when the run is stopped; with what ending the
	// sessions takes, it is less than stopTime.
	hurryTime  = 45 * time.Second
	detachTime = 90 * time.Second
)

// close unmounts, snapshots and detaches every volume, says how each host's
// backup ended, and removes snapshots that are past their time. It does not
// care whether ctx has ended.
func (r *run) close(ctx context.Context, why string) {
	hurry := ctx.Err() != nil
	limit := closeTime
	if hurry {
		limit = hurryTime
	}
	until := time.Now().Add(drillTime) // so that enough of the rest is left
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	var all sync.WaitGroup
	for _, h := range r.hosts {
		all.Go(func() { r.closeHost(clean, h, why, hurry, until) })
	}
	all.Wait()
	if p := r.door.remark(); p != nil {
		r.rec.Warn(*p)
	}
}

// closeHost ends one host's part of the run. A snapshot is taken of what is
// cleanly unmounted and was changed, and nothing is pruned but after a whole
// one.
func (r *run) closeHost(ctx context.Context, h *host, why string, hurry bool, drillUntil time.Time) {
	end := ending{run: r, host: h, why: why, held: h.mounted != nil}
	defer end.report()
	defer func() {
		if p := r.broke(h, recover()); p != nil {
			end.unclean = p
		}
	}()
	if h.attached {
		defer end.detach(ctx)
	}
	if h.mounted == nil {
		return
	}
	if err := r.system.Still(h.mounted); err != nil {
		end.unclean = problem(h.name, "close the volume of", err)
	} else if usage, err := volume.UsageOf(h.mounted.Point); err == nil {
		end.usage = usage
	}
	if err := r.system.Close(ctx, h.mounted); err != nil {
		end.unclean = problem(h.name, "unmount the volume of", err)
		return
	}
	m := h.mounted
	h.mounted, end.held = nil, false
	if end.unclean != nil {
		return
	}
	end.snapshot(ctx)
	end.drill(m, drillUntil)
	if !hurry {
		end.prune(ctx)
	}
}

// An ending is how one host's part ends.
type ending struct {
	*run
	host    *host
	why     string
	usage   volume.Usage
	held    bool            // the volume is mounted, and could not be unmounted
	unclean *runner.Problem // what keeps the data from being trusted
	untaken *runner.Problem // why there is no snapshot of it
	left    *runner.Problem // what could not be put away
	// Of a drill: that it found a difference, that it could not be done, and
	// what there is to say of one that passed.
	drilled, undrilled *runner.Problem
	saidDrill          string
	taken              runner.Snapshot // ID "": none
	pruned             int
}

// detach lets the volume go, unless somebody still uses it: then the instance's
// end does.
func (e *ending) detach(ctx context.Context) {
	h := e.host
	if e.held {
		return
	}
	limit := e.patience(detachTime)
	if e.drills.stopped.Err() != nil { // since, maybe
		limit = min(limit, hurryTime/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := e.env.Volumes.Detach(ctx, h.volume.ID, e.self); err != nil {
		e.left = problem(h.name, "detach the volume of", err)
	}
}

// report says how the host's backup ended.
func (e *ending) report() {
	h := e.host
	what, p := h.outcome()
	if e.taken.ID != "" && what == allThere && e.drilled == nil { // whatever else goes wrong
		h.item.LastGood(e.taken.Began)
	}
	_, alone := e.restores.active()
	e.say()
	switch {
	case h.problem != nil:
		h.item.End(runner.Failed, h.problem)
	case e.unclean != nil:
		h.item.End(runner.Failed, e.unclean)
	case e.untaken != nil:
		h.item.End(runner.Partial, e.untaken)
	case e.drilled != nil:
		h.item.End(runner.Failed, e.drilled)
	case what == inParts:
		h.item.End(runner.Partial, p)
	case e.left != nil && what != nothing:
		h.item.End(runner.Partial, e.left)
	case e.undrilled != nil && what != nothing:
		h.item.End(runner.Partial, e.undrilled)
	case what == allThere:
		h.item.Wrote(h.received())
		h.item.End(runner.Changed, nil)
	case what == saidSo && newestGood(h.snapshots).ID != "":
		h.item.End(runner.Unchanged, nil)
	case p != nil:
		h.item.End(runner.Failed, p)
	case alone && !h.seen():
		h.item.End(runner.Skipped, nil)
	case e.opened.IsZero():
		h.item.End(runner.Interrupted, &runner.Problem{Item: h.name, Doing: "receive", Reason: "the window did not open: " + e.why})
	case strings.HasPrefix(e.why, stopped):
		h.item.End(runner.Interrupted, &runner.Problem{Item: h.name, Doing: "receive", Reason: "it had not come yet when " + e.why, Fix: "it can come in the next run"})
	case what == saidSo:
		h.item.End(runner.Failed, &runner.Problem{Item: h.name, Doing: "receive", Reason: "it says that it is done, and has never sent anything", Fix: "let it push before it says done"})
	default:
		h.item.End(runner.Failed, &runner.Problem{
			Item: h.name, Doing: "receive", Reason: "it did not come while the window was open, for " + runner.FormatDuration(time.Since(e.opened)),
			Fix: fmt.Sprintf("see that its schedule fits, and that it finds the instance (%s) and reaches port %d", e.config.Address.words(), e.config.Listen.Port),
		})
	}
	if e.undrilled != nil && what == nothing {
		e.rec.Warn(*e.undrilled)
	}
	if e.left != nil && (what == nothing || h.problem != nil || e.unclean != nil) {
		e.rec.Warn(*e.left)
	}
}

// stopped begins the reason why a window closed before its time.
const stopped = "the run is stopped"

func (h *host) received() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.in
}

// say has the report name what came, the snapshot, and how full the volume is.
func (e *ending) say() {
	h := e.host
	var parts []string
	if s := h.summary(); s != "" {
		parts = append(parts, s)
	}
	what, _ := h.outcome()
	if e.taken.ID != "" && what == inParts {
		parts = append(parts, "partial snapshot "+e.taken.ID)
	}
	if e.taken.ID != "" && what == allThere {
		parts = append(parts, "snapshot "+e.taken.ID)
	} else if s := newestGood(h.snapshots); s.ID != "" {
		parts = append(parts, fmt.Sprintf("last good snapshot %s, %s old", s.ID, runner.FormatDuration(time.Since(s.Began))))
	} else {
		parts = append(parts, "no good snapshot")
	}
	if e.saidDrill != "" {
		parts = append(parts, e.saidDrill)
	}
	if e.pruned > 0 {
		parts = append(parts, runner.FormatCount(e.pruned, "snapshots")+" removed")
	}
	if e.usage.Bytes > 0 {
		parts = append(parts, fmt.Sprintf("%d %% of %s full", e.usage.Percent, runner.FormatSize(e.usage.Bytes)))
		if full := e.usage.Fullest(); full >= e.config.warnFull() {
			what := "full"
			if e.usage.InodePercent > e.usage.Percent {
				what = "full of files (inodes)"
			}
			e.rec.Warn(runner.Problem{
				Item: h.name, Reason: fmt.Sprintf("the volume %s is %d %% %s", h.volume.ID, full, what),
				Fix: fmt.Sprintf("enlarge it: aws ec2 modify-volume --volume-id %s --size %d; the next run enlarges the file system", h.volume.ID, h.volume.GiB*3/2+1),
			})
		}
	}
	h.item.Say(strings.Join(parts, "; "))
}
