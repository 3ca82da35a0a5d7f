package github

import (
	"fmt"
	"path"
	"strings"

	"mayfly/internal/archive"
	"mayfly/internal/store"
	"mayfly/runner"
)

// Unit is what an item of this job is.
func (j *job) Unit() string { return "repositories" }

// Restore says how one repository that this run archived is got back with
// stock tools: the newest with the shortest name, which reads best. It says
// nothing when the run archived none.
func (j *job) Restore(jr runner.JobReport) string {
	name := ""
	for _, it := range jr.Items {
		if it.Outcome == runner.Changed && (name == "" || len(it.Name) < len(name)) {
			name = it.Name
		}
	}
	owner, repo, ok := strings.Cut(name, "/")
	if !ok {
		return ""
	}
	url := j.env.Store.URL(archive.Key(j.env.Prefix, owner, repo, j.env.Start, 0, false))
	zip, get := path.Base(url), ""
	if at, err := store.ParseURL(url); err == nil && at.Scheme == "file" {
		zip = at.Dir
	} else {
		endpoint := ""
		if j.env.Endpoint != "" {
			endpoint = "--endpoint-url " + word(j.env.Endpoint) + " "
		}
		get = fmt.Sprintf("aws %ss3 cp %s . && ", endpoint, word(url))
	}
	if strings.HasPrefix(repo, "-") {
		repo = "./" + repo // git would take it for an option
	}
	return fmt.Sprintf("%sunzip %s repo.bundle RESTORE.txt\ngit clone --mirror repo.bundle %s.git", get, word(zip), repo)
}

// word spells s as one word of sh.
func word(s string) string {
	if strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._:=@%+,-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
