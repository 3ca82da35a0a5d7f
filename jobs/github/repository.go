package github

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
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

// backUp writes one repository's segment, from zero again after what may
// pass: packs differ between requests, so none can be continued.
func (j *job) backUp(ctx context.Context, r *repository, it *runner.Item) (runner.Outcome, *runner.Problem) {
	if r.size > 0 {
		it.Expect(r.size)
	}
	noWiki := "" // why the wiki is not wanted
	switch {
	case !on(j.config.Wiki):
		noWiki = "it was not asked for"
	case !r.hasWiki:
		noWiki = "wikis are switched off for this repository"
	}
	var wikiProblem *runner.Problem
	for try := 1; ; try++ {
		outcome, err := j.attempt(ctx, r, it, noWiki)
		if err == nil {
			if wikiProblem != nil {
				return runner.Partial, wikiProblem
			}
			return outcome, nil
		}
		if ctx.Err() != nil {
			return runner.Interrupted, nil
		}
		if !passes(err, try) {
			var w *wikiError
			if !errors.As(err, &w) {
				return runner.Failed, problemOf("back up", r.fullName, err)
			}
			// Better the repository without its wiki than neither.
			wikiProblem = problemOf("back up the wiki of", r.fullName, w.err)
			noWiki, try = j.env.Redact(wikiProblem.Reason), 0
			continue
		}
		j.rec.Log().Info("starting again", "repository", r.fullName, "try", try+1, "why", j.env.Redact(err.Error()))
		if j.clock.sleep(ctx, itemBackoff<<(2*(try-1))) != nil {
			return runner.Interrupted, nil
		}
	}
}

// passes reports whether another try is worth it.
func passes(err error, try int) bool {
	var e *gitwire.Error
	switch {
	case try >= itemTries:
		return false
	case errors.Is(err, store.ErrAgain):
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

// attempt fetches the repository into one segment, and its wiki unless noWiki
// says why not.
func (j *job) attempt(ctx context.Context, r *repository, it *runner.Item, noWiki string) (runner.Outcome, error) {
	ctx, cancel := context.WithCancel(ctx) // frees what a failed request leaves open
	defer cancel()
	r, ad, err := j.advertised(ctx, r)
	if err != nil {
		return "", err
	}
	var wikiAd *gitwire.Advertisement
	if noWiki == "" {
		if wikiAd, err = j.wiki(ctx, r); err != nil {
			return "", err
		}
		noWiki = "nobody has written it"
	}
	w, err := archive.Create(ctx, j.env.Store, archive.Key(j.env.Prefix, r.owner(), r.name(), j.env.Start, 0, false), j.options(r))
	if err != nil {
		return "", err
	}
	defer func() {
		if err := w.Close(); err != nil {
			j.rec.Log().Warn("drop an unfinished segment", "repository", r.fullName, "error", j.env.Redact(err.Error()))
		}
	}()
	if err := j.part(ctx, w, archive.Repo, ad, it); err != nil {
		return "", err
	}
	if wikiAd == nil {
		err = w.Absent(archive.Wiki, noWiki)
	} else {
		err = ofWiki(j.part(ctx, w, archive.Wiki, wikiAd, it))
	}
	if err != nil {
		return "", err
	}
	metadata, err := r.metadata.text()
	if err != nil {
		return "", err
	}
	if err := w.Metadata("repository", metadata); err != nil {
		return "", err
	}
	seg, err := w.Commit()
	if err != nil {
		return "", err
	}
	it.Wrote(seg.Object.Size)
	if len(ad.Refs) == 0 {
		return runner.Empty, nil
	}
	return runner.Changed, nil
}

func (j *job) options(r *repository) archive.Options {
	return archive.Options{
		Identity:  archive.Identity{Host: j.at.git.Host, ID: r.id, Owner: r.owner(), Name: r.name()},
		Created:   j.env.Start,
		RunID:     j.env.RunID,
		Version:   j.env.Version,
		Selection: archive.Selection{Pull: j.config.PullRequests, Wiki: on(j.config.Wiki)},
	}
}

// ofWiki marks what the git server did to the wiki; a failure of the store is
// nobody's wiki's.
func ofWiki(err error) error {
	var e *gitwire.Error
	if errors.As(err, &e) {
		return &wikiError{err}
	}
	return err
}

// advertised asks for the repository's refs, follows it to its new name when
// it was renamed or transferred since the listing, and drops what is not
// selected.
func (j *job) advertised(ctx context.Context, r *repository) (*repository, *gitwire.Advertisement, error) {
	ad, err := j.git.Advertise(ctx, j.gitURL(r, ""))
	if err != nil {
		return r, nil, err
	}
	if ad.URL() != j.gitURL(r, "") {
		old := r
		if r, err = j.follow(ctx, r); err != nil {
			return r, nil, err
		}
		if !strings.EqualFold(ad.URL(), j.gitURL(r, "")) {
			return r, nil, &runner.Problem{Doing: "back up",
				Reason: fmt.Sprintf("its git address leads to %s, and the API calls it %s", j.place(ad), r.fullName),
				Fix:    "run again later; if it stays so, exclude " + old.fullName}
		}
	}
	if !j.config.PullRequests {
		ad.Filter(func(n plumbing.ReferenceName) bool { return !strings.HasPrefix(n.String(), "refs/pull/") })
	}
	if ad.Head == nil && r.defaultBranch != "" {
		// An unborn HEAD is not on the wire; the API knows it.
		ad.Head = plumbing.NewSymbolicReference(plumbing.HEAD, plumbing.NewBranchReferenceName(r.defaultBranch))
	}
	return r, ad, nil
}

// follow asks under which name the repository is now. A redirect to another
// repository would put that one's objects under this one's name.
func (j *job) follow(ctx context.Context, r *repository) (*repository, error) {
	g, _, err := j.rest.Repositories.Get(ctx, r.owner(), r.name())
	if err != nil {
		return r, err
	}
	p, err := newPacker()
	if err != nil {
		return r, err
	}
	now, err := repositoryOf(g, p)
	if err != nil {
		return r, err
	}
	if now.id != r.id {
		return r, &runner.Problem{Doing: "back up",
			Reason: fmt.Sprintf("its git address leads to another repository, %s", now.fullName),
			Fix:    "run again: the listing then knows both"}
	}
	if now.fullName != r.fullName {
		j.warn(runner.Problem{Item: r.fullName, Doing: "back up",
			Reason: fmt.Sprintf("it was renamed or transferred and is now %s; the backup is under the new name", now.fullName),
			Fix:    "name the new owner in owners if it is no longer listed"})
	}
	return now, nil
}

// wiki asks for the wiki's refs; nil without an error says that there is no
// wiki. GitHub answers 404 for a wiki nobody has written yet, and says in the
// API that it is there. The repository has just answered the same token, so
// here a 404 means nothing else.
func (j *job) wiki(ctx context.Context, r *repository) (*gitwire.Advertisement, error) {
	ad, err := j.git.Advertise(ctx, j.gitURL(r, ".wiki"))
	var e *gitwire.Error
	switch {
	case errors.As(err, &e) && e.Kind == gitwire.NotFound:
		return nil, nil
	case errors.As(err, &e) && e.Kind == gitwire.Unauthorized && j.anonymous():
		// Whoever sends no token gets 401 for what is not there. A public
		// repository's wiki is public, so here too it means: not there.
		return nil, nil
	case err != nil:
		return nil, ofWiki(err)
	case !strings.EqualFold(ad.URL(), j.gitURL(r, ".wiki")):
		return nil, &wikiError{&runner.Problem{
			Reason: "its git address leads to " + j.place(ad) + ", which is not this wiki",
			Fix:    "run again later; if it stays so, set wiki: false"}}
	}
	return ad, nil
}

// place is where an advertisement came from: a name as far as it is at GitHub.
func (j *job) place(ad *gitwire.Advertisement) string {
	return strings.TrimSuffix(strings.TrimPrefix(ad.URL(), j.at.git.String()+"/"), ".git")
}

// anonymous reports whether requests carry no token.
func (j *job) anonymous() bool { return j.config.App == nil && j.config.Token.IsZero() }

// gitURL is the address of the repository, or with ".wiki" of its wiki. It is
// built from the name and never from another address: acme.github.io.git has
// two places where a ".git" could be replaced.
func (j *job) gitURL(r *repository, suffix string) string {
	return j.at.git.String() + "/" + r.owner() + "/" + r.name() + suffix + ".git"
}

// part streams one git repository into the segment.
func (j *job) part(ctx context.Context, w *archive.Writer, part archive.Part, ad *gitwire.Advertisement, it *runner.Item) error {
	s := archive.Snapshot{Head: ad.Head, Refs: ad.Refs}
	wants := wantsOf(s)
	if len(wants) == 0 {
		return w.Empty(part, s)
	}
	return w.Bundle(part, s, func(to io.Writer) (uint32, int64, error) {
		p, err := j.git.Fetch(ctx, ad, wants, nil, &received{to, it})
		return p.Objects, p.Bytes, err
	})
}

// wantsOf lists the objects that the snapshot names, each once.
func wantsOf(s archive.Snapshot) []plumbing.Hash {
	seen := make(map[plumbing.Hash]bool, len(s.Refs)+1)
	wants := make([]plumbing.Hash, 0, len(s.Refs)+1)
	add := func(h plumbing.Hash) {
		if !seen[h] {
			seen[h] = true
			wants = append(wants, h)
		}
	}
	for _, r := range s.Refs {
		add(r.Hash())
	}
	if s.Head != nil && s.Head.Type() == plumbing.HashReference {
		add(s.Head.Hash())
	}
	return wants
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
