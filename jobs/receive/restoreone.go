package receive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"mayfly/internal/sshd"
	"mayfly/runner"
)

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
