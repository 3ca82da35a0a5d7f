package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mayfly/internal/store"
	"mayfly/internal/strictyaml"
	dirsync "mayfly/jobs/sync"
)

// runForm begins the keys below the prefix of a command job: its run.
var runForm = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z/`)

const lookedThrough = 10_000 // objects

// otherwise says what is under a path that is neither a repository nor a synced
// directory, or which directory was meant; nil when it does not know.
func otherwise(ctx context.Context, st store.Store, asked string, by hand) error {
	if asked == "" {
		return nil
	}
	if key, run := artifacts(ctx, st, asked); key != "" {
		return fmt.Errorf("%s is what a command job has left, kept as it was and with no archive around it: %s", asked, by.copyOut(st.URL(key), run))
	}
	if thing(ctx, st, asked+"/") {
		return fmt.Errorf("there are files under %s, and no index that a sync job would have written: if one keeps them, name its config with -c; else %s", st.URL(asked), by.copyOut(st.URL(asked), true))
	}
	seen := &dirsync.Watcher{Store: st}
	for _, err := range seen.List(ctx, "") {
		if err != nil {
			return nil
		}
	}
	for _, p := range seen.Prefixes {
		if strings.HasPrefix(asked, p+"/") {
			return nil
		}
	}
	if near := strictyaml.Nearest(asked, seen.Prefixes); near != "" {
		return fmt.Errorf("nothing of %s is in %s: did you mean %s?", asked, st.URL(""), near)
	}
	return nil
}

// artifacts finds what a command job has left under a path: the newest run of
// the job's prefix, or the path itself within one; "" if there is none.
func artifacts(ctx context.Context, st store.Store, asked string) (key string, folder bool) {
	n := 0
	for o, err := range st.List(ctx, asked) {
		if n++; err != nil || n > lookedThrough {
			break
		}
		rest, below := strings.CutPrefix(o.Key, asked+"/")
		if run := runForm.FindString(rest); below && run != "" {
			key, folder = asked+"/"+strings.TrimSuffix(run, "/"), true
			continue
		}
		if below || o.Key == asked {
			for i, part := range strings.Split(asked, "/") {
				if i > 0 && runForm.MatchString(part+"/") {
					return asked, below
				}
			}
		}
	}
	return key, folder
}

// runAnywhere is the folder of a run of a command job in a key.
var runAnywhere = regexp.MustCompile(`^(.+?)/[0-9]{8}T[0-9]{6}Z/`)

// commandPrefixes are the prefixes of command jobs that have left something in
// a store without archives.
func commandPrefixes(ctx context.Context, st store.Store) []string {
	var found []string
	n := 0
	for o, err := range st.List(ctx, "") {
		if n++; err != nil || n > lookedThrough {
			break
		}
		m := runAnywhere.FindStringSubmatch(o.Key)
		if m != nil && !slices.Contains(found, m[1]) {
			found = append(found, m[1])
		}
	}
	return found
}

// thing reports whether there is an object below a prefix.
func thing(ctx context.Context, st store.Store, prefix string) bool {
	for _, err := range st.List(ctx, prefix) {
		return err == nil
	}
	return false
}
