package main

import (
	"context"
	"errors"

	"mayfly/jobs/receive"
	"mayfly/runner"
)

// begin finds a run or starts one, asks it, and waits until it has opened what
// is wanted.
func (s *restoreSession) begin(ctx context.Context) error {
	for end, told := s.app.now().Add(bootTime), false; ; told = true {
		run, err := s.running(ctx)
		if err != nil {
			return err
		}
		if run != "" {
			s.served = run
			s.app.say("The run %s is at work: it is asked.", run)
			break
		}
		if err = s.start(ctx); err == nil {
			break
		}
		if busy := (*busyError)(nil); !errors.As(err, &busy) || s.app.now().After(end) {
			return err
		}
		if !told {
			s.app.say("The group %s has an instance already, or is to get one: its run is asked once it has begun.", s.config.Name)
		}
		if err := wait(ctx, s.app.pollEvery(followEvery)); err != nil {
			return err
		}
	}
	if err := s.ask(ctx); err != nil {
		return err
	}
	return s.wait(ctx, receive.Ready)
}

// running is the deployment's run at work, "" when there is none.
func (s *restoreSession) running(ctx context.Context) (string, error) {
	const few = 3
	runs, err := runner.RunIDs(ctx, s.st, s.app.now(), few)
	if err != nil {
		return "", err
	}
	for _, id := range runs {
		p, err := runner.ReadPast(ctx, s.st, id)
		if err != nil && !errors.Is(err, runner.ErrNoRun) {
			return "", err
		}
		if p.Live && (p.Deployment() == "" || p.Deployment() == string(s.config.Name)) {
			return id, nil
		}
	}
	return "", nil
}

// start launches an instance for this alone, unless the schedule starts one
// before it has ended: then it is an ordinary run, which waits for its hosts.
func (s *restoreSession) start(ctx context.Context) error {
	f, err := s.app.launch(ctx, s.config, s.src, false)
	if err != nil {
		return err
	}
	s.started = f
	f.told = map[string]bool{}
	if err := f.waitInstance(ctx); err != nil {
		return err
	}
	if f.next.IsZero() {
		s.request.Instance = f.instance.ID
	}
	return nil
}
