package main

import (
	"context"
	"fmt"
	"path"
	"strings"

	"mayfly/internal/archive"
	"mayfly/internal/store"
	"mayfly/internal/strictyaml"
	dirsync "mayfly/jobs/sync"
)

// nothingThere says that a store has no archive below a path, and what may
// have been meant.
func nothingThere(ctx context.Context, st store.Store, asked, flags string, by hand) error {
	if err := otherwise(ctx, st, asked, by); err != nil {
		return err
	}
	seen := &dirsync.Watcher{Store: st}
	all, _ := archive.Repositories(ctx, seen, "")
	if len(all) == 0 && len(seen.Prefixes) == 0 {
		if up := jobFolder(ctx, st); up != "" {
			return fmt.Errorf("no archive is in %s, which looks like the folder of an owner in a store: --store %s", st.URL(""), shellWord(up))
		}
		if left := commandPrefixes(ctx, st); len(left) > 0 {
			return fmt.Errorf("no archive is in %s, only what command jobs have left, kept as it was: %s: mayfly list %s%s says how to copy it",
				st.URL(""), strings.Join(left[:min(len(left), 10)], ", "), shellWord(left[0]), flags)
		}
		return fmt.Errorf("no archive is in %s yet: mayfly run writes them", st.URL(""))
	}
	if near := meant(asked, all); near != "" {
		return fmt.Errorf("nothing of %s is in %s: did you mean %s?", asked, st.URL(""), near)
	}
	return fmt.Errorf("nothing of %s is in %s: mayfly list%s shows what there is", asked, st.URL(""), flags)
}

// meant is the path that was probably meant: whatever the case of its letters,
// without the .git of an address, without what stands before the name, or with
// a mistake.
func meant(asked string, all []archive.Repository) string {
	asked = strings.TrimSuffix(strings.TrimSuffix(asked, "/"), ".git")
	var beside []string // what has the same owner
	var ending []string // what has more before it
	for _, r := range all {
		p := r.Path()
		if i := len(p) - len(asked); i > 0 && p[i-1] == '/' && strings.EqualFold(p[i:], asked) {
			ending = append(ending, p)
		}
		for n := len(p); n > 0; n = strings.LastIndex(p[:n], "/") {
			if strings.EqualFold(p[:n], asked) {
				return p[:n]
			}
		}
		if strings.EqualFold(path.Dir(p), path.Dir(asked)) {
			beside = append(beside, r.Name)
		}
	}
	if len(ending) == 1 {
		return ending[0]
	}
	if near := strictyaml.Nearest(path.Base(asked), beside); near != "" {
		return path.Dir(asked) + "/" + near
	}
	return ""
}

// jobFolder is the address of the store above an owner's folder in it, which
// was given for a store; "" if it was not.
func jobFolder(ctx context.Context, st store.Store) string {
	owner := path.Base(st.URL(""))
	for o, err := range st.List(ctx, "") {
		if err != nil {
			break
		}
		if _, ok := archive.ParseKey("", owner+"/"+o.Key); ok {
			return above(above(st.URL("")))
		}
	}
	return ""
}

// above is an address without its last part.
func above(address string) string {
	address = strings.TrimSuffix(address, "/")
	return address[:max(strings.LastIndex(address, "/"), 0)]
}
