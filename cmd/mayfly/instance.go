package main

import (
	"context"
	"fmt"
	"time"

	"mayfly/internal/cloud"
	"mayfly/runner"
)

// An instance is the EC2 instance that this process is on.
type instance struct {
	meta *cloud.Metadata
	id   cloud.Identity // the zero Identity: metadata did not answer
}

// identify says that this machine is an instance, and asks its metadata which
// one. From then on the instance's id is the host's name, and its region counts
// where neither config nor environment names one.
//
// Without an answer the run goes on as far as it can: it fails where it needs
// the role, and reports that.
func (a *app) identify(ctx context.Context) {
	in := &instance{meta: cloud.NewMetadata(a.getenv)}
	a.instance = in
	var err error
	if in.id, err = in.meta.Identity(ctx); err != nil {
		fmt.Fprintf(a.stderr, "mayfly: %v; going on without\n", err)
		return
	}
	a.hostname = in.id.ID
	getenv := a.getenv
	a.getenv = func(name string) string {
		v := getenv(name)
		if v == "" && name == "AWS_REGION" && getenv("AWS_DEFAULT_REGION") == "" {
			return in.id.Region
		}
		return v
	}
}

// describe tells the run where it is, and whom to ask whether the instance is
// about to be taken. On any other machine (in is nil) it does nothing.
//
// The report names no cost: the spot price is not in metadata, asking for it
// takes a permission, and a table of prices would be out of date.
func (in *instance) describe(d *runner.Deployment) {
	if in == nil {
		return
	}
	d.Unattended = true
	d.Notices = notices{in.meta}
	if in.id.ID != "" {
		d.Instance = &runner.Instance{ID: in.id.ID, Type: in.id.Type, Zone: in.id.Zone, Market: in.id.Market}
	}
}

// notices is metadata in the runner's words.
type notices struct{ meta *cloud.Metadata }

// Notice implements runner.Notices.
func (n notices) Notice(ctx context.Context) (runner.Notice, error) {
	notice, err := n.meta.Notice(ctx)
	return runner.Notice(notice), err
}

// staleAfter is the age beyond which the report names a backup: more than two
// runs of the schedule have passed it by. 0: there is no schedule.
func staleAfter(s runner.Schedule, now time.Time) time.Duration {
	var longest time.Duration
	starts := s.Start.Next(now, s.Timezone.Location(), 10)
	for i := 1; i < len(starts); i++ {
		longest = max(longest, starts[i].Sub(starts[i-1]))
	}
	if longest == 0 {
		return 0
	}
	return 2*longest + 24*time.Hour
}
