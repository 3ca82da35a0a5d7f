package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"mayfly/internal/archive"
	"mayfly/internal/store"
	dirsync "mayfly/jobs/sync"
	"mayfly/runner"
)

func newListCmd(a *app) *cobra.Command {
	var address string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [PREFIX[/OWNER[/NAME]]]",
		Short: "Show what is in the store: repositories, their points in time, directories",
		Long: `List shows which repositories the store has archives of, how far back they go,
and how much room they take. Of a single repository it shows every point in time
that can be restored; between two points nothing had changed. Of directories that
sync jobs keep it shows how much there is; with PREFIX or PREFIX/PATH, their files.

Only the store is asked: neither GitHub nor, with --store, any config is needed.

Exit codes: 0 listed, 1 the store cannot be read, holds nothing of that name, or
something of it is damaged, 2 bad usage or config.`,
		Example: `  mayfly list
  mayfly list github/octocat/hello-world
  mayfly list documents/letters
  mayfly list --store s3://onlinebackupbucket --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notEmpty(cmd); err != nil {
				return err
			}
			path := ""
			if len(args) == 1 {
				path = strings.TrimSuffix(args[0], "/")
			}
			if err := checkPath(path); err != nil {
				return usageError(fmt.Errorf("list: %w", err))
			}
			st, config, err := a.dataStore(cmd.Context(), address)
			if err != nil {
				return err
			}
			l := &lister{app: a, st: st, json: asJSON, flags: a.storeFlags(address), hand: byHand(config)}
			return a.ofData(cmd.Context(), l.list(cmd.Context(), path))
		},
	}
	c.Flags().StringVar(&address, "store", "", "the store's `URL`, instead of a config")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON; fields are added over time, never renamed")
	return c
}

// A lister shows what a store has.
type lister struct {
	app   *app
	st    store.Store
	json  bool
	flags string
	hand  hand
}

func (l *lister) list(ctx context.Context, path string) error {
	tree, err := dirsync.Find(ctx, l.st, path)
	if err != nil {
		return err
	}
	if tree != nil {
		return l.files(ctx, tree)
	}
	seen := &dirsync.Watcher{Store: l.st}
	all, err := archive.Repositories(ctx, seen, path)
	if err != nil {
		return err
	}
	dirs, err := l.directories(ctx, seen)
	if err != nil {
		return err
	}
	if len(all) == 1 && all[0].Path() == path {
		return l.one(ctx, all[0])
	}
	if len(all)+len(dirs) == 0 {
		return nothingThere(ctx, l.st, path, l.flags, l.hand)
	}
	l.date(ctx, all)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if l.json {
		return l.printJSON(listingJSON{l.st.URL(""), repositoriesJSON(all), dirs})
	}
	if len(all) > 0 {
		if err := l.table(all); err != nil {
			return err
		}
	}
	if len(all) > 0 && len(dirs) > 0 {
		fmt.Fprintln(l.app.stdout)
	}
	return l.directoryTable(dirs)
}

// date reads when the newest archive of each was made.
func (l *lister) date(ctx context.Context, all []archive.Repository) {
	var group errgroup.Group
	group.SetLimit(datedAtOnce)
	for i := range all {
		group.Go(func() error {
			all[i].Date(ctx, l.st)
			return nil
		})
	}
	_ = group.Wait() // they return none
}

// datedAtOnce is how many archives are asked at the same time when they were
// made.
const datedAtOnce = 16

func (l *lister) table(all []archive.Repository) error {
	w := tabwriter.NewWriter(l.app.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "REPOSITORY\tPOINTS\tOLDEST\tNEWEST\tSIZE\n")
	points, size, gaps := 0, int64(0), 0
	for _, r := range all {
		note := ""
		switch {
		case r.Damaged:
			note = "\tdamaged"
		case r.Gap:
			note = "\ta segment is missing"
		}
		if note != "" {
			gaps++
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s%s\n", r.Path(), r.Points, day(r.Oldest), day(r.Newest), runner.FormatSize(r.Size), note)
		points += r.Points
		size += r.Size
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(l.app.stdout, "\n%s, %s, %s in %s\n", runner.FormatCount(len(all), "repositories"), runner.FormatCount(points, "points"), runner.FormatSize(size), l.st.URL(""))
	if all[0].Prefix == "" {
		up := above(l.st.URL(""))
		fmt.Fprintf(l.app.stdout, "This looks like the folder of a job in the store %s.\nNext: mayfly list --store %s\n", up, shellWord(up))
		return nil
	}
	if gaps > 0 {
		fmt.Fprintf(l.app.stdout, "Next: mayfly verify%s\n", l.flags)
		return nil
	}
	fmt.Fprintf(l.app.stdout, "Next: mayfly list %s%s\n", all[0].Path(), l.flags)
	return nil
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04 MST")
}

// one shows the points in time of one repository.
func (l *lister) one(ctx context.Context, r archive.Repository) error {
	ps, damage := archive.Points(ctx, l.st, r.Prefix, r.Owner, r.Name)
	if len(ps) == 0 && damage != nil {
		return damage
	}
	if l.json {
		return errors.Join(l.printJSON(pointsJSON(r, ps)), damage)
	}
	w := tabwriter.NewWriter(l.app.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "AS OF\tKIND\tSIZE\tREFS\tWIKI\tRUN\n")
	marked := ""
	for _, p := range ps {
		note := ""
		if p.Marked {
			note, marked = "\tdamaged", p.MarkKey()
		}
		wiki := "-"
		if p.Has(archive.Wiki) {
			wiki = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s%s\n", moment(p.At, time.Local), p.Manifest.Kind, runner.FormatSize(p.Object.Size), p.Manifest.Parts.Repo.Refs, wiki, runner.OneLine(p.Manifest.Run, 80), note)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if damage != nil {
		return fmt.Errorf("and more that cannot be read: %w: mayfly verify %s%s", damage, r.Path(), l.flags)
	}
	if marked != "" {
		fmt.Fprintf(l.app.stdout, "\ndamaged: mayfly verify found damage in the folder of these archives, and says what in %s; the points from before it may be whole\n", l.st.URL(marked))
	}
	first := ps[0].At.UTC().Format(time.RFC3339)
	fmt.Fprintf(l.app.stdout, "\nNext: mayfly restore %s --at %s%s\n", r.Path(), first, l.flags)
	return nil
}

func (l *lister) printJSON(v any) error {
	enc := json.NewEncoder(l.app.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

type listingJSON struct {
	Store        string           `json:"store"`
	Repositories []repositoryJSON `json:"repositories"`
	// Directories are those that sync jobs keep.
	Directories []directoryJSON `json:"directories,omitempty"`
}

type repositoryJSON struct {
	Repository string    `json:"repository"` // as restore takes it
	Points     int       `json:"points"`
	Oldest     time.Time `json:"oldest,omitzero"`
	Newest     time.Time `json:"newest,omitzero"`
	Size       int64     `json:"size_bytes"`
	Gap        bool      `json:"segment_missing,omitempty"`
	Damaged    bool      `json:"damaged,omitempty"` // verify has marked some of it
}

func repositoriesJSON(all []archive.Repository) []repositoryJSON {
	list := make([]repositoryJSON, 0, len(all))
	for _, r := range all {
		list = append(list, repositoryJSON{r.Path(), r.Points, toSecond(r.Oldest), toSecond(r.Newest), r.Size, r.Gap, r.Damaged})
	}
	return list
}

// toSecond is a time as all of the JSON has it.
func toSecond(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

type pointJSON struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // "full" or "incr"
	Size int64     `json:"size_bytes"`
	Refs int       `json:"refs"`
	Wiki bool      `json:"wiki"`
	Run  string    `json:"run"`
	Key  string    `json:"key"` // of the segment in the store
	// Damaged says that verify has marked the folder it is in.
	Damaged bool `json:"damaged,omitempty"`
}

func pointsJSON(r archive.Repository, ps []archive.Point) any {
	list := make([]pointJSON, 0, len(ps))
	for _, p := range ps {
		list = append(list, pointJSON{toSecond(p.At), p.Manifest.Kind, p.Object.Size, p.Manifest.Parts.Repo.Refs, p.Has(archive.Wiki), p.Manifest.Run, p.Key, p.Marked})
	}
	return struct {
		Repository string      `json:"repository"`
		Points     []pointJSON `json:"points"` // oldest first
	}{r.Path(), list}
}
