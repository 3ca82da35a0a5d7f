package receive

import (
	"fmt"
	"sync"

	"mayfly/internal/sshd"
	"mayfly/runner"
)

var _ sshd.Observer = (*run)(nil)

// Login implements sshd.Observer.
func (r *run) Login(l sshd.Login) {
	if one := r.restores.guest(l.Host); one != nil {
		r.rec.Log().Info(fmt.Sprintf("who gets files of %s back logged in from %s", one.Host, l.Address), runner.KeyItem, one.Host)
		return
	}
	r.byName[l.Host].login(l)
	r.rec.Log().Info(fmt.Sprintf("%s logged in from %s with the key %s (%s)", l.Host, l.Address, l.Fingerprint, runner.OneLine(l.Client, 60)), runner.KeyItem, l.Host)
}

// Refused implements sshd.Observer.
func (r *run) Refused(f sshd.Refusal) {
	if h := r.byName[f.Host]; h != nil {
		h.wasRefused(f)
	}
	r.door.refused(f)
}

// Began implements sshd.Observer.
func (r *run) Began(s sshd.Session) {
	if one := r.restores.guest(s.Host); one != nil {
		r.restores.came(one, 1, 0)
		return
	}
	r.byName[s.Host].began(s)
	r.rec.Log().Info(s.Host+": "+s.What+" began", runner.KeyItem, s.Host)
}

// Ended implements sshd.Observer.
func (r *run) Ended(s sshd.Session) {
	if one := r.restores.guest(s.Host); one != nil {
		r.restores.came(one, -1, 0)
		r.rec.Log().Info(fmt.Sprintf("%s: a restore's %s ended with %d, %s sent", one.Host, s.What, s.Exit, runner.FormatSize(s.Out)), runner.KeyItem, one.Host)
		return
	}
	h := r.byName[s.Host]
	h.ended(s)
	text := fmt.Sprintf("%s: %s ended with %d, %s received, %s sent", s.Host, s.What, s.Exit, runner.FormatSize(s.In), runner.FormatSize(s.Out))
	switch {
	case s.Error != "":
		text += ": " + s.Error
	case s.Cut != "":
		text += ": " + s.Cut
	}
	log := r.rec.Log().Info
	if s.Error != "" || s.Exit != 0 {
		log = r.rec.Log().Warn
	}
	log(text, runner.KeyItem, s.Host, runner.KeyTook, s.Ended.Sub(s.Began))
	r.wake()
}

// Bytes implements sshd.Observer.
func (r *run) Bytes(name string, in, out int64) {
	if one := r.restores.guest(name); one != nil {
		r.restores.came(one, 0, out)
		return
	}
	h := r.byName[name]
	h.moved(in, out)
	h.item.Read(in)
}

// Promised implements sshd.Observer.
func (r *run) Promised(name string) {
	if r.restores.guest(name) != nil {
		return
	}
	r.byName[name].promisedAll()
	r.rec.Log().Info(name+" begins, and will say when that is all", runner.KeyItem, name)
}

// Done implements sshd.Observer.
func (r *run) Done(name string, partial bool) {
	if one := r.restores.guest(name); one != nil {
		r.restores.done(one)
		return
	}
	r.byName[name].saidDone(partial)
	what := " says that it is done"
	if partial {
		what += ", and that not all has come"
	}
	r.rec.Log().Info(name+what, runner.KeyItem, name)
	r.wake()
}

// A door counts who was turned away. A server that the internet can reach sees
// thousands of them: the first of each host and of strangers are logged, so that
// these do not hide those, and all are counted.
type door struct {
	rec *runner.Recorder

	mu        sync.Mutex
	all       int
	addresses map[string]int
	logged    map[string]int // of each host, and of strangers: ""
}

const (
	refusalsLogged = 200
	addressesKept  = 1000
)

func newDoor(rec *runner.Recorder) *door {
	return &door{rec: rec, addresses: map[string]int{}, logged: map[string]int{}}
}

func (d *door) refused(f sshd.Refusal) {
	d.mu.Lock()
	d.all++
	d.logged[f.Host]++
	n := d.logged[f.Host]
	address := addressOf(f.Address)
	if _, known := d.addresses[address]; known || len(d.addresses) < addressesKept {
		d.addresses[address]++
	}
	d.mu.Unlock()
	who, whose := address, "strangers"
	if f.Host != "" {
		who, whose = f.Host+" at "+address, f.Host
	}
	switch {
	case n <= refusalsLogged:
		d.rec.Log().Warn("refused " + who + ": " + f.Reason)
	case n == refusalsLogged+1:
		d.rec.Log().Warn("refusals of " + whose + " are not logged any more; the report counts them")
	}
}

// remark is for the report; nil when nobody was refused.
func (d *door) remark() *runner.Problem {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == 0 {
		return nil
	}
	return &runner.Problem{
		Reason: fmt.Sprintf("%s from %s", runner.FormatCount(d.all, "refusals"), runner.FormatCount(len(d.addresses), "addresses")),
		Fix:    "the log names them; the fewer addresses listen.from admits, the fewer there are",
	}
}
