package receive

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"mayfly/internal/sshd"
	"mayfly/runner"
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

// one serves one request from its beginning to its end.
func (s *restores) one(ctx context.Context, one *restore) {
	r := s.run
	defer r.wake()
	defer func() {
		if p := r.broke(&host{name: runner.OneLine(one.Host, 80)}, recover()); p != nil {
			p.Doing = "restore"
			r.rec.Warn(*p)
			s.answer(ctx, one, Answer{State: Refused, Reason: p.Reason})
		}
	}()
	defer func() {
		s.mu.Lock()
		one.end()
		s.mu.Unlock()
	}()
	what := "the volume of " + one.Host
	if one.Snapshot != "" {
		what = "the snapshot " + one.Snapshot + " of " + one.Host
	}
	r.rec.Log().Info(fmt.Sprintf("%s asks for %s, to get files back", runner.OneLine(one.By, 200), runner.OneLine(what, 200)))
	c, err := s.open(ctx, one)
	if err != nil {
		r.rec.Warn(runner.Problem{Doing: "restore", Item: runner.OneLine(one.Host, 80), Reason: err.Error()})
		s.answer(ctx, one, Answer{State: Refused, Reason: err.Error()})
		return
	}
	s.answer(ctx, one, Answer{
		State: Ready, Address: s.address, Port: r.config.Listen.Port, Until: s.until.UTC(),
		HostKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(r.hostKey.PublicKey()))),
	})
	why := "it is done"
	select {
	case <-one.over:
	case <-s.stop:
		why = s.why
	case <-ctx.Done():
		why = stopped
	}
	if err := s.close(ctx, one, c, why); err != nil {
		why += "; " + err.Error()
	}
	s.answer(ctx, one, Answer{State: Over, Reason: why})
	s.mu.Lock()
	out := one.out
	s.mu.Unlock()
	// The report has it: who reads a host's files is worth knowing.
	r.rec.Warn(runner.Problem{Item: one.Host, Reason: fmt.Sprintf("%s were read from %s by %s, to get files back", runner.FormatSize(out), what, runner.OneLine(one.By, 200))})
}

// open makes what is asked for readable by the key.
func (s *restores) open(ctx context.Context, one *restore) (*copied, error) {
	r := s.run
	if err := clockOf(one.Request, time.Now()); err != nil {
		return nil, err
	}
	h := r.byName[one.Host]
	if h == nil {
		return nil, fmt.Errorf("there is no host %s in the config as it was deployed: hosts are %s", runner.OneLine(one.Host, 80), strings.Join(r.config.names(), ", "))
	}
	key, err := guestKey(one.Key)
	if err != nil {
		return nil, err
	}
	guest := sshd.Host{Name: one.guest, Keys: []ssh.PublicKey{key}, Root: "/mnt/" + h.name, ReadOnly: true}
	if one.Snapshot == "" {
		if h.problem != nil {
			return nil, fmt.Errorf("the volume cannot be used: %s; a snapshot may be: --at", h.problem.Reason)
		}
		guest.Dir = r.point(h.name)
		return nil, s.server.Add(guest)
	}
	snap, err := r.snapshotOf(ctx, h, one.Snapshot)
	if err != nil {
		return nil, err
	}
	s.answer(ctx, one, Answer{State: Preparing})
	c, err := r.copySnapshot(ctx, snap, h, "restore-"+one.ID)
	if err != nil {
		return nil, err
	}
	guest.Dir = c.mounted.Point
	if err := s.server.Add(guest); err != nil {
		return nil, errors.Join(err, r.drop(ctx, c))
	}
	return c, nil
}

// clockOf refuses a request that stands for longer than any does: who asks and
// the instance do not have the same time.
func clockOf(q Request, now time.Time) error {
	if ahead := q.Until.Sub(now); ahead > 2*RequestTime {
		return fmt.Errorf("the request stands until %s, and by the instance's clock it is %s: the clock of the machine that asks is about %s ahead: set it right, and call it again",
			q.Until.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), runner.FormatDuration(ahead-RequestTime))
	}
	return nil
}

// snapshotOf finds a completed snapshot of the host's, asking anew.
func (r *run) snapshotOf(ctx context.Context, h *host, id string) (runner.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	all, err := r.env.Volumes.Snapshots(ctx)
	if err != nil {
		return runner.Snapshot{}, err
	}
	for _, s := range ofHost(all, h.name) {
		if s.ID == id && s.State != stateCompleted {
			return s, fmt.Errorf("the snapshot %s is %s", id, s.State)
		} else if s.ID == id {
			return s, nil
		}
	}
	return runner.Snapshot{}, fmt.Errorf("%s is no snapshot of %s in this deployment", runner.OneLine(id, 40), h.name)
}

func guestKey(line string) (ssh.PublicKey, error) {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(options) > 0 || len(rest) > 0 || key.Type() != ssh.KeyAlgoED25519 {
		return nil, errors.New("the request has no key that is taken")
	}
	return key, nil
}

// close ends the sessions, and puts the temporary volume away.
func (s *restores) close(ctx context.Context, one *restore, c *copied, why string) error {
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*graceTime)
	defer cancel()
	err := s.server.Remove(stop, one.guest, why)
	if c == nil {
		return err
	}
	return errors.Join(err, s.run.drop(ctx, c))
}

func (s *restores) answer(ctx context.Context, one *restore, a Answer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), untellTime)
	defer cancel()
	a.Format, a.ID, a.Run = 1, one.ID, s.run.env.RunID
	if err := replace(ctx, s.run.env.Store, s.run.env.Prefix+"/"+answersDir+one.ID+".json", text(a)); err != nil {
		s.run.rec.Log().Warn("the answer to a request for a restore cannot be written: " + err.Error())
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
