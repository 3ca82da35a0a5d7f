package github

import (
	"fmt"
	"strings"

	"mayfly/runner"
)

// Unit is what an item of this job is.
func (j *job) Unit() string { return "repositories" }

// Restore says how one repository that has a backup is got back: one that this
// run archived if there is any, the one with the shortest name, which reads
// best. It says nothing when there is none.
func (j *job) Restore(jr runner.JobReport) string {
	name, changed := "", false
	for _, it := range jr.Items {
		c := it.Outcome == runner.Changed
		if !c && it.Outcome != runner.Unchanged || changed && !c {
			continue
		}
		if name == "" || c && !changed || len(it.Name) < len(name) {
			name, changed = it.Name, c
		}
	}
	if name == "" {
		return ""
	}
	endpoint := ""
	if j.env.Endpoint != "" {
		endpoint = "AWS_ENDPOINT_URL_S3=" + word(j.env.Endpoint) + " "
		if j.env.StoreRegion != "" {
			endpoint = "AWS_REGION=" + word(j.env.StoreRegion) + " " + endpoint
		}
	}
	path := word(j.env.Prefix + "/" + name)
	at := "--store " + word(strings.TrimSuffix(j.env.Store.URL(""), "/"))
	return fmt.Sprintf("%smayfly restore %s %s\nas of an earlier time: %[1]smayfly list %[2]s %[3]s\nwithout mayfly: RESTORE.txt in each archive has the commands", endpoint, path, at)
}

// word spells s as one word of sh.
func word(s string) string {
	if strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._:=@%+,-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
