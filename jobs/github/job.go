package github

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"time"

	gh "github.com/google/go-github/v57/github"
	"golang.org/x/sync/errgroup"

	"mayfly/internal/archive"
	"mayfly/internal/gitwire"
	"mayfly/internal/secret"
	"mayfly/runner"
)

// A job is one run of a Config.
type job struct {
	config *Config
	env    runner.Env
	at     endpoints
	clock  clock
	stall  time.Duration

	// Set by Run.
	rec  *runner.Recorder
	rest *gh.Client
	git  *gitwire.Client
	// listed are the newest chains by OWNER/NAME, index what is known of them.
	listed map[string]archive.Listed
	index  *archive.Index
	// missing are the repositories of which recorded archives are gone.
	missing map[string]bool
	reread  counter
	behind  sync.Once // the report says that the clock is behind
}

var _ runner.Job = (*job)(nil)

// New builds the job. The config must have passed Validate.
func (c *Config) New(env runner.Env) (runner.Job, error) {
	at, err := endpointsOf(c.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	return &job{config: c, env: env, at: at, clock: realClock(), stall: stallAfter}, nil
}

// parallel is the number of repositories in work at once.
func (c *Config) parallel() int {
	if c.Parallel < 1 {
		return defaultParallel
	}
	return c.Parallel
}

// Run lists the repositories and backs up each. What could be listed is
// backed up even when the listing is not complete; the job then returns what
// is wrong with the listing and is not complete.
func (j *job) Run(ctx context.Context, rec *runner.Recorder) error {
	j.rec = rec
	seen, err := j.connect(ctx)
	if err != nil {
		return err
	}
	l := &listing{client: j.rest, config: j.config, warn: j.warn}
	all, listErr := l.list(ctx)
	if listErr == nil {
		rec.Expect(len(all))
		if err := seen.save(ctx); err != nil {
			rec.Log().Info("the next listing will take more requests", "error", j.env.Redact(err.Error()))
		}
	} else {
		seen.drop()
		if listErr = j.redact(listErr); len(all) == 0 || ctx.Err() != nil {
			return listErr
		}
	}
	good, err := j.known(ctx)
	if err != nil {
		return errors.Join(listErr, j.redact(err))
	}
	if listErr == nil {
		j.warnOfGone(all, good)
	}
	picked := j.pick(ctx, all, good)
	j.forget(picked)
	j.work(ctx, picked, good)
	j.tellReread()
	j.saveIndex(ctx)
	if len(picked) == 0 {
		listErr = errors.Join(listErr, noneSelected(len(all)))
	}
	return listErr
}

// connect builds the clients of both services over one transport.
func (j *job) connect(ctx context.Context) (*memory, error) {
	tokens, err := j.tokens()
	if err != nil {
		return nil, err
	}
	t := j.transport(tokens)
	who, err := j.whose(ctx, tokens, t.agent)
	if err != nil {
		return nil, err
	}
	// No owner's segments can get in its way: a login has no dot.
	seen, err := remember(ctx, t, j.env.Store, path.Join(j.env.Prefix, listingKey), who)
	if err != nil {
		j.rec.Log().Info("the listing will take more requests", "error", j.env.Redact(err.Error()))
	}
	j.rest, j.git = newClient(seen, j.at), gitwire.New(t)
	j.git.Stall, j.git.Redact = j.stall, j.env.Redact
	return seen, nil
}

func (j *job) transport(tokens tokenSource) *transport {
	version := j.env.Version
	if version == "" {
		version = "devel"
	}
	return &transport{
		base: j.env.HTTP, at: j.at, tokens: tokens,
		agent: "mayfly/" + version,
		slots: make(chan struct{}, j.config.parallel()),
		limits: &limits{clock: j.clock, show: func(why string, until time.Time) {
			j.rec.Wait(why, until)
			if !until.IsZero() {
				j.rec.Log().Info("waiting", "why", why, "until", until.UTC().Format(time.RFC3339))
			}
		}},
		clock: j.clock, stall: j.stall, log: j.rec.Log(),
	}
}

// whose tells apart whom a listing is shown to, and which mayfly has kept it: 64
// bits of a digest, from which nothing of the token follows.
func (j *job) whose(ctx context.Context, tokens tokenSource, agent string) (string, error) {
	who := ""
	if a := j.config.App; a != nil {
		who = fmt.Sprintf("app %d %d", a.ID, a.Installation) // its tokens last an hour
	} else {
		v, err := tokens.token(ctx)
		if err != nil {
			return "", err
		}
		who = "token " + v.Reveal()
	}
	sum := sha256.Sum256([]byte("listing for " + agent + ": " + who))
	return hex.EncodeToString(sum[:8]), nil
}

// tokens is where requests get their token from.
func (j *job) tokens() (tokenSource, error) {
	switch {
	case j.config.App != nil:
		v, err := j.env.Secret(j.config.App.Key)
		if err != nil {
			return nil, fmt.Errorf("read the app's private key: %w", err)
		}
		key, err := parseKey(v)
		if err != nil {
			return nil, err
		}
		signer := appSigner{id: j.config.App.ID, key: key, now: j.clock.now, hide: j.env.Hide}
		return &appToken{
			installation: int64(j.config.App.Installation),
			client:       newClient(j.transport(signer), j.at),
			now:          j.clock.now,
			hide:         j.env.Hide,
		}, nil
	case !j.config.Token.IsZero():
		v, err := j.env.Secret(j.config.Token)
		if err != nil {
			return nil, fmt.Errorf("read the token: %w", err)
		}
		v = secret.New(strings.TrimSpace(v.Reveal()))
		if v.IsZero() {
			return nil, &runner.Problem{Doing: "read the token", Reason: j.config.Token.String() + " is empty", Fix: "store a token there, or remove token to back up public repositories only"}
		}
		return fixedToken{v}, nil
	}
	return fixedToken{}, nil
}

// pick returns what the config selects, in the order of work: what has waited
// longest for a good backup first, so that runs cut short reach everything in
// time; then the largest, so that it does not come alone at the end. What is
// not selected becomes a skipped item.
func (j *job) pick(ctx context.Context, all []*repository, good map[string]age) []*repository {
	picked := make([]*repository, 0, len(all))
	var reading errgroup.Group
	reading.SetLimit(j.config.parallel())
	for _, r := range all {
		if ok, key := j.config.selected(r); !ok {
			j.rec.Log().Debug("skipped", "repository", r.fullName, "by", key)
			it := j.rec.Start(r.fullName)
			reading.Go(func() error { // its backup grows old too
				it.LastGood(j.lastGood(ctx, r, good[r.fullName]))
				it.End(runner.Skipped, nil)
				return nil
			})
			continue
		}
		picked = append(picked, r)
	}
	_ = reading.Wait() // they return none
	sort.SliceStable(picked, func(i, k int) bool {
		a, b := good[picked[i].fullName].at, good[picked[k].fullName].at
		if !a.Equal(b) {
			return a.Before(b)
		}
		return picked[i].size > picked[k].size
	})
	return picked
}

// noneSelected is an error: a job that backs up nothing is not complete.
func noneSelected(listed int) error {
	return &runner.Problem{
		Doing:  "select repositories",
		Reason: fmt.Sprintf("the config selects none of %d repositories", listed),
		Fix:    "correct the globs of include and exclude, and see forks, archived and private",
	}
}

// work backs up the repositories, several at once, and returns when none is
// in work any more. After ctx's end those not begun are interrupted items.
func (j *job) work(ctx context.Context, rs []*repository, good map[string]age) {
	queue := make(chan *repository)
	var wg sync.WaitGroup
	for range min(j.config.parallel(), len(rs)) {
		wg.Go(func() {
			for r := range queue {
				it := j.rec.Start(r.fullName)
				j.item(ctx, r, it, good[r.fullName])
			}
		})
	}
	for _, r := range rs {
		queue <- r
	}
	close(queue)
	wg.Wait()
}

// item backs up one repository and ends its item. A panic is that item's
// failure: the runner's own guard does not reach into other goroutines.
func (j *job) item(ctx context.Context, r *repository, it *runner.Item, a age) {
	it.LastGood(j.of(r, a))
	defer func() {
		if p := recover(); p != nil {
			j.rec.Log().Error("panic", "repository", r.fullName, "value", j.env.Redact(fmt.Sprint(p)), "stack", string(debug.Stack()))
			it.End(runner.Failed, &runner.Problem{Item: r.fullName, Doing: "back up", Reason: j.env.Redact(fmt.Sprintf("a bug in mayfly: %v", p)), Fix: "report it with the log"})
		}
	}()
	if ctx.Err() != nil {
		it.End(runner.Interrupted, nil)
		return
	}
	outcome, problem := j.backUp(ctx, r, it)
	if !outcome.Good() {
		it.LastGood(j.lastGood(ctx, r, a))
	}
	if problem != nil {
		problem.Item = r.fullName
		problem.Reason, problem.Fix = j.env.Redact(problem.Reason), j.env.Redact(problem.Fix)
		j.rec.Log().Warn(problem.String())
	} else if outcome == runner.Unchanged {
		j.rec.Log().Debug(string(outcome), "repository", r.fullName) // most of them, every time
	} else {
		j.rec.Log().Info(string(outcome), "repository", r.fullName)
	}
	it.End(outcome, problem)
}

func (j *job) warn(p runner.Problem) {
	p.Reason = j.env.Redact(p.Reason)
	j.rec.Warn(p)
}

// redact keeps an error's text free of secrets, and itself for errors.Is.
func (j *job) redact(err error) error {
	if text := err.Error(); j.env.Redact(text) != text {
		return errors.New(j.env.Redact(text))
	}
	return err
}
