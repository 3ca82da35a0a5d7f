package command

import (
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// keptFilters are the filters that hold for a user wherever its processes are.
// They stay until mayfly ends: what a service manager, cron or at starts for
// the user after its command has ended is kept from the addresses as well.
type keptFilters struct {
	mu    sync.Mutex
	links map[string]int // descriptors, never closed
}

// keep puts the filter of a user in force, once: a control group takes no more
// than 64 programs.
func (k *keptFilters) keep(addresses []netip.Addr, uid int, root string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := fmt.Sprint(uid, addresses)
	if _, there := k.links[key]; there {
		return nil
	}
	program, err := loadFilter(addresses, uid)
	if err != nil {
		return err
	}
	defer program.Close()
	at, err := os.Open(root)
	if err != nil {
		return err
	}
	defer at.Close()
	l, err := link(program, at)
	if err != nil {
		return err
	}
	defer l.Close()
	// A number is closed by nobody, an os.File by the garbage collector.
	fd, err := unix.FcntlInt(l.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("keep a BPF program: %w", err)
	}
	k.links[key] = fd
	return nil
}
