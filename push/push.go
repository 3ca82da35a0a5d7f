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
}

// A Verdict is how a push ended.
type Verdict string

// What a push can be.
const (
	Complete    Verdict = "complete"
	Partial     Verdict = "partial" // some files are missing; the report of the receiver says so too
	Failed      Verdict = "failed"
	Interrupted Verdict = "interrupted"
)

// A Result is how a push ended, for programs.
type Result struct {
	Deployment string         `json:"deployment"`
	Host       string         `json:"host"`
	Verdict    Verdict        `json:"verdict"`
	Problem    string         `json:"problem,omitempty"` // why it is not complete
	Sources    []SourceResult `json:"sources"`
	Done       bool           `json:"done"` // the receiver has been told
	Seconds    float64        `json:"seconds"`
}

// A SourceResult is how one source fared.
type SourceResult struct {
	Source  string  `json:"source"`
	Verdict Verdict `json:"verdict"`
	Problem string  `json:"problem,omitempty"`
	Tries   int     `json:"tries"`
	Files   int64   `json:"files"`   // transferred
	Deleted int64   `json:"deleted"` // at the receiver
	Bytes   int64   `json:"bytes"`   // of the files transferred
	Wire    int64   `json:"wire"`    // bytes that went over the line, of the last try
	Total   int64   `json:"total"`   // bytes of the whole source
}

// ErrRefused is what a push is refused for before anything was done.
var ErrRefused = errors.New("nothing was sent")

const (
	// cutWait is for how long a transfer that was cut off is tried again, at
	// least, after it got anywhere.
	cutWait  = 10 * time.Minute
	firstGap = 2 * time.Second
	lastGap  = 30 * time.Second
	// cleanTime is for what follows an interruption.
	cleanTime = 30 * time.Second
)

// Run pushes. A source that is missing, empty or not mounted keeps all of them
// back, before anything is sent: a receiver that got the others would take them
// for all there is. The error is ErrRefused then.
func (p *Pusher) Run(ctx context.Context) (r Result, err error) {
	began := time.Now()
	r = Result{Deployment: string(p.Config.Deployment), Host: string(p.Config.Host), Verdict: Failed, Sources: []SourceResult{}}
	defer func() { r.Seconds = time.Since(began).Round(time.Millisecond).Seconds() }()
	if err := p.prepare(ctx); err != nil {
		r.Problem = err.Error()
		return r, refused(err)
	}
	defer func() { err = errors.Join(err, p.guard.close()) }()
	transfers, unmount, err := p.transfers(ctx)
	if err != nil {
		r.Problem = err.Error()
		return r, refused(err)
	}
	defer func() { err = errors.Join(err, unmount()) }()
	if p.Start != nil {
		if err := p.Start(ctx); err != nil {
			p.Say("Could not start %s: %v. It may be started by its schedule: waiting.", p.Config.Deployment, err)
		}
	}
	p.until = time.Now().Add(p.wait())
	if !p.DryRun {
		switch o, why := p.begin(ctx); o {
		case whole:
		case later:
			r.Verdict, r.Problem = Interrupted, why
			return r, nil
		default:
			r.Problem = why
			return r, nil
		}
	}
	r.Verdict = Complete
	for _, t := range transfers {
		s := p.send(ctx, t)
		r.Sources = append(r.Sources, s)
		if s.Verdict == Complete {
			continue
		}
		r.Verdict, r.Problem = s.Verdict, string(t.source.Path)+": "+s.Problem
		if s.Verdict != Partial { // the others would fare the same
			break
		}
	}
	if !p.DryRun && r.Verdict != Interrupted {
		r.Done = p.done(ctx, r.Verdict != Complete)
	}
	return r, nil
}

// refused is ErrRefused with the reasons, a line each where there are several.
func refused(err error) error {
	if text := err.Error(); strings.Contains(text, "\n") {
		return fmt.Errorf("%w:\n  %s", ErrRefused, strings.ReplaceAll(text, "\n", "\n  "))
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

// prepare looks at everything that can be known before anything is sent.
func (p *Pusher) prepare(ctx context.Context) error {
	var errs []error
	for _, s := range p.Config.Sources {
		errs = append(errs, s.check())
	}
	if st, err := os.Stat(string(p.Config.Key)); err != nil {
		errs = append(errs, fmt.Errorf("the private key: %w: mayfly init push makes one", err))
	} else if st.IsDir() {
		errs = append(errs, fmt.Errorf("the private key: %s is a directory", p.Config.Key))
	}
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
		list = append(list, encrypted(s, v.Dir, name))
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
	r := SourceResult{Source: string(t.source.Path), Verdict: Failed}
	o, why := p.persist(ctx, func(place Place) (outcome, string, bool) {
		if err := t.check(); err != nil { // its disk may have gone since the first look
			return failed, err.Error(), false
		}
		r.Tries++
		a := p.attempt(ctx, t, place)
		o, reason := p.Config.judge(a.code, a.stderr)
		if p.Verbose || !login.MatchString(a.stderr) { // what ssh says, the reason says better
			a.errors.release()
		}
		r.Files, r.Deleted, r.Wire, r.Total = r.Files+a.sent.Files, r.Deleted+a.sent.Deleted, a.sent.Wire, a.sent.Total
		r.Bytes += a.sent.Bytes
		if err := t.check(); o == whole && err != nil {
			return failed, "while it was sent: " + err.Error() + "; what has gone with it may have been deleted at the receiver, whose snapshots have it", false
		}
		return o, reason, a.moved
	})
	r.Problem = why
	switch o {
	case whole:
		r.Verdict = Complete
	case partial:
		r.Verdict = Partial
	case later: // interrupted
		r.Verdict = Interrupted
	}
	return r
}
