package main

import (
	"strings"
	"testing"
	"time"

	"mayfly/jobs"
	"mayfly/runner"
)

func weekly(t *testing.T) *runner.Config {
	t.Helper()
	c, err := runner.Parse("mayfly.yaml", []byte(`
name: weekly
region: eu-west-1
store: s3://bucket
notify: {email: [you@example.com]}
schedule: {start: "0 17 * * FRI", timezone: Europe/Berlin, deadline: 2h}
jobs:
  - name: github
    github: {owners: [octocat]}
`), runner.ParseOptions{Kinds: jobs.New, KindNames: jobs.Names()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A start that came to nothing is a problem once its run should be there, and
// not where the schedule is younger.
func TestOverdue(t *testing.T) {
	t.Parallel()
	c := weekly(t)
	start := time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC) // 17:00 in Berlin
	for _, tt := range []struct {
		name            string
		now             time.Time
		newest, changed time.Time
		armed           bool
		want            bool
	}{
		{"no run at all", start.Add(time.Hour), time.Time{}, start.AddDate(0, 0, -30), true, true},
		{"that of the week before", start.Add(time.Hour), start.AddDate(0, 0, -7), start.AddDate(0, 0, -30), true, true},
		{"three days later", start.AddDate(0, 0, 3), start.AddDate(0, 0, -7), start.AddDate(0, 0, -30), true, true},
		{"it is there", start.Add(time.Hour), start.Add(3 * time.Minute), start.AddDate(0, 0, -30), true, false},
		{"it may still come", start.Add(10 * time.Minute), start.AddDate(0, 0, -7), start.AddDate(0, 0, -30), true, false},
		{"deployed since", start.Add(time.Hour), time.Time{}, start.Add(time.Minute), true, false},
		{"not in force", start.Add(time.Hour), time.Time{}, start.AddDate(0, 0, -30), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &awsStatus{Stack: "UPDATE_COMPLETE", Armed: tt.armed, changed: tt.changed}
			s.overdue(c, tt.newest, tt.now)
			if got := len(s.Problems) == 1; got != tt.want {
				t.Fatalf("problems: %v", s.Problems)
			}
			if tt.want && !strings.Contains(s.Problems[0].What, "no run has begun since the start at Fri 20 Nov 2026 17:00 CET") {
				t.Errorf("it says %q", s.Problems[0].What)
			}
		})
	}
}
