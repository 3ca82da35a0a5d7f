package push

import (
	"context"
	"fmt"
	"time"

	"mayfly/runner"
)

const (
	// cutWait is for how long a transfer that was cut off is tried again, at
	// least, after it got anywhere.
	cutWait  = 10 * time.Minute
	firstGap = 2 * time.Second
	lastGap  = 30 * time.Second
)

// try does something at the receiver until it works or cannot, or the time is
// up, which what gets anywhere makes longer.
func (p *Pusher) try(ctx context.Context, do func(Place) (attempt, outcome, string)) (Verdict, string) {
	gap, last := firstGap, ""
	for {
		place, why := p.find(ctx)
		p.away = p.away || why != ""
		if why == "" && ctx.Err() == nil {
			var a attempt
			var o outcome
			a, o, why = do(place)
			p.away = p.away || o == later && (closes.MatchString(a.stderr) || notOpen.MatchString(a.stderr))
			if a.errors != nil && (p.Verbose || !login.MatchString(a.stderr)) { // what ssh says, the reason says better
				a.errors.release()
			}
			switch {
			case o == whole:
				p.longer()
				return Complete, ""
			case ctx.Err() != nil:
			case o == partial:
				p.longer()
				return Partial, why
			case o == failed:
				return Failed, why
			case a.moved && !closes.MatchString(a.stderr):
				gap = firstGap
				p.longer()
			}
		}
		if ctx.Err() != nil {
			return Interrupted, context.Cause(ctx).Error() + "; the next push goes on"
		}
		if left := time.Until(p.until); left < gap {
			if p.reached {
				return Failed, why + "; the receiver could not be reached again, and the next push goes on from what is there"
			}
			return Failed, fmt.Sprintf("the receiver could not be reached within %s: %s", runner.FormatDuration(p.wait()), why)
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

// longer notes that something got anywhere.
func (p *Pusher) longer() {
	p.reached = true
	p.until = latest(p.until, time.Now().Add(min(cutWait, p.wait())))
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
