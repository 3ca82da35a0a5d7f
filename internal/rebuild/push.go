package rebuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// notPushed are the refs that GitHub makes for pull requests and accepts from
// nobody.
const notPushed = "refs/pull/"

// Push pushes all refs but refs/pull/* to the repository at url, which must
// not have any ref yet. It is git that pushes, with the user's configuration
// and credential helpers, and may ask at the terminal; hooks do not run. What
// it says on the way goes to progress, which may be nil.
//
// HEAD cannot be pushed: the default branch is to be set at the host, and a
// detached HEAD that no ref reaches stays behind. A url that holds a
// credential is refused, because every user of the machine could read it in
// the list of processes. The error wraps ErrNoGit when there is no git.
func (r *Repository) Push(ctx context.Context, url string, progress io.Writer) error {
	if err := CheckURL(url); err != nil {
		return err
	}
	if err := r.push(ctx, url, progress); err != nil {
		return fmt.Errorf("push %s to %s: %w", r.dir, url, err)
	}
	return nil
}

// Pushable is how many refs Push pushes.
func (r *Repository) Pushable() int { return r.refs.pushable }

// CheckTarget looks whether url can be pushed to, as Push does before it
// pushes: it is a repository that can be reached, without any ref. gitPath is
// FindGit's. The error says what is there instead.
func CheckTarget(ctx context.Context, gitPath, url string) error {
	if err := CheckURL(url); err != nil {
		return err
	}
	g := &git{path: gitPath, env: append(without(os.Environ(), isLocal), "GIT_NO_REPLACE_OBJECTS=1")}
	if err := g.empty(ctx, url); err != nil {
		return fmt.Errorf("push to %s: %w", url, err)
	}
	return nil
}

// empty is an error unless url is a repository without any ref.
func (g *git) empty(ctx context.Context, url string) error {
	found, err := g.lsRemote(ctx, url)
	if err == nil && found != "" {
		err = fmt.Errorf("the target is not empty, it has %s: push to a new and empty repository", found)
	}
	return err
}

func (r *Repository) push(ctx context.Context, url string, progress io.Writer) error {
	if r.git == nil {
		return fmt.Errorf("%w: install git", ErrNoGit)
	}
	// No working directory of its own: url may be a path.
	g := &git{path: r.git.path, env: append(without(r.env, isLocal), "GIT_DIR="+r.gitDir, "GIT_NO_REPLACE_OBJECTS=1")}
	if err := g.empty(ctx, url); err != nil {
		return err
	}
	if r.refs.pushable == 0 {
		return nil
	}
	return g.push(ctx, url, progress)
}

// isLocal tells the variables that bind git to a repository, as `git
// rev-parse --local-env-vars` lists them, from those of the user.
func isLocal(name string) bool {
	switch name {
	case "GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_PREFIX", "GIT_NAMESPACE",
		"GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_GRAFT_FILE",
		"GIT_SHALLOW_FILE", "GIT_REPLACE_REF_BASE", "GIT_NO_REPLACE_OBJECTS", "GIT_CONFIG", "GIT_INTERNAL_SUPER_PREFIX":
		return true
	}
	return false
}

// lsRemote returns the first ref that url has, "" if it has none.
func (g *git) lsRemote(ctx context.Context, url string) (string, error) {
	cmd := g.command(ctx, "ls-remote", "--", url)
	var found line
	said := new(tail)
	cmd.Stdout, cmd.Stderr = &found, said
	if err := explain(ctx, cmd.Run(), said, "ls-remote"); err != nil {
		return "", err
	}
	_, name, _ := strings.Cut(string(found.text), "\t")
	return name, nil
}

// push forces nothing: a ref that somebody makes meanwhile is not overwritten.
func (g *git) push(ctx context.Context, url string, progress io.Writer) error {
	args := []string{"push", "--", url, "refs/*:refs/*", "^" + notPushed + "*"}
	said := new(tail)
	var stderr io.Writer = said
	if progress != nil {
		args = slices.Insert(args, 1, "--progress")
		stderr = io.MultiWriter(said, deaf{progress})
	}
	cmd := g.command(ctx, args...)
	cmd.Stderr = stderr
	return explain(ctx, cmd.Run(), said, "push")
}

// A line keeps the first line that is written to it, if it is no longer than
// 1 KiB.
type line struct {
	text []byte
	full bool
}

func (l *line) Write(p []byte) (int, error) {
	if !l.full {
		text, _, found := bytes.Cut(p, []byte("\n"))
		l.text = append(l.text, text[:min(len(text), 1<<10-len(l.text))]...)
		l.full = found || len(l.text) == 1<<10
	}
	return len(p), nil
}

// deaf is a writer whose failures do not matter.
type deaf struct{ w io.Writer }

func (d deaf) Write(p []byte) (int, error) {
	_, _ = d.w.Write(p)
	return len(p), nil
}

var (
	errCredential = errors.New("the url to push to holds a user name, a password or a token, or may hold one: leave it out, and let git's credential helper give it (git help credentials)")
	errHost       = errors.New("the url to push to has no plain host name: write it like https://github.com/OWNER/NAME.git")
)

// CheckURL refuses a url that holds a credential, as Push does, and one in which
// it could be anywhere: what passes may be shown. The error does not show it.
func CheckURL(url string) error {
	scheme, rest, found := strings.Cut(url, "://")
	if !found {
		return checkPlace(url)
	}
	if scheme == "file" {
		return nil
	}
	host, path := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		host, path = rest[:end], rest[end:]
	}
	switch user, name, ok := strings.Cut(host, "@"); {
	case ok && (!strings.Contains(scheme, "ssh") || strings.Contains(user, ":")):
		return errCredential // over ssh it is the name of an account; over http it may be a token
	case ok:
		host = name
	}
	switch {
	case strings.ContainsAny(path, "@?#"): // a password with a slash in it; a token as a parameter
		return errCredential
	case host == "" || strings.Trim(host, hostBytes) != "":
		return errHost
	}
	return nil
}

// hostBytes are those of a host name, an address and a port.
const hostBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]"

// checkPlace is CheckURL of a path, or of [user@]host:path.
func checkPlace(place string) error {
	host, path, _ := strings.Cut(place, "/")
	user, _, ok := strings.Cut(host, "@")
	switch lower := strings.ToLower(place); {
	case ok && strings.Contains(user, ":"), !ok && strings.Contains(host, ":") && strings.Contains(path, "@"):
		return errCredential
	case strings.HasPrefix(lower, "http:"), strings.HasPrefix(lower, "https:"):
		return errHost
	}
	return nil
}
