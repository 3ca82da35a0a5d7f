package github

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/archive"
	"mayfly/internal/gitwire"
	"mayfly/internal/store"
	"mayfly/runner"
)

const (
	itemTries   = 3               // of one repository, each from zero
	itemBackoff = 2 * time.Second // then four times as long
)

// A wikiError is a failure of the wiki, while its repository is well.
type wikiError struct{ err error }

func (e *wikiError) Error() string { return "wiki: " + e.err.Error() }
func (e *wikiError) Unwrap() error { return e.err }

// A doubtError says why nothing can be built on a repository's chain: it gets a
// new full segment.
type doubtError struct{ err error }

func (e *doubtError) Error() string { return e.err.Error() }
func (e *doubtError) Unwrap() error { return e.err }

// A task is one repository on its way into the store.
type task struct {
	*job
	r      *repository
	it     *runner.Item
	listed archive.Listed // its newest chain
	// noWiki is why the wiki is not asked for, "" if it is. With wikiFailed it
	// was asked for in vain: what is known of it stays as it is.
	noWiki     string
	wikiFailed bool
	// full is why a new full segment must be written.
	full string
}

// backUp writes what has changed of one repository, from zero again after what
// may pass: packs differ between requests, so none can be continued.
func (j *job) backUp(ctx context.Context, r *repository, it *runner.Item) (runner.Outcome, *runner.Problem) {
	t := &task{job: j, r: r, it: it, listed: j.listed[r.fullName]}
	switch {
	case !on(j.config.Wiki):
		t.noWiki = "it was not asked for"
	case !r.hasWiki:
		t.noWiki = "wikis are switched off for this repository"
	}
	var wikiProblem *runner.Problem
	for try := 1; ; try++ {
		outcome, err := t.attempt(ctx)
		if err == nil {
			if wikiProblem != nil {
				return runner.Partial, wikiProblem
			}
			return outcome, nil
		}
		if ctx.Err() != nil {
			return runner.Interrupted, nil
		}
		if doubt := (*doubtError)(nil); errors.As(err, &doubt) && t.full == "" {
			t.full, try = j.env.Redact(doubt.Error()), 0
			continue
		}
		if !passes(err, try) {
			var w *wikiError
			if !errors.As(err, &w) {
				return runner.Failed, problemOf("back up", t.r.fullName, err)
			}
			// Better the repository without its wiki than neither.
			wikiProblem = problemOf("back up the wiki of", t.r.fullName, w.err)
			t.noWiki, t.wikiFailed, try = j.env.Redact(wikiProblem.Reason), true, 0
			continue
		}
		j.rec.Log().Info("starting again", "repository", t.r.fullName, "try", try+1, "why", j.env.Redact(err.Error()))
		if j.clock.sleep(ctx, itemBackoff<<(2*(try-1))) != nil {
			return runner.Interrupted, nil
		}
		if errors.Is(err, store.ErrExists) {
			if err := t.look(ctx); err != nil {
				return runner.Failed, problemOf("back up", t.r.fullName, err)
			}
		}
	}
}

// passes reports whether another try is worth it.
func passes(err error, try int) bool {
	var e *gitwire.Error
	switch {
	case try >= itemTries:
		return false
	case errors.Is(err, store.ErrAgain), errors.Is(err, store.ErrExists):
		return true
	case !errors.As(err, &e):
		return false
	}
	switch e.Kind {
	case gitwire.Cut, gitwire.Moved, gitwire.Server:
		return !permanent(err)
	case gitwire.Corrupt: // once: it may have been the wire
		return try < 2
	}
	return false
}

// look lists the chain anew: another run has written to it.
func (t *task) look(ctx context.Context) (err error) {
	t.listed, err = archive.ScanOne(ctx, t.env.Store, t.env.Prefix, t.r.owner(), t.r.name(), t.index)
	return err
}

// A sight is what the server shows of a repository at one moment.
type sight struct {
	repo, wiki     *gitwire.Advertisement // wiki is nil without one
	repoAs, wikiAs archive.Snapshot
}

// attempt asks for the refs of the repository and, unless noWiki says why not,
// of its wiki, and writes one segment if they are not what the chain's last
// state is.
func (t *task) attempt(ctx context.Context) (runner.Outcome, error) {
	ctx, cancel := context.WithCancel(ctx) // frees what a failed request leaves open
	defer cancel()
	s, err := t.see(ctx)
	if err != nil {
		return "", err
	}
	b, err := t.base(ctx)
	if err != nil {
		return "", err
	}
	same, err := t.same(ctx, s, b)
	if err != nil {
		return "", err
	}
	if same {
		t.remember(b.digest)
		return outcomeOf(s, runner.Unchanged), nil
	}
	w, err := t.begin(ctx, s, b)
	if err != nil {
		return "", err
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.rec.Log().Warn("drop an unfinished segment", "repository", t.r.fullName, "error", t.env.Redact(err.Error()))
		}
	}()
	if err := t.fill(ctx, w, s, b); err != nil {
		return "", err
	}
	seg, err := w.Commit()
	if err != nil {
		return "", err
	}
	t.it.Wrote(seg.Object.Size)
	if b.chain == nil {
		t.listed = archive.Listed{}
	}
	t.listed = t.listed.And(seg)
	t.remember(seg.Manifest.Digest)
	return outcomeOf(s, runner.Changed), nil
}

// empty reports whether there is no object: a detached HEAD names one.
func (s *sight) empty() bool {
	h := s.repoAs.Head
	return len(s.repo.Refs) == 0 && (h == nil || h.Type() != plumbing.HashReference)
}

// outcomeOf is what became of the repository.
func outcomeOf(s *sight, o runner.Outcome) runner.Outcome {
	if s.empty() {
		return runner.Empty
	}
	return o
}

// see asks for the refs.
func (t *task) see(ctx context.Context) (*sight, error) {
	before := t.r.fullName
	r, ad, err := t.advertised(ctx, t.r)
	if err != nil {
		return nil, err
	}
	t.r = r
	if r.fullName != before {
		t.listed = t.job.listed[r.fullName]
	}
	s := &sight{repo: ad, repoAs: archive.Snapshot{Head: ad.Head, Refs: ad.Refs}}
	if t.noWiki == "" {
		if s.wiki, err = t.wiki(ctx, r); err != nil {
			return nil, err
		}
	}
	if s.wiki != nil {
		s.wikiAs = archive.Snapshot{Head: s.wiki.Head, Refs: s.wiki.Refs}
	}
	return s, nil
}

// wikiState is the wiki's, nil without one.
func (s *sight) wikiState() *archive.Snapshot {
	if s.wiki == nil {
		return nil
	}
	return &s.wikiAs
}

// wikiless reports whether there is no page of a wiki.
func (s *sight) wikiless() bool { return s.wiki == nil || len(s.wiki.Refs) == 0 }

// fill writes all of the segment's content.
func (t *task) fill(ctx context.Context, w *archive.Writer, s *sight, b *base) error {
	if err := t.part(ctx, w, archive.Repo, s.repo, s.repoAs); err != nil {
		return err
	}
	var err error
	switch {
	case s.wiki != nil:
		err = ofWiki(t.part(ctx, w, archive.Wiki, s.wiki, s.wikiAs))
	case t.noWiki == "":
		err = w.Absent(archive.Wiki, "nobody has written it")
	case t.wikiFailed && b.chain != nil:
		err = w.Keep(t.noWiki)
	default:
		err = w.Absent(archive.Wiki, t.noWiki)
	}
	if err != nil {
		return err
	}
	metadata, err := t.r.metadata.text()
	if err != nil {
		return err
	}
	return w.Metadata("repository", metadata)
}

// part streams what is new of one git repository into the segment.
func (t *task) part(ctx context.Context, w *archive.Writer, part archive.Part, ad *gitwire.Advertisement, s archive.Snapshot) error {
	wants := w.Wants(part, s)
	if len(wants) == 0 {
		return w.Refs(part, s)
	}
	haves := w.Haves(part, s)
	return w.Bundle(part, s, func(to io.Writer) (uint32, int64, error) {
		p, err := t.git.Fetch(ctx, ad, wants, haves, &received{to, t.it})
		switch {
		case errors.Is(err, gitwire.ErrUnknownHaves):
			err = t.doubt(fmt.Errorf("the %s at the server has nothing in common with what is here: its history was replaced", partWord(part)))
		case err == nil && p.RefDeltas > 0 && len(haves) > 0:
			err = t.doubt(errors.New("the server sent an increment that may lean on objects it does not hold"))
		}
		return p.Objects, p.Bytes, err
	})
}

// partWord is the part in words.
func partWord(p archive.Part) string {
	if p == archive.Wiki {
		return "wiki"
	}
	return "repository"
}

// received counts the bytes of a pack on their way.
type received struct {
	to io.Writer
	it *runner.Item
}

func (c *received) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.it.Read(int64(n))
	return n, err
}
