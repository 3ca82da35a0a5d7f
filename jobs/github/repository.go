package github

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"mayfly/internal/gitwire"
	"mayfly/runner"
)

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
