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
	"mayfly/runner"
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
	r.Verdict = Complete
	for _, t := range transfers {
		s := p.send(ctx, t)
		r.Sources = append(r.Sources, s)
		switch s.Verdict {
		case Complete:
		case Partial:
			r.Verdict, r.Problem = Partial, string(t.source.Path)+": "+s.Problem
		default: // the others would fare the same
			r.Verdict, r.Problem = s.Verdict, string(t.source.Path)+": "+s.Problem
			return r, nil
		}
	}
	if !p.DryRun {
		r.Done = p.done(ctx)
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
		for _, s := range p.Config.Sources {
			t := plain(s)
			for _, name := range append(p.own(), string(p.Config.Key)) {
				if t.to == "" {
					t.exclude = append(t.exclude, special.ReplaceAllString(name, "[$0]"))
				} else if rest, ok := strings.CutPrefix(name, string(s.Path)); ok {
					t.exclude = append(t.exclude, special.ReplaceAllString(rest, "[$0]"))
				}
			}
			list = append(list, t)
		}
		return list, func() error { return nil }, nil
	}
	var exclude []string
	for _, s := range p.Config.Sources {
		exclude = append(exclude, ignore(s)...)
	}
	for _, name := range append(p.own(), key.Config, key.PasswordFile) {
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

// own is what of a push itself may lie in a source, and is never sent.
func (p *Pusher) own() []string { return []string{p.guard.dir} }

func (p *Pusher) wait() time.Duration {
	if p.Wait > 0 {
		return p.Wait
	}
	return p.Config.wait()
}

// send sends one source, as often as it is cut off.
func (p *Pusher) send(ctx context.Context, t transfer) SourceResult {
	r := SourceResult{Source: string(t.source.Path), Verdict: Failed}
	gap, last := firstGap, ""
	for {
		if ctx.Err() != nil {
			r.Verdict, r.Problem = Interrupted, context.Cause(ctx).Error()+"; the next push goes on"
			return r
		}
		if r.Tries > 0 { // the disk may have gone meanwhile
			if err := t.source.check(); err != nil {
				r.Problem = err.Error()
				return r
			}
		}
		place, why := p.find(ctx)
		if why == "" {
			r.Tries++
			a := p.attempt(ctx, t, place)
			o, reason := p.Config.judge(a.code, a.stderr)
			if p.Verbose || !login.MatchString(a.stderr) { // what ssh says, the reason says better
				a.errors.release()
			}
			r.Files, r.Deleted, r.Wire, r.Total = r.Files+a.sent.Files, r.Deleted+a.sent.Deleted, a.sent.Wire, a.sent.Total
			r.Bytes += a.sent.Bytes
			switch {
			case ctx.Err() != nil && o != whole:
				continue
			case o == whole:
				r.Verdict = Complete
				return r
			case o == partial:
				r.Verdict, r.Problem = Partial, reason
				return r
			case o == failed:
				r.Problem = reason
				return r
			}
			if a.moved {
				gap = firstGap
				p.until = latest(p.until, time.Now().Add(min(cutWait, p.wait())))
			}
			why = reason
		}
		if left := time.Until(p.until); left < gap {
			r.Problem = fmt.Sprintf("the receiver could not be reached within %s: %s", runner.FormatDuration(p.wait()), why)
			return r
		}
		if why != last {
			p.Say("Waiting, until %s at most: %s", p.until.Format("15:04"), why)
			last = why
		}
		select {
		case <-ctx.Done():
		case <-time.After(gap):
		}
		gap = min(gap*3/2, lastGap)
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// find says where the receiver is, or why it is nowhere. Whether anything
// listens there ssh finds out: a connection without a login would stand in the
// receiver's report.
func (p *Pusher) find(ctx context.Context) (place Place, why string) {
	place = Place{Host: p.Config.Address.Host}
	if place.Host == "" {
		var err error
		if place, err = p.Find(ctx); err != nil {
			return place, err.Error()
		}
		if place.Host == "" {
			return place, "the window is not open"
		}
	}
	if place.Port == 0 {
		place.Port = p.Config.port()
	}
	return place, ""
}
