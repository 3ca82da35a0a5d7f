package sshd

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// addresses counts the connections of each address, and those without a login.
type addresses struct {
	limits Limits
	now    func() time.Time

	mu    sync.Mutex
	total int
	open  map[netip.Prefix]int
	bad   map[netip.Prefix]*record
}

// A record is of an address that has failed to log in.
type record struct {
	failures int
	until    time.Time // when it is forgotten
}

// maxRecords bounds the memory; beyond it, addresses are forgotten at random.
const maxRecords = 10_000

func newAddresses(l Limits) *addresses {
	return &addresses{limits: l, now: time.Now, open: map[netip.Prefix]int{}, bad: map[netip.Prefix]*record{}}
}

// network is what is counted as one: an IPv4 address, or the 64 bits of IPv6
// that one customer has.
func network(a net.Addr) netip.Prefix {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := t.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// enter counts a connection, or says why it is turned away.
func (a *addresses) enter(from net.Addr) (why string) {
	p := network(from)
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.bad[p]; r != nil {
		switch {
		case !a.now().Before(r.until):
			delete(a.bad, p)
		case r.failures >= a.limits.Failures:
			return fmt.Sprintf("it has connected %d times without a login: nobody is let in from there for %s", r.failures, a.limits.Penalty)
		}
	}
	switch {
	case a.total >= a.limits.Connections:
		return fmt.Sprintf("there are %d connections already", a.total)
	case a.open[p] >= a.limits.PerAddress:
		return fmt.Sprintf("there are %d connections from there already", a.open[p])
	}
	a.total++
	a.open[p]++
	return ""
}

// leave counts it no more; in says that there was a login.
func (a *addresses) leave(from net.Addr, in bool) {
	p := network(from)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total--
	if a.open[p]--; a.open[p] <= 0 {
		delete(a.open, p)
	}
	if in {
		return
	}
	r := a.bad[p]
	if r == nil {
		for other := range a.bad {
			if len(a.bad) < maxRecords {
				break
			}
			delete(a.bad, other)
		}
		r = &record{}
		a.bad[p] = r
	}
	r.failures++
	r.until = a.now().Add(a.limits.Penalty)
}

// forgive forgets the failures of an address from which a host has logged in.
func (a *addresses) forgive(from net.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.bad, network(from))
}
