package receive

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"mayfly/runner"
)

// markOpening says in the file that there will be something to take back,
// before there is: who comes after a run that was killed finds it there.
func (r *run) markOpening(ctx context.Context, until time.Time) {
	ctx, cancel := context.WithTimeout(ctx, fileTime)
	defer cancel()
	if err := r.putAddress(ctx, r.whereabouts(nil, until, stateOpening)); err != nil {
		r.rec.Log().Warn("cannot write "+addressFile, runner.KeyErr, err)
	}
}

// withdraw takes back what was told, all at once, and says so in the file: that
// nobody is there, and whether anything is left for the next run to take back.
// What cannot be is worth a remark.
func (r *run) withdraw(ctx context.Context, told []notice, w Whereabouts) {
	ctx = context.WithoutCancel(ctx)
	limited, cancel := context.WithTimeout(ctx, untellTime)
	defer cancel()
	const fix = "hosts may call an address that is another's by now, and their check of the host key tells them; the next run sets it anew, or takes it back"
	var all sync.WaitGroup
	failed := make([]error, len(told))
	for i, n := range told {
		if n.retire != nil {
			all.Go(func() { failed[i] = n.retire(limited) })
		}
	}
	all.Wait()
	w = w.closed()
	for i, err := range failed {
		if err != nil {
			w.State = stateClosing
			r.rec.Warn(runner.Problem{Doing: "undo: " + told[i].what, Reason: err.Error(), Fix: fix})
		}
	}
	limited, cancel = context.WithTimeout(ctx, fileTime)
	defer cancel()
	if err := r.putAddress(limited, w); err != nil {
		r.rec.Warn(runner.Problem{Doing: "undo: write " + addressFile, Reason: err.Error(), Fix: fix})
	}
}

// withdrawOld takes back what a run has told that was killed, in a run whose
// window does not open; one that opens sets all of it anew.
func (r *run) withdrawOld(ctx context.Context) {
	if r.env.Addresses == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	limited, cancel := context.WithTimeout(ctx, fileTime)
	defer cancel()
	old, err := r.lastAddress(limited)
	if err != nil || old.State == "" || old.State == stateClosed {
		return // nothing can be taken back, or nothing need be
	}
	r.rec.Log().Info("the run " + old.Run + " was cut off: what it has told of its address is taken back")
	list := r.self.Addresses
	if ip, err := netip.ParseAddr(old.Host); err == nil {
		list = []netip.Addr{ip}
	}
	r.withdraw(ctx, r.ways(list, old), old)
}

// holdsAddress says that the instance has an Elastic IP from now on, or may.
func (j *job) holdsAddress(self runner.Self) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.holds = &self
}

// Last gives the Elastic IP back, after the last request to anybody: without
// it, the instance may have no way to the outside until AWS has given it
// another public address. An instance that ends now keeps it, and its
// termination gives it back.
func (j *job) Last(ctx context.Context) error {
	j.mu.Lock()
	self := j.holds
	j.mu.Unlock()
	if self == nil || j.env.Instance {
		return nil
	}
	return j.env.Addresses.Dissociate(ctx, j.config.Address.ElasticIP, *self)
}
