package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"mayfly/internal/archive"
	"mayfly/internal/rebuild"
	"mayfly/internal/store"
	dirsync "mayfly/jobs/sync"
	"mayfly/runner"
)

// A verifyOptions is what mayfly verify is asked for.
type verifyOptions struct {
	store string
	deep  bool
	work  string
	room  string
	json  bool
}

func newVerifyCmd(a *app) *cobra.Command {
	var o verifyOptions
	c := &cobra.Command{
		Use:   "verify [PREFIX[/OWNER[/NAME]]]",
		Short: "Check every byte of the archives in the store",
		Long: `Verify reads every archive to its end: structure, checksums, every object in
every pack inflated and counted, the refs and their digests, and that each
increment belongs to the archive before it. What earlier runs recorded and is
gone is named, too.

Archives that are damaged are marked: a small DAMAGED.txt beside them, which is
all that verify writes. No run goes on from marked archives; the next one that
backs the repository up writes a full archive.

Of directories that sync jobs keep it reads every file, and names those that the
last run has recorded and that are gone. A file in another version than it has
recorded is named, too, and alone is no failure: a run that was cut off leaves
such files.

With --deep it also rebuilds each repository, one after the other, in a work
folder of at most --room: every object is named by its content, and everything
is walked that the refs of any point in time need. That is what a restore does.

Exit codes: 0 all is whole, 1 something is damaged, missing or could not be
checked, 2 bad usage or config, 4 interrupted.`,
		Example: `  mayfly verify
  mayfly verify github/octocat/hello-world --deep
  mayfly verify documents/letters
  mayfly verify --deep --work /mnt/scratch --room 200GB --store s3://onlinebackupbucket`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notEmpty(cmd); err != nil {
				return err
			}
			path := ""
			if len(args) == 1 {
				path = strings.TrimSuffix(args[0], "/")
			}
			return a.verify(cmd.Context(), o, path)
		},
	}
	f := c.Flags()
	f.StringVar(&o.store, "store", "", "the store's `URL`, instead of a config")
	f.BoolVar(&o.deep, "deep", false, "rebuild each repository and walk all of it")
	f.StringVar(&o.work, "work", "", "with --deep: the work `FOLDER` (default: the system's for temporary files)")
	f.StringVar(&o.room, "room", "50GB", "with --deep: how much the work folder may hold, as `SIZE`")
	f.BoolVar(&o.json, "json", false, "print JSON; fields are added over time, never renamed")
	return c
}

func (a *app) verify(ctx context.Context, o verifyOptions, path string) error {
	bad := func(err error) error { return usageError(fmt.Errorf("verify: %w", err)) }
	if err := checkPath(path); err != nil {
		return bad(err)
	}
	room, err := parseSize(o.room)
	if err != nil {
		return bad(fmt.Errorf("--room: %w", err))
	}
	if o.work != "" {
		if fi, err := os.Stat(o.work); err != nil || !fi.IsDir() {
			return bad(fmt.Errorf("--work %s: not a folder: make it, or name another", o.work))
		}
	}
	st, config, err := a.dataStore(ctx, o.store)
	if err != nil {
		return err
	}
	a.unbound()
	v := &verifier{app: a, o: o, st: st, room: room, flags: a.storeFlags(o.store), hand: byHand(config), synced: syncPrefixes(config)}
	if o.deep {
		v.git = rebuild.FindGit(ctx)
	}
	return a.ofData(ctx, v.run(ctx, path))
}

// verifyAtOnce is how many repositories are read at the same time. With --deep
// it is one: the work folder is bounded.
const verifyAtOnce = 8

// A verifier checks the archives of one store.
type verifier struct {
	app   *app
	o     verifyOptions
	st    store.Store
	room  int64
	git   string
	flags string
	hand  hand

	synced []string // prefixes of the config's sync jobs
	dirs   []verifiedDirJSON

	mu    sync.Mutex
	found []verified
}

func (v *verifier) run(ctx context.Context, path string) error {
	tree, err := dirsync.Find(ctx, v.st, path, v.synced...)
	switch {
	case err != nil:
		return err
	case tree != nil:
		if err := v.trees(ctx, []*dirsync.Tree{tree}); err != nil {
			return err
		}
		return v.report(0)
	}
	seen := &dirsync.Watcher{Store: v.st}
	all, prefixes, err := archive.Catalog(ctx, seen, path)
	if err != nil {
		return err
	}
	trees, err := seen.Trees(ctx)
	if err != nil {
		return err
	}
	if err := v.trees(ctx, trees); err != nil {
		return err
	}
	indexes, gone := v.recorded(ctx, path, prefixes, all)
	if len(all)+len(gone)+len(trees) == 0 {
		return nothingThere(ctx, v.st, path, v.flags, v.hand)
	}
	var size int64
	segments := 0
	for _, r := range all {
		size += r.Size
		segments += r.Points
	}
	if v.o.deep {
		size *= 2 // it is read twice
	}
	t := v.app.transfer(runner.FormatCount(len(all), "repositories"), size)
	var group errgroup.Group
	group.SetLimit(verifyAtOnce)
	if v.o.deep {
		group.SetLimit(1)
	}
	for _, r := range append(all, gone...) {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			v.one(ctx, r, indexes[r.Prefix], t)
			return nil
		})
	}
	_ = group.Wait() // they return none
	t.end()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return v.report(segments)
}

// recorded reads the indexes, and returns the repositories that one of them
// has a record of, that path asks for, and that are not listed. An index that
// cannot be read knows nothing.
func (v *verifier) recorded(ctx context.Context, path string, prefixes []string, all []archive.Repository) (map[string]*archive.Index, []archive.Repository) {
	listed := make(map[string]bool, len(all))
	for _, r := range all {
		listed[r.Path()] = true
	}
	indexes := make(map[string]*archive.Index, len(prefixes))
	var gone []archive.Repository
	for _, prefix := range prefixes {
		x, _ := archive.ReadIndex(ctx, v.st, prefix)
		indexes[prefix] = x
		for _, name := range x.Names() {
			r := archive.Repository{Prefix: prefix}
			r.Owner, r.Name, _ = strings.Cut(name, "/")
			p := r.Path()
			if !listed[p] && (path == "" || p == path || strings.HasPrefix(p, path+"/")) {
				gone = append(gone, r)
			}
		}
	}
	return indexes, gone
}

// one checks one repository.
func (v *verifier) one(ctx context.Context, r archive.Repository, x *archive.Index, t *transfer) {
	var deep archive.Deep
	if v.o.deep {
		deep = func(_ archive.Part, packs int64) (archive.Builder, func(), error) { return v.workFolder(ctx, packs) }
	}
	chains, missing, err := archive.Verify(ctx, v.st, r, x, deep, t.add)
	if ctx.Err() != nil {
		return
	}
	res := verified{verifiedJSON: verifiedJSON{Repository: r.Path(), Segments: r.Points, Size: r.Size}}
	if err != nil {
		res.unchecked(err)
	}
	for i, c := range chains {
		v.chain(ctx, &res, c, chains[i+1:])
	}
	if missing != nil {
		res.lacks(*missing)
	}
	res.Whole = !res.Damaged && !res.Missing && !res.NotChecked
	v.mu.Lock()
	defer v.mu.Unlock()
	v.found = append(v.found, res)
	if v.o.json {
		return
	}
	for _, line := range append(res.Problems, res.Advice...) {
		fmt.Fprintf(v.app.stdout, "%s: %s\n", r.Path(), runner.OneLine(line, 1000))
	}
	if res.Whole && v.app.debug {
		fmt.Fprintf(v.app.stdout, "%s: whole\n", r.Path())
	}
}

// workFolder makes an empty repository in a work folder, which done removes.
// Beside the packs it holds their indexes: 28 bytes an object and more.
func (v *verifier) workFolder(ctx context.Context, packs int64) (archive.Builder, func(), error) {
	if need := packs + packs/4; need > v.room {
		return nil, nil, fmt.Errorf("it needs about %s of room, and --room is %s: give it more", runner.FormatSize(need), v.o.room)
	}
	dir, err := os.MkdirTemp(v.o.work, "mayfly-verify-")
	if err != nil {
		return nil, nil, err
	}
	done := func() { os.RemoveAll(dir) }
	repo, err := rebuild.New(ctx, rebuild.Options{Dir: filepath.Join(dir, "repository"), Git: v.git})
	if err != nil {
		done()
		return nil, nil, err
	}
	return repo, done, nil
}

// parseSize reads a size like 50GB; powers of 1000.
func parseSize(s string) (int64, error) {
	number := strings.TrimRight(s, "BbkKMGTi ")
	n, err := strconv.ParseFloat(number, 64)
	factor, ok := map[string]float64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}[strings.ToUpper(strings.TrimSpace(s[len(number):]))]
	if err != nil || !ok || !(n > 0) || n*factor > 1<<62 {
		return 0, errors.New("write it like 50GB")
	}
	return int64(n * factor), nil
}
