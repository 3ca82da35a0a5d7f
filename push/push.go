package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mayfly/internal/gocryptfs"
	"mayfly/internal/remote"
)

// A Pusher pushes what one config says, once.
type Pusher struct {
	Config *Config
	Getenv func(string) string
	// Find looks where the receiver is, when the config does not say it: a Place
	// without a host is nowhere at the moment, one without a port has the
	// config's.
	Find func(context.Context) (Place, error)
	// Start starts the deployment; nil: nobody does that here. That it runs
	// already is no error.
	Start func(context.Context) error
	// Say takes lines for people, Progress where a transfer stands; Errors takes
	// what rsync and ssh say. None may block for long.
	Say      func(format string, args ...any)
	Progress func(Progress)
	Errors   io.Writer
	// Wait is for how long to try; 0: what the config says.
	Wait   time.Duration
	DryRun bool
	// Verbose shows what ssh says each time, too.
	Verbose bool

	rsync *remote.Rsync
	guard *guard
	known string
	until time.Time // give up then
	// reached is that the receiver has taken something.
	reached bool
	// away is that the window was seen closed since the receiver was told that
	// this begins: who is there now may be another, which has been told nothing.
	away bool
}

// ErrRefused is what a push is refused for before anything was done.
var ErrRefused = errors.New("nothing was sent")

// tellTime is for how long a receiver is told that not all is there.
const tellTime = 10 * time.Second

// Run pushes. A source that is missing, empty or not mounted keeps all of them
// back, before anything is sent: a receiver that got the others would take them
// for all there is. The error is ErrRefused then.
func (p *Pusher) Run(ctx context.Context) (r Result, err error) {
	began := time.Now()
	r = Result{Deployment: string(p.Config.Deployment), Host: string(p.Config.Host), Verdict: Failed, Sources: []SourceResult{}}
	defer func() { r.Seconds = time.Since(began).Round(time.Millisecond).Seconds() }()
	if err := p.prepare(ctx); err != nil {
		return p.refuse(ctx, r, err)
	}
	defer func() { err = errors.Join(err, p.guard.close()) }()
	if lacks := p.rsync.Lacks(); lacks != "" && p.Config.Encrypt == nil {
		p.Say("%s", lacks)
	}
	transfers, unmount, err := p.transfers(ctx)
	if err != nil {
		return p.refuse(ctx, r, err)
	}
	defer func() { err = errors.Join(err, unmount()) }()
	if p.Start != nil {
		if err := p.Start(ctx); err != nil {
			p.Say("Could not start %s: %v. It may be started by its schedule: waiting.", p.Config.Deployment, err)
		}
	}
	p.until = time.Now().Add(p.wait())
	if r.Verdict, r.Problem = p.tell(ctx, "begin"); r.Verdict != Complete {
		return r, nil
	}
	for _, t := range transfers {
		s := p.send(ctx, t)
		r.Sources = append(r.Sources, s)
		if s.Verdict != Complete {
			r.Verdict, r.Problem = s.Verdict, string(t.source.Path)+": "+s.Problem
		}
		if s.Verdict != Complete && s.Verdict != Partial { // the others would fare the same
			break
		}
	}
	p.finish(ctx, &r)
	return r, nil
}

// finish tells the receiver how it ended. One that is interrupted says nothing:
// it has begun and not come to its end.
func (p *Pusher) finish(ctx context.Context, r *Result) {
	switch r.Verdict {
	case Complete:
		v, why := p.tell(ctx, "done")
		if r.Done = v == Complete && !p.DryRun; v != Complete {
			r.Verdict, r.Problem = v, "all is there, and the receiver could not be told, which its report will call partial: "+why
			if v == Failed {
				r.Verdict = Partial
			}
		}
	case Partial, Failed:
		p.until = time.Now().Add(tellTime) // it was there a moment ago, or is gone
		if v, why := p.tell(ctx, "done partial"); v != Complete {
			p.Say("Could not tell the receiver so: %s", why)
		}
	}
}

// refuse ends a push before anything was sent, with ErrRefused and the reasons,
// a line each where there are several; one that is interrupted then is no more
// than that.
func (p *Pusher) refuse(ctx context.Context, r Result, err error) (Result, error) {
	r.Problem = err.Error()
	if ctx.Err() != nil {
		r.Verdict, r.Problem = Interrupted, context.Cause(ctx).Error()+"; nothing was sent"
		return r, nil
	}
	if strings.Contains(r.Problem, "\n") {
		return r, fmt.Errorf("%w:\n  %s", ErrRefused, strings.ReplaceAll(r.Problem, "\n", "\n  "))
	}
	return r, fmt.Errorf("%w: %w", ErrRefused, err)
}

// prepare looks at everything that can be known before anything is sent.
func (p *Pusher) prepare(ctx context.Context) error {
	var errs []error
	for _, s := range p.Config.Sources {
		errs = append(errs, s.check())
	}
	errs = append(errs, p.Config.Key.checkPrivate())
	if k, ok := p.Config.CryptKey(); ok {
		errs = append(errs, k.Check())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var err error
	if p.rsync, err = remote.FindRsync(ctx); err != nil {
		return err
	}
	if p.guard, err = newGuard(p.Config, p.Getenv); err != nil {
		return err
	}
	p.known = filepath.Join(p.guard.dir, "known_hosts")
	if err := os.WriteFile(p.known, []byte(p.Config.known()), 0o600); err != nil {
		return errors.Join(err, p.guard.close())
	}
	return nil
}

// transfers are the sources as they are sent: as they are, or through a view
// that encrypts, which unmount takes away again.
func (p *Pusher) transfers(ctx context.Context) (list []transfer, unmount func() error, err error) {
	key, crypt := p.Config.CryptKey()
	if !crypt {
		return p.Config.plains(p.guard.dir), func() error { return nil }, nil
	}
	var exclude []string
	for _, s := range p.Config.Sources {
		exclude = append(exclude, ignore(s)...)
	}
	for _, name := range real(p.guard.dir, key.Config, key.PasswordFile) {
		exclude = append(exclude, gitSpecial.ReplaceAllString(name, `\$0`))
	}
	p.Say("The sources are encrypted with the key in %s and %s. Without a copy of both, kept elsewhere, nobody can read the backup again.", key.Config, key.PasswordFile)
	v, err := gocryptfs.Reverse(ctx, key, "/", filepath.Join(p.guard.dir, "crypt"), exclude)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range p.Config.Sources {
		name, err := v.Encrypt(strings.TrimPrefix(string(s.Path), "/"))
		if err != nil {
			return nil, nil, errors.Join(err, v.Close())
		}
		list = append(list, encrypted(s, v, name))
	}
	return list, v.Close, nil
}

func (p *Pusher) wait() time.Duration {
	if p.Wait > 0 {
		return p.Wait
	}
	return p.Config.wait()
}

// send sends one source, as often as it is cut off.
func (p *Pusher) send(ctx context.Context, t transfer) SourceResult {
	r := SourceResult{Source: string(t.source.Path)}
	r.Verdict, r.Problem = p.try(ctx, func(place Place) (attempt, outcome, string) {
		if err := t.check(); err != nil { // the disk may have gone meanwhile
			return attempt{}, failed, err.Error()
		}
		if p.away && !p.DryRun {
			if a, o, why := p.word(ctx, place, "begin"); o != whole {
				return a, o, why
			}
		}
		r.Tries++
		a := p.attempt(ctx, t, place)
		r.Files, r.Deleted, r.Bytes = r.Files+a.sent.Files, r.Deleted+a.sent.Deleted, r.Bytes+a.sent.Bytes
		r.Wire, r.Total = a.sent.Wire, a.sent.Total
		o, why := p.Config.judge(a.code, a.stderr)
		if err := t.ended(); err != nil && o != whole {
			return a, failed, err.Error()
		}
		if err := t.check(); err != nil && o == whole {
			return a, failed, "while it was sent: " + err.Error() + "; what has gone with it may have been deleted at the receiver, whose snapshots have it"
		}
		return a, o, why
	})
	return r
}

// tell says a word to the receiver.
func (p *Pusher) tell(ctx context.Context, word string) (Verdict, string) {
	if p.DryRun {
		return Complete, ""
	}
	return p.try(ctx, func(place Place) (attempt, outcome, string) { return p.word(ctx, place, word) })
}

// word says a word to who is there, once.
func (p *Pusher) word(ctx context.Context, place Place, word string) (attempt, outcome, string) {
	errors := &heldBack{w: p.Errors}
	a := p.run(ctx, p.Config.sayArgs(place, p.known, word), "", io.Discard, errors)
	a.errors = errors
	o, why := p.Config.judge(a.code, a.stderr)
	if unknownWord.MatchString(why) { // an older receiver
		o, why = whole, ""
	}
	if o == whole && word == "begin" {
		p.away = false
	}
	return a, o, why
}
