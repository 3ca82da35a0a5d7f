package jobs_test

import (
	"errors"
	"strings"
	"testing"

	"mayfly/internal/strictyaml"
	"mayfly/jobs"
	"mayfly/runner"
)

// FuzzConfig: whatever stands in a config, every mistake has a place in it, and
// a secret that was pasted into it is not repeated.
func FuzzConfig(f *testing.F) {
	const pasted = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
	for _, s := range []string{
		"name: demo\nstore: file:///var/backups\njobs:\n  - name: github\n    github: {owners: [octo], token: \"env:TOKEN\", full: {after: 3, share: 0.25}}\n",
		"name: demo\nstore: s3://bucket/p\njobs:\n  - github: {owners: [octo], token: " + pasted + "}\n",
		"name: demo\nschedule: {start: \"0 17 * * FRI\", timezone: Europe/Berlin, deadline: 2h}\ninstance: {types: [t4g.nano], max_price: 0.02}\n",
		"", "- a", "name: &a [*a]", "a: b: c", "\x00", "name: demo\n---\nname: two\n", "jobs: [{name: x, github: {full: {after: -1, share: .nan}}}]",
		"\ufeffname: demo\r\nstore: {url: s3://b, endpoint: http://u:p@h}\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		_, err := runner.Parse("mayfly.yaml", src, runner.ParseOptions{Kinds: jobs.New, KindNames: jobs.Names(), Getenv: func(string) string { return "" }})
		if err == nil {
			return
		}
		if strings.Contains(err.Error(), pasted) && strings.Contains(string(src), "token: "+pasted) {
			t.Fatalf("the message repeats a token: %v", err)
		}
		ms, ok := errors.AsType[strictyaml.Mistakes](err)
		if !ok {
			return
		}
		lines := strings.Count(string(src), "\n") + strings.Count(string(src), "\r") + 1
		for _, m := range ms {
			if m.Line < 0 || m.Line > lines {
				t.Fatalf("mistake at line %d of %d: %v", m.Line, lines, m)
			}
		}
	})
}
