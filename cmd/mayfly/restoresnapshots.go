package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"text/tabwriter"
	"time"

	"mayfly/internal/cloud"
	"mayfly/internal/volume"
	"mayfly/jobs/receive"
)

var snapshotForm = regexp.MustCompile(`^snap-[0-9a-f]{8,17}$`)

// snapshotsOf are a host's, newest first.
func snapshotsOf(all []cloud.Snapshot, host string) []cloud.Snapshot {
	var list []cloud.Snapshot
	for _, s := range all {
		if s.Tags[volume.TagHost] == host {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b cloud.Snapshot) int { return b.Began.Compare(a.Began) })
	return list
}

// choose finds what --at means: the newest good snapshot that is not younger,
// or the one that is named; nil: the volume as it is now. One whose drill has
// failed is an error, as a damaged archive is, unless it is named.
func (r *hostRestore) choose(ctx context.Context, all, list []cloud.Snapshot) (*cloud.Snapshot, error) {
	at := r.o.at
	if at == "" {
		return nil, nil
	}
	if snapshotForm.MatchString(at) {
		return r.named(ctx, all, at)
	}
	t, err := parseAt(at, r.app.now(), time.Local)
	if err != nil {
		return nil, fmt.Errorf("%w, or a snapshot's id", err)
	}
	var next *cloud.Snapshot
	for i := range list { // newest first
		s := &list[i]
		if !receive.Good(s.State, s.Tags) {
			continue
		}
		if !s.Began.After(t) {
			return s, r.passed(ctx, s, list[i+1:])
		}
		next = s
	}
	if next == nil {
		return nil, fmt.Errorf("there is no good snapshot of %s: mayfly restore %s/%s%s lists all; without --at the volume is read as it is now", r.host, r.job.Prefix, r.host, r.app.configFlag())
	}
	return nil, fmt.Errorf("no good snapshot of %s is from %s or before; the nearest is %s of %s: --at %[3]s", r.host, moment(t, time.Local), next.ID, moment(next.Began, time.Local))
}

// passed is an error when the last drill was of this snapshot and has failed.
func (r *hostRestore) passed(ctx context.Context, s *cloud.Snapshot, older []cloud.Snapshot) error {
	drilled, err := receive.LastDrills(ctx, r.st, string(r.job.Prefix))
	if err != nil {
		r.app.say("How drills ended cannot be read: %v", err)
		return nil
	}
	d := drilled[r.host]
	if d.Snapshot != s.ID || d.Problem == "" {
		return nil
	}
	said := fmt.Sprintf("the snapshot of that time, %s of %s, has failed its drill: %s; --at %[1]s takes it all the same", s.ID, moment(s.Began, time.Local), d.Problem)
	for i := range older {
		if o := &older[i]; receive.Good(o.State, o.Tags) {
			return fmt.Errorf("%s, --at %s the one before, of %s", said, o.ID, moment(o.Began, time.Local))
		}
	}
	return errors.New(said)
}

// named finds the snapshot that is meant; a partial one, too.
func (r *hostRestore) named(ctx context.Context, all []cloud.Snapshot, id string) (*cloud.Snapshot, error) {
	i := slices.IndexFunc(all, func(s cloud.Snapshot) bool { return s.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("%s is no snapshot of the deployment %s: mayfly restore %s/%s%s lists those there are", id, r.config.Name, r.job.Prefix, r.host, r.app.configFlag())
	}
	s := &all[i]
	switch host := s.Tags[volume.TagHost]; {
	case host != r.host:
		return nil, fmt.Errorf("%s is a snapshot of the host %s", id, host)
	case s.State != "completed":
		return nil, fmt.Errorf("%s is %s: only a snapshot that is completed can be read", id, s.State)
	}
	return s, nil
}

// A hostSnapshot is one as it is listed; also the JSON.
type hostSnapshot struct {
	ID    string    `json:"id"`
	Time  time.Time `json:"time"`
	Run   string    `json:"run,omitempty"`
	Data  string    `json:"data"`  // "complete", "partial"
	State string    `json:"state"` // EC2's
	GiB   int       `json:"gib"`   // of the volume
	// Drill is "passed" or what the last one found, where there was one.
	Drill string `json:"drill,omitempty"`
}

type hostSnapshots struct {
	Host      string         `json:"host"`
	Snapshots []hostSnapshot `json:"snapshots"` // newest first
}

// list shows what can be restored.
func (r *hostRestore) list(ctx context.Context, list []cloud.Snapshot) error {
	drilled, err := receive.LastDrills(ctx, r.st, string(r.job.Prefix))
	if err != nil {
		r.app.say("How drills ended cannot be read: %v", err)
	}
	out := hostSnapshots{Host: r.host, Snapshots: []hostSnapshot{}}
	for _, s := range list {
		one := hostSnapshot{ID: s.ID, Time: s.Began, Run: s.Tags["mayfly:run"], Data: s.Tags["mayfly:data"], State: s.State, GiB: s.GiB}
		if d, ok := drilled[r.host]; ok && d.Snapshot == s.ID {
			one.Drill = "passed"
			if d.Problem != "" {
				one.Drill = "failed: " + d.Problem
			}
		}
		out.Snapshots = append(out.Snapshots, one)
	}
	if r.o.host.json {
		e := json.NewEncoder(r.app.stdout)
		e.SetIndent("", "  ")
		return e.Encode(out)
	}
	path := string(r.job.Prefix) + "/" + r.host
	if len(list) == 0 {
		fmt.Fprintf(r.app.stdout, "There is no snapshot of %s yet.\n", r.host)
	} else {
		w := tabwriter.NewWriter(r.app.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "SNAPSHOT\tTIME\tDATA\tSTATE\tVOLUME\tRUN\tDRILL\n")
		for _, s := range out.Snapshots {
			drill := "-"
			if s.Drill != "" {
				drill = s.Drill[:6] // passed, failed
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d GiB\t%s\t%s\n", s.ID, s.Time.Local().Format("2006-01-02 15:04 MST"), dash(s.Data), s.State, s.GiB, dash(s.Run), drill)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintf(r.app.stdout, "Next: mayfly restore %s PATH... -o DIR%s for its files as they are now; --at TIME or --at snap-... for earlier ones\n", path, r.app.configFlag())
	return nil
}
