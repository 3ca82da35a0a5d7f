package receive

import (
	"context"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"mayfly/internal/sshd"
)

// lookEvery is between two looks for requests: each is one GET.
const lookEvery = 5 * time.Second

// restores are those of a run.
type restores struct {
	run     *run
	server  *sshd.Server
	address string
	until   time.Time

	stop    chan struct{} // closed when the window is over
	working sync.WaitGroup

	mu     sync.Mutex
	list   map[string]*restore
	first  map[string]sighting // of requests, by ID
	alone  bool                // the instance was started for one of them
	why    string
	failed string // the last failure to look
}

// A restore is one at work.
type restore struct {
	Request
	guest string // what the server calls it
	over  chan struct{}
	ended bool // over is closed; restores.mu
	busy  int  // sessions
	out   int64
}

// guestOf is what the server calls a restore: no host can be called so.
func guestOf(id string) string { return "restore:" + id }

var requestForm = regexp.MustCompile(`^[0-9a-z-]{8,48}$`)

// pending reports whether there is a request for this run. It is asked when
// nothing else is to be done: what is restored may be what no volume has any
// more.
func (r *run) pending(ctx context.Context) bool {
	list, err := r.restores.look(ctx)
	return err == nil && len(list) > 0
}

// look reads the requests that are for this run.
func (s *restores) look(ctx context.Context) ([]Request, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	doc, _, err := readRequests(ctx, s.run.env.Store, s.run.env.Prefix)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return slices.DeleteFunc(doc.Requests, func(q Request) bool {
		return s.expired(q, now) || !requestForm.MatchString(q.ID) || q.Instance != "" && q.Instance != s.run.self.ID
	}), nil
}

// A sighting is when this run first saw a request say until when it stands.
type sighting struct{ until, seen time.Time }

// expired reports whether a request stands no more: its time is over, or nobody
// has renewed it for as long as one stands. What clock its time is by, this run
// does not know.
func (s *restores) expired(q Request, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first = map[string]sighting{}
	}
	one := s.first[q.ID]
	if !one.until.Equal(q.Until) {
		one = sighting{q.Until, now}
		s.first[q.ID] = one
	}
	return now.After(q.Until) || now.After(one.seen.Add(RequestTime))
}

// serve serves requests until finish.
func (s *restores) serve(ctx context.Context, server *sshd.Server, list []netip.Addr, until time.Time) {
	s.server, s.until = server, until
	for _, a := range list {
		if s.address == "" || a.Is4() {
			s.address = a.String()
		}
		if a.Is4() {
			break
		}
	}
	s.follow(ctx) // before anybody thinks that nothing is to be done
	s.working.Go(func() {
		for {
			select {
			case <-s.stop:
				return
			case <-ctx.Done():
				return
			case <-time.After(lookEvery):
				s.follow(ctx)
			}
		}
	})
}

// follow begins what is new, and ends what nobody asks for any more.
func (s *restores) follow(ctx context.Context) {
	list, err := s.look(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if s.failed != err.Error() && ctx.Err() == nil {
			s.failed = err.Error()
			s.run.rec.Log().Warn("requests for restores cannot be read: " + s.failed)
		}
		return
	}
	asked := map[string]bool{}
	for _, q := range list {
		asked[q.ID] = true
		if q.Instance != "" {
			s.alone = true
		}
		if s.list[q.ID] == nil {
			one := &restore{Request: q, guest: guestOf(q.ID), over: make(chan struct{})}
			s.list[q.ID] = one
			s.working.Go(func() { s.one(ctx, one) })
		}
	}
	for id, one := range s.list {
		if !asked[id] && one.busy == 0 {
			one.end()
		}
	}
}

// end closes over; restores.mu is held.
func (one *restore) end() {
	if !one.ended {
		one.ended = true
		close(one.over)
	}
}

// active reports whether something is being restored, and whether that is all
// that this run is for.
func (s *restores) active() (some, alone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.list {
		some = some || !one.ended
	}
	return some, s.alone
}

// finish ends them all, and returns when nothing is left of them. It must not
// be called before the server takes no more sessions.
func (s *restores) finish(why string) {
	s.mu.Lock()
	s.why = why
	s.mu.Unlock()
	close(s.stop)
	s.working.Wait()
}

// guest finds the restore that the server calls so; nil: it is a host.
func (s *restores) guest(name string) *restore {
	id, ok := strings.CutPrefix(name, guestOf(""))
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[id]
}

// came counts a guest's sessions and bytes.
func (s *restores) came(one *restore, sessions int, out int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.busy += sessions
	one.out += out
}

func (s *restores) done(one *restore) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.end()
}
