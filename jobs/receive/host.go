package receive

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"mayfly/internal/sshd"
	"mayfly/internal/volume"
	"mayfly/runner"
)

// A host is one during a run: its volume, and what came from it.
type host struct {
	name      string
	spec      Host
	item      *runner.Item
	wake      func()
	volume    runner.Volume
	snapshots []runner.Snapshot // its own, of any state
	// problem is why nothing can be received from it.
	problem  *runner.Problem
	attached bool
	mounted  *volume.Mounted // nil: it is not

	mu      sync.Mutex
	running map[string]int // sessions, by what they are
	// failed are the transfers that did not end well, and were not made up for
	// by the same one that did; by what and where.
	failed    map[string]sshd.Session
	transfers int       // that changed something
	good      int       // of them, that ended well
	last      time.Time // when a session began or ended, or bytes moved
	done      bool      // it said so, and nothing began since that could change something
	promised  bool      // it said that it will say so
	old       bool      // a push came of an rsync that does not tell what it lacks
	partial   bool      // it said that not all has come
	in, out   int64
	from      []string // addresses, at most a few
	logins    int
	refused   string // the last refusal after a login
	turned    string // that of a push, after which none has ended well
}

func newHost(name string, spec Host, item *runner.Item, wake func()) *host {
	return &host{name: name, spec: spec, item: item, wake: wake, running: map[string]int{}, failed: map[string]sshd.Session{}}
}

// finished reports whether the host needs the window no more: it said so, or
// its transfers are complete, and it has been idle for a while.
func (h *host) finished(now time.Time, idle time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.running) > 0 {
		return false
	}
	return h.done || !h.promised && !h.old && h.good > 0 && len(h.failed) == 0 && h.turned == "" && now.Sub(h.last) >= idle
}

// seen reports whether the host has logged in.
func (h *host) seen() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.logins > 0
}

func (h *host) login(l sshd.Login) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logins++
	const shown = 3
	address := addressOf(l.Address)
	if !slices.Contains(h.from, address) && len(h.from) < shown {
		h.from = append(h.from, address)
	}
}

// addressOf is an address without its port.
func addressOf(a net.Addr) string {
	if a == nil {
		return "somewhere"
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	return ap.Addr().Unmap().WithZone("").String()
}

func (h *host) began(s sshd.Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running[s.What]++
	h.last = s.Began
	if !changesNothing(s) {
		h.done = false
	}
}

// changesNothing reports whether a session is none of those by which a backup
// comes.
func changesNothing(s sshd.Session) bool {
	return s.What == "rsync pull" || s.What == "rsync dry run"
}

func (h *host) moved(in, out int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = time.Now()
	h.in += in
	h.out += out
}

// vanished is rsync's exit status when files were gone before they were read:
// no fault of the transfer. https://download.samba.org/pub/rsync/rsync.1#EXIT_VALUES
const vanished = 24

// full is rsync's exit status, and that of an SFTP session, when a file could
// not be written.
const full = 11

func (h *host) ended(s sshd.Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running[s.What]--; h.running[s.What] <= 0 {
		delete(h.running, s.What)
	}
	h.last = s.Ended
	if changesNothing(s) {
		return // which is the host's affair
	}
	key := s.What + " " + s.Path
	if s.Cut != "" || s.Error != "" || s.Exit != 0 && s.Exit != vanished {
		h.failed[key] = s
		if s.Wrote {
			h.transfers++
		}
		return
	}
	if s.Wrote {
		h.transfers++
		h.good++
		h.turned = ""
		h.old = h.old || s.Old
		if f, ok := h.failed[key]; ok && s.Began.After(f.Ended) {
			delete(h.failed, key)
		}
	}
}

func (h *host) saidDone(partial bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done, h.partial = true, partial
}

// promisedAll takes the host's word that it begins, and will say when it has
// sent all: several transfers look alike from here, so that one that failed
// would seem to be made up for by the next.
func (h *host) promisedAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.promised, h.done, h.partial = true, false, false
}

func (h *host) wasRefused(f sshd.Refusal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused = f.Reason
	if f.Push {
		h.turned = f.Reason
	}
}

// What came of a host's transfers.
type came string

const (
	nothing  came = "nothing"  // it did not come, or changed nothing
	allThere came = "complete" // whole, as far as anybody can tell
	inParts  came = "partial"  // a transfer did not end well
	saidSo   came = "unchanged"
)

// outcome says what came, and when that is not all, why.
func (h *host) outcome() (came, *runner.Problem) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case len(h.failed) > 0:
		return inParts, h.failure()
	case h.turned != "" && h.transfers > 0:
		return inParts, &runner.Problem{Item: h.name, Doing: "receive", Reason: "a push of it was refused: " + h.turned, Fix: fixRefused}
	case h.partial && h.transfers > 0:
		return inParts, &runner.Problem{Item: h.name, Doing: "receive", Reason: "it says that not all it wanted to send has come", Fix: "its own log says why; its next push goes on"}
	case h.partial:
		return nothing, &runner.Problem{Item: h.name, Doing: "receive", Reason: "it says that it could not send what it wanted to", Fix: "its own log says why"}
	case h.promised && !h.done && h.transfers > 0:
		return inParts, &runner.Problem{Item: h.name, Doing: "receive", Reason: "it did not say that it has sent all", Fix: "look at its own log; its next push goes on"}
	case h.old && !h.done:
		return inParts, &runner.Problem{
			Item: h.name, Doing: "receive", Reason: "its rsync is from before 3.0, or openrsync, does not tell the receiver which files it could not read, and the host did not say done",
			Fix: "let it say done when its rsync has ended with 0 or 24, as the script in docs/hosts.md does, or install rsync 3.1 or later",
		}
	case h.good > 0:
		return allThere, nil
	case h.turned != "": // whatever it says
		return nothing, &runner.Problem{Item: h.name, Doing: "receive", Reason: "it logged in and was refused: " + h.turned, Fix: fixRefused}
	case h.done:
		return saidSo, nil
	case h.logins > 0 && h.refused != "":
		return nothing, &runner.Problem{Item: h.name, Doing: "receive", Reason: "it logged in and was refused: " + h.refused, Fix: fixRefused}
	case h.logins > 0:
		return nothing, &runner.Problem{Item: h.name, Doing: "receive", Reason: "it logged in and sent nothing", Fix: "look at the host's own log"}
	}
	return nothing, nil
}

const fixRefused = "change what the host calls; docs/hosts.md has commands that work"

// failure is about the transfers that failed; h.mu is held.
func (h *host) failure() *runner.Problem {
	p := &runner.Problem{Item: h.name, Doing: "receive", Fix: "the host's next push goes on from what is there"}
	var said []string
	for _, key := range slices.Sorted(maps.Keys(h.failed)) {
		s := h.failed[key]
		what := s.What
		if s.Path != "" && s.Path != "." {
			what += " to " + s.Path
		}
		switch {
		case s.Error != "":
			what += " could not be served: " + s.Error
		case s.Cut != "":
			what += " was cut off: " + s.Cut
		case strings.HasPrefix(s.What, "rsync"):
			what += fmt.Sprintf(" ended with rsync's exit code %d%s", s.Exit, meaning(s.Exit))
		default:
			what += fmt.Sprintf(" ended with exit code %d", s.Exit)
			if s.Exit == full {
				what += meaning(full)
			}
		}
		said = append(said, what)
		if s.Output != "" {
			p.Output = s.Output
		}
	}
	p.Reason = strings.Join(said, "; ")
	if slices.ContainsFunc(slices.Collect(maps.Values(h.failed)), func(s sshd.Session) bool { return s.Exit == full }) {
		p.Fix = "look whether the volume is full, and enlarge it: aws ec2 modify-volume; the next run enlarges the file system"
	}
	return p
}

// meaning explains the exit codes that are seen most.
func meaning(code int) string {
	switch code {
	case 10, 12, 20, 30:
		return " (the connection or the host's rsync ended)"
	case full:
		return " (a file could not be written)"
	case 23:
		return " (some files were not transferred)"
	case 25:
		return " (--max-delete kept files from being deleted)"
	}
	return ""
}

// summary is a line about the host for the report.
func (h *host) summary() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.logins == 0 {
		return ""
	}
	s := fmt.Sprintf("%s in %s from %s", runner.FormatSize(h.in), runner.FormatCount(h.transfers, "transfers"), strings.Join(h.from, ", "))
	if h.out > 0 && h.spec.Pull {
		s += ", " + runner.FormatSize(h.out) + " sent"
	}
	return s
}
