package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"mayfly/internal/cloud"
	"mayfly/jobs/receive"
	"mayfly/runner"
)

// A restoreSession is a restore while an instance serves it.
type restoreSession struct {
	*hostRestore
	*tools
	*decryption          // nil: nothing is decrypted
	get         []string // what is fetched, by its names there; none: all
	into        string   // where to
	id          string
	request     receive.Request
	asked       bool         // the request is in the store
	started     *runFollower // nil: a run was there
	served      string       // the run that was there
	renewed     time.Time
	answer      *receive.Answer
	out         transferred
}

func randomLetters(n int) string { return strings.ToLower(rand.Text()[:n]) }

const (
	// bootTime is how long an instance that is there may take to begin its run.
	bootTime = 15 * time.Minute
	// answerTime is how long an instance may take that is there anyway.
	answerTime = 10 * time.Minute
	// endTime is how long the run may take to put its volume away.
	// hurriedEnd is that when somebody has interrupted this.
	endTime     = 3 * time.Minute
	hurriedEnd  = 15 * time.Second
	answerEvery = 3 * time.Second
)

// ask puts the request into the store, or renews it.
func (s *restoreSession) ask(ctx context.Context) error {
	now := s.app.now()
	if s.request.Asked.IsZero() {
		s.request.Asked = now.UTC()
	}
	s.request.Until = now.Add(receive.RequestTime).UTC()
	if err := receive.Ask(ctx, s.st, string(s.job.Prefix), s.request, now); err != nil {
		return fmt.Errorf("ask for the files: %w", err)
	}
	s.asked, s.renewed = true, now
	return nil
}

// look reads the answer, and renews the request in time.
func (s *restoreSession) look(ctx context.Context) error {
	if s.app.now().Sub(s.renewed) > receive.RequestTime/4 {
		if err := s.ask(ctx); err != nil {
			return err
		}
	}
	a, err := receive.ReadAnswer(ctx, s.st, string(s.job.Prefix), s.id)
	if err == nil && a != nil {
		s.answer = a
	}
	return err
}

// wait waits for the answer to have a state.
func (s *restoreSession) wait(ctx context.Context, state string) error {
	end := s.app.now().Add(answerTime)
	prepared := false
	for {
		if err := s.look(ctx); err != nil {
			return err
		}
		if a := s.answer; a != nil {
			switch {
			case a.State == state:
				return nil
			case a.State == receive.Refused:
				return fmt.Errorf("the run refuses: %s", a.Reason)
			case a.State == receive.Over:
				return fmt.Errorf("the run has ended it: %s", a.Reason)
			case a.State == receive.Preparing && !prepared:
				prepared = true
				s.app.say("A temporary volume is being made of %s.", s.request.Snapshot)
			}
		}
		if err := s.stillThere(ctx, end); err != nil {
			return err
		}
		if err := wait(ctx, s.app.pollEvery(answerEvery)); err != nil {
			return err
		}
	}
}

// stillThere fails when no answer can be expected any more.
func (s *restoreSession) stillThere(ctx context.Context, end time.Time) error {
	if s.started != nil {
		g, err := s.started.aws.groups.Describe(ctx, s.started.group)
		if err != nil {
			return err
		}
		if !s.started.isIn(g) {
			return s.started.noRun(ctx)
		}
		if s.started.now().After(s.started.end) {
			return errors.New("the run has not answered until its end: mayfly logs says what it did")
		}
		return nil
	}
	p, err := runner.ReadPast(ctx, s.st, s.served)
	switch {
	case err != nil:
		return err
	case !p.Live && s.answer == nil:
		return fmt.Errorf("the run %s ended before it took the request up: call it again, and an instance is started", s.served)
	case !p.Live:
		return fmt.Errorf("the run %s has ended", s.served)
	case s.answer == nil && s.app.now().After(end):
		return fmt.Errorf("the run %s does not answer: its window may be over, or its role lacks what restores need: mayfly deploy%s, and call it again when the run has ended", s.served, s.app.configFlag())
	}
	return nil
}

// work copies the files, for as long as the window is open.
func (s *restoreSession) work(ctx context.Context) error {
	key, err := s.hostKey(ctx)
	if err != nil {
		return err
	}
	if err := s.tools.serve(string(s.config.Name), key, s.answer.Address, s.answer.Port); err != nil {
		return err
	}
	if err := s.measure(ctx); err != nil {
		return err
	}
	err = s.copyAll(ctx)
	if s.decryption != nil && (err == nil || isPartial(err)) { // of a part, what came
		err = worse(err, s.decrypt(ctx))
	}
	if err != nil {
		return err
	}
	of := "as it is now"
	if s.request.Snapshot != "" {
		of = "of " + s.request.Snapshot
	}
	what := "all files"
	if len(s.paths) > 0 {
		what = strings.Join(s.paths, ", ")
	}
	fmt.Fprintf(s.app.stdout, "Restored %s of %s, %s, into %s: %s, %s.\n", what, s.host, of, s.o.host.output, runner.FormatCount(s.out.files, "files"), runner.FormatSize(s.out.bytes))
	return nil
}

func isPartial(err error) bool {
	var coded *codeError
	return errors.As(err, &coded) && coded.code == exitPartial
}

// worse is both what kept files from being fetched and from being decrypted. It
// is partial only if neither is worse.
func worse(fetched, decrypted error) error {
	if fetched != nil && decrypted != nil && !isPartial(decrypted) {
		return fmt.Errorf("%w; before, %s", decrypted, fetched.Error()) // without fetched's exit code
	}
	return errors.Join(fetched, decrypted)
}

// hostKey is the key by which the instance is known: the one that deploy has
// published, and that is the answer's.
func (s *restoreSession) hostKey(ctx context.Context) (string, error) {
	said := strings.Join(strings.Fields(s.answer.HostKey)[:min(2, len(strings.Fields(s.answer.HostKey)))], " ")
	for _, ref := range s.spec.Needs().HostKeys {
		if ref.Scheme != "ssm" {
			continue
		}
		name := ref.Name + runner.PublicKeySuffix
		value, err := s.aws.Parameters().Get(ctx, name)
		if errors.Is(err, cloud.ErrNotFound) {
			break
		}
		if err != nil {
			return "", err
		}
		known := strings.Join(strings.Fields(value)[:min(2, len(strings.Fields(value)))], " ")
		if known != said {
			return "", fmt.Errorf("the host key in the store is not the one that deploy has published (%s): nothing is fetched: somebody may have changed %s in the store; mayfly deploy%s says whether the parameter is right", name, s.job.Prefix, s.app.configFlag())
		}
	}
	if said == "" {
		return "", errors.New("the answer has no host key")
	}
	return said, nil
}

// end says that it is over, and waits until nothing is left of it.
func (s *restoreSession) end(ctx context.Context) error {
	fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime+time.Minute)
	defer cancel()
	var err error
	if s.asked {
		limit := endTime
		if ctx.Err() != nil {
			limit = hurriedEnd
		}
		err = s.close(fresh, limit)
	}
	if s.started == nil {
		return err
	}
	if ctx.Err() != nil {
		s.app.say("The instance ends by itself: mayfly logs --follow%s shows how. Once it has: %s", s.app.configFlag(), removeEnd(s.aws.Region(), s.started.group))
		return err
	}
	if s.started.instance.ID != "" {
		s.app.say("Waiting for the instance to end.")
		err = errors.Join(err, s.started.waitGone(ctx, nil))
	}
	s.started.tidy(fresh)
	return err
}

func (s *restoreSession) close(ctx context.Context, limit time.Duration) error {
	if s.answer != nil && s.answer.State == receive.Ready {
		_ = s.tools.sayDone(ctx) // withdrawing the request says it, too
	}
	if err := receive.Withdraw(ctx, s.st, string(s.job.Prefix), s.id); err != nil {
		s.app.say("The request could not be taken back (%v); it ends by itself within %s.", err, runner.FormatDuration(receive.RequestTime))
	}
	if s.answer == nil || s.answer.State != receive.Ready && s.answer.State != receive.Preparing {
		return nil
	}
	for end := s.app.now().Add(limit); s.app.now().Before(end); {
		a, err := receive.ReadAnswer(ctx, s.st, string(s.job.Prefix), s.id)
		if err == nil && a != nil && (a.State == receive.Over || a.State == receive.Refused) {
			if strings.Contains(a.Reason, "still there") {
				return errors.New(a.Reason + "; the next run deletes it")
			}
			return nil
		}
		if s.stillThere(ctx, end) != nil || wait(ctx, s.app.pollEvery(answerEvery)) != nil {
			break
		}
	}
	s.app.say("The run has not said that it has put everything away; its report will.")
	return nil
}
