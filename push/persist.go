package push

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"mayfly/runner"
)

// persist calls try until it ends one way or the other, or p.until. The outcome
// later is that ctx has ended.
func (p *Pusher) persist(ctx context.Context, try func(Place) (o outcome, why string, moved bool)) (outcome, string) {
	gap, last := firstGap, ""
	for {
		if ctx.Err() != nil {
			return later, context.Cause(ctx).Error() + "; the next push goes on"
		}
		place, why := p.find(ctx)
		if why == "" {
			o, reason, moved := try(place)
			if ctx.Err() != nil && o != whole {
				continue
			}
			if o != later {
				return o, reason
			}
			if moved {
				gap = firstGap
				p.until = latest(p.until, time.Now().Add(min(cutWait, p.wait())))
			}
			why = reason
		}
		if left := time.Until(p.until); left < gap {
			return failed, fmt.Sprintf("the receiver could not be reached within %s: %s", runner.FormatDuration(p.wait()), why)
		}
		if why != last {
			p.Say("Waiting, until %s at most: %s", p.until.Format("15:04"), why)
			last = why
		}
		select {
		case <-ctx.Done():
		case <-time.After(gap):
		}
		gap = min(gap*3/2, lastGap)
	}
}

// begin tells the receiver that it will be told when all has come: it cannot
// see otherwise that one of several transfers is missing.
func (p *Pusher) begin(ctx context.Context) (outcome, string) {
	return p.persist(ctx, func(place Place) (outcome, string, bool) {
		a := p.run(ctx, p.Config.sayArgs(place, p.known, "begin"), "", io.Discard, io.Discard)
		if strings.Contains(a.stderr, "begin is not run here") { // an older receiver
			return whole, "", false
		}
		o, why := p.Config.judge(a.code, a.stderr)
		return o, why, false
	})
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// find says where the receiver is, or why it is nowhere. Whether anything
// listens there ssh finds out: a connection without a login would stand in the
// receiver's report.
func (p *Pusher) find(ctx context.Context) (place Place, why string) {
	place = Place{Host: p.Config.Address.Host}
	if place.Host == "" {
		var err error
		if place, err = p.Find(ctx); err != nil {
			return place, err.Error()
		}
		if place.Host == "" {
			return place, "the window is not open"
		}
	}
	if place.Port == 0 {
		place.Port = p.Config.port()
	}
	return place, ""
}
