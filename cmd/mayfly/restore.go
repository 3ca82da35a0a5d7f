package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/spf13/cobra"

	"mayfly/internal/archive"
	"mayfly/internal/rebuild"
	"mayfly/internal/store"
	dirsync "mayfly/jobs/sync"
	"mayfly/runner"
)

// A restoreOptions is what mayfly restore is asked for.
type restoreOptions struct {
	store    string
	at       string
	wiki     bool
	checkout bool
	all      bool
	pushTo   string
	host     hostOptions
}

func newRestoreCmd(a *app) *cobra.Command {
	var o restoreOptions
	c := &cobra.Command{
		Use:   "restore PREFIX/OWNER/NAME|PREFIX[/PATH] [DIR] | PREFIX/HOST [PATH...] [-o DIR]",
		Short: "Get a repository, a synced directory or a host's files back",
		Long: `Restore makes a repository of what the store has: a bare one with every branch,
tag, note and other ref, or with --checkout one to work in. Every byte is held
against its checksum and everything that the refs need is walked before DIR
appears under its name. DIR must be new, or an empty folder, which is filled.

With --all, a restore that was cut off goes on with the same command, and what
failed is tried again; DIR holds .mayfly-restore.json for as long.

--at takes a day or month (its end), a day and time, a run's id, an age like 30d
or 90m, or what mayfly list prints; of the points in time that mayfly list
shows, the last one before it is restored. If that one may be missing or
damaged, nothing is: the error says so, and what --at gives the one before.

Of a directory that a sync job keeps, PREFIX brings all back, PREFIX/PATH a part
of it or one file, with times and permissions and every checksum verified. A
restore that goes on where it was cut off is a job: sync: {to: DIR}.

Of a host that pushes, PREFIX/HOST alone lists its snapshots; with PATHs, or -o
DIR for all, an instance is started, or the run at work or about to begin is
asked, and the files are fetched with ssh and rsync: from the host's volume as it
is now, or with --at from the newest good snapshot that is not younger, of which a
temporary volume is made and deleted again. --at snap-... names one, also one that
is partial or whose drill has failed. DIR is HOST unless -o says otherwise, and
must be new or empty; with --overwrite it need not be, and what was cut off goes
on. As root, owners, ACLs and attributes come, too.
What the host has encrypted with gocryptfs is decrypted with its two files.
It needs the config, and the permissions of mayfly start and status.

The rest works from the store alone; neither GitHub nor, with --store, a config is
needed. It uses git where there is one, and does without where there is none;
only --push-to needs it.

Exit codes: 0 restored, 1 failed, 2 bad usage or config, 3 some repositories
(with --all) or files were not restored, 4 interrupted.`,
		Example: `  mayfly restore github/octocat/hello-world
  mayfly restore github/octocat/hello-world before --at 2026-10-31
  mayfly restore github/octocat/hello-world --checkout --store s3://onlinebackupbucket
  mayfly restore github/octocat/hello-world --push-to git@github.com:octocat/again.git
  mayfly restore github/octocat everything --all
  mayfly restore documents
  mayfly restore documents/letters/2026 letters
  mayfly restore hosts/web
  mayfly restore hosts/web etc/nginx -o restored --at 2026-11-20
  mayfly restore hosts/web home/me --gocryptfs-config gocryptfs.conf --password-file gocryptfs.password`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notEmpty(cmd); err != nil {
				return err
			}
			if r := a.hostWanted(cmd.Context(), o, args); r != nil {
				return interrupted(cmd.Context(), r.run(cmd.Context()))
			}
			if flag := o.host.given(); flag != "" {
				return usageError(fmt.Errorf("restore: %s is about hosts that push, and the config has no job of that kind below %s: name it with -c", flag, args[0]))
			}
			dir := ""
			if len(args) > 2 {
				return usageError(fmt.Errorf("accepts between 1 and 2 arg(s), received %d", len(args)))
			}
			if len(args) == 2 && args[1] != "" {
				dir = filepath.Clean(args[1]) // "out/", as the shell completes it
			}
			return a.restore(cmd.Context(), o, args[0], dir)
		},
	}
	f := c.Flags()
	f.StringVar(&o.store, "store", "", "the store's `URL`, instead of a config")
	f.StringVar(&o.at, "at", "", "as of this `TIME`, instead of the newest")
	f.BoolVar(&o.wiki, "wiki", false, "the wiki instead of the repository")
	f.BoolVar(&o.checkout, "checkout", false, "make a folder to work in, with HEAD checked out")
	f.BoolVar(&o.all, "all", false, "every repository of PREFIX/OWNER, or of PREFIX, with its wiki")
	f.StringVar(&o.pushTo, "push-to", "", "push everything to the empty repository at `URL`; DIR may be left out")
	o.host.flags(c)
	return c
}

// check finds what cannot go together.
func (o restoreOptions) check(path, dir string) error {
	switch {
	case o.all && (o.wiki || o.pushTo != ""):
		return errors.New("--all brings wikis anyway, and pushes nowhere: leave --wiki and --push-to out")
	case o.checkout && o.pushTo != "" && dir == "":
		return errors.New("--checkout with --push-to needs a DIR to check out into")
	case o.all && strings.Trim(path, "/") == "":
		return errors.New("--all: write PREFIX/OWNER or PREFIX, as mayfly list shows it")
	}
	return nil
}

func (a *app) restore(ctx context.Context, o restoreOptions, path, dir string) error {
	bad := func(err error) error { return usageError(fmt.Errorf("restore: %w", err)) }
	if err := o.check(path, dir); err != nil {
		return bad(err)
	}
	r := &restoring{app: a, o: o}
	var err error
	if o.at != "" {
		if r.at, err = parseAt(o.at, a.now(), time.Local); err != nil {
			return bad(err)
		}
	}
	r.git = rebuild.FindGit(ctx)
	if r.git == "" && o.pushTo != "" {
		return bad(errors.New("--push-to needs git, and there is none in the PATH, or one older than 2.32: install it, or restore into a folder"))
	}
	if o.pushTo != "" {
		if err := rebuild.CheckURL(o.pushTo); err != nil {
			return bad(err)
		}
	}
	path = strings.TrimSuffix(path, "/")
	asked := path
	if !o.all {
		path = strings.TrimSuffix(path, ".git")
	}
	prefix, owner, name, noRepo := splitPath(path)
	if err := checkPath(path); err != nil && o.all {
		return bad(err)
	} else if err != nil {
		return bad(noRepo)
	}
	var config *runner.Config
	if r.st, config, err = a.dataStore(ctx, o.store); err != nil {
		return err
	}
	r.flags, r.hand = a.storeFlags(o.store), byHand(config)
	a.unbound()
	tree, err := dirsync.Find(ctx, r.st, asked, syncPrefixes(config)...)
	switch {
	case err != nil:
		return a.ofData(ctx, fmt.Errorf("restore %s: %w", asked, err))
	case tree != nil:
		if err := o.checkTree(tree); err != nil {
			return bad(err)
		}
		return a.ofData(ctx, r.tree(ctx, tree, dir))
	case noRepo != nil && !o.all:
		all, err := archive.Repositories(ctx, r.st, asked)
		if err != nil {
			return a.ofData(ctx, fmt.Errorf("restore %s: %w", asked, err))
		}
		if len(all) == 0 {
			return bad(nothingThere(ctx, r.st, asked, r.flags, r.hand))
		}
		return bad(fmt.Errorf("%q is not a repository: write PREFIX/OWNER/NAME, as mayfly list %s%s shows it, or add --all for every one of it", asked, shellWord(asked), r.flags))
	}
	if o.pushTo != "" { // before the long work
		if err := rebuild.CheckTarget(ctx, r.git, o.pushTo); err != nil {
			return asFailed(fmt.Errorf("restore %s: %w", path, err))
		}
	}
	if o.all {
		return a.ofData(ctx, r.everything(ctx, path, dir))
	}
	part := archive.Repo
	if o.wiki {
		part = archive.Wiki
	}
	return a.ofData(ctx, r.one(ctx, wanted{prefix, owner, name, part}, dir))
}

// A restoring is a restore from one store.
type restoring struct {
	app   *app
	o     restoreOptions
	st    store.Store
	hand  hand
	at    time.Time
	git   string // path of git, "" without one
	flags string
	goOn  bool // an earlier restore of everything was cut off
	// indexes are those read so far, by prefix.
	indexes map[string]*archive.Index
}

// A wanted is one repository, or wiki, to restore.
type wanted struct {
	prefix, owner, name string
	part                archive.Part
}

func (j wanted) path() string { return j.prefix + "/" + j.owner + "/" + j.name }

// folder is what the restored repository is called.
func (j wanted) folder(checkout bool) string {
	s := j.name
	if j.part == archive.Wiki {
		s += ".wiki"
	}
	if !checkout {
		s += ".git"
	}
	return s
}

// one restores one repository, and says so.
func (r *restoring) one(ctx context.Context, j wanted, dir string) error {
	if dir == "" && r.o.pushTo == "" {
		dir = j.folder(r.o.checkout)
	}
	p, err := r.point(ctx, j)
	if old := (*archive.TooOldError)(nil); errors.Is(err, archive.ErrNoPoint) && !errors.As(err, &old) {
		return fmt.Errorf("restore: %w", nothingThere(ctx, r.st, j.path(), r.flags, r.hand))
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w: mayfly list %s%s shows what there is", j.path(), err, j.path(), r.flags)
	}
	r.warn(j, p)
	refs, err := r.restore(ctx, j, p, dir)
	if errors.Is(err, archive.ErrDamaged) {
		err = fmt.Errorf("%w: mayfly verify %s%s says what is damaged; an earlier point may be whole: --at", err, j.path(), r.flags)
	}
	if err != nil {
		return fmt.Errorf("restore %s as of %s: %w", j.path(), moment(p.At, time.Local), err)
	}
	what := j.path()
	if j.part == archive.Wiki {
		what = "the wiki of " + what
	}
	where := ""
	if dir != "" {
		where = " into " + dir
	}
	if r.o.pushTo != "" {
		where += " and pushed it to " + r.o.pushTo
	}
	fmt.Fprintf(r.app.stdout, "Restored %s as of %s%s: %s, everything they need is there.\n", what, moment(p.At, time.Local), where, runner.FormatCount(refs, "refs"))
	if dir != "" && !r.o.checkout {
		fmt.Fprintf(r.app.stdout, "Next: git clone %s\n", shellWord(dir))
	} else if dir != "" {
		fmt.Fprintf(r.app.stdout, "Next: cd %s\n", shellWord(dir))
	}
	return nil
}

// restore makes one repository in a folder beside dir, or in it if it is there
// and empty, which gets its name only when everything is right. It returns how many refs there are.
func (r *restoring) restore(ctx context.Context, j wanted, p archive.Point, dir string) (refs int, err error) {
	to, err := aim(dir)
	if err != nil {
		return 0, err
	}
	defer to.drop()
	work := to.work
	defer func() { err = withoutPath(err, work) }()
	repo, err := rebuild.New(ctx, rebuild.Options{Dir: work, Git: r.git, Checkout: r.o.checkout})
	if err != nil {
		return 0, err
	}
	t := r.app.transfer(j.path(), p.Bytes(j.part))
	s, err := p.Restore(ctx, j.part, repo, t.add)
	t.end()
	if err != nil {
		return 0, err
	}
	if r.o.checkout {
		if err := repo.CheckOut(ctx); errors.Is(err, rebuild.ErrUnborn) {
			fmt.Fprintf(r.app.stderr, "Nothing is checked out: HEAD names no commit.\n")
		} else if err != nil {
			return 0, err
		}
	}
	refs = len(s.Refs)
	if r.o.pushTo != "" {
		if err := repo.Push(ctx, r.o.pushTo, r.app.onTerminal()); err != nil {
			return 0, fmt.Errorf("%w; part of it may be there: make the target anew before you try again", err)
		}
		refs = repo.Pushable()
		if h := s.Head; refs > 0 && h != nil && h.Type() == plumbing.SymbolicReference {
			r.app.say("HEAD cannot be pushed: the default branch of %s is to be %s.", r.o.pushTo, h.Target().Short())
		}
	}
	return refs, to.keep()
}

// A placelessError is an error whose text does not name the temporary folder,
// which is gone when a person reads it.
type placelessError struct {
	err  error
	text string
}

func (e *placelessError) Error() string { return e.text }
func (e *placelessError) Unwrap() error { return e.err }

func withoutPath(err error, dir string) error {
	abs, absErr := filepath.Abs(dir)
	if err == nil || absErr != nil {
		return err
	}
	const it = "the new repository"
	return &placelessError{err, strings.NewReplacer(abs, it, dir, it).Replace(err.Error())}
}
