package github

import (
	"fmt"
	"path"
	"strings"

	"mayfly/internal/archive"
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
	zip, isFile := strings.CutPrefix(url, "file://")
	get := ""
	if !isFile {
		zip = path.Base(url)
		get = fmt.Sprintf("aws s3 cp %s . && ", url)
	}
	return fmt.Sprintf("%sunzip %s repo.bundle RESTORE.txt\ngit clone --mirror repo.bundle %s.git", get, zip, repo)
}
