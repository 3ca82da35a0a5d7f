package github

import (
	"context"
	"fmt"
	"strings"

	gh "github.com/google/go-github/v57/github"

	"mayfly/runner"
)

// counts is how many repositories an account says it has.
type counts struct{ public, private int64 }

// countsOf reads an account's counts; those of private ones are shown to
// itself only.
func countsOf(u *gh.User) counts {
	return counts{int64(u.GetPublicRepos()), u.GetOwnedPrivateRepos()}
}

// listedOf counts what is found of an owner.
func (l *listing) listedOf(owner string) counts {
	var c counts
	for _, r := range l.found {
		switch {
		case !strings.EqualFold(r.owner(), owner):
		case r.private:
			c.private++
		default:
			c.public++
		}
	}
	return c
}

// compare holds a listing that yielded listed repositories against what the
// owner counted before it. An empty listing of an owner who has repositories
// is an error, and so are missing public ones: everyone sees those. Missing
// private ones are a warning: a token that was not given all repositories says
// nothing about the others.
func (l *listing) compare(ctx context.Context, owner string, listed int, counted counts, again func(context.Context) (counts, error)) error {
	if listed == 0 {
		if counted == (counts{}) {
			l.warn(noneOf(owner))
			return nil
		}
		return fewer("%d repositories are counted, and the listing holds none", counted.public+counted.private)
	}
	found := l.listedOf(owner)
	if found.public < counted.public {
		// A token bound to an organization may not list its user's public
		// repositories: this asks as everyone. One deleted since the first
		// count is not missing.
		if _, _, err := l.pages(ctx, l.user(owner), ""); err != nil {
			return err
		}
		now, err := again(ctx)
		if err != nil {
			return err
		}
		counted = counts{min(counted.public, now.public), min(counted.private, now.private)}
		found = l.listedOf(owner)
	}
	switch all, seen := counted.public+counted.private, found.public+found.private; {
	case found.public < counted.public:
		return fewer("%d public repositories are counted, and the listing holds %d of them", counted.public, found.public)
	case seen < all:
		l.warn(runner.Problem{
			Item: owner, Doing: "list the repositories of",
			Reason: fmt.Sprintf("%d repositories are counted, and the token sees %d of them", all, seen),
			Fix:    "give the token access to all repositories, or leave out on purpose what is missing",
		})
	}
	return nil
}

// fewer is a listing that cannot be whole.
func fewer(format string, args ...any) error {
	return &runner.Problem{Reason: fmt.Sprintf(format, args...), Fix: "see that the token was given repositories at all; if it was, run again later: https://www.githubstatus.com says whether GitHub has trouble"}
}

// noneOf says that there is nothing to back up.
func noneOf(owner string) runner.Problem {
	return runner.Problem{
		Item: owner, Doing: "list the repositories of",
		Reason: "there is none",
		Fix:    "check the name, and that the token was given its repositories",
	}
}
