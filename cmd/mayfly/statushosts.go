package main

import (
	"context"
	"fmt"
	"time"

	"mayfly/internal/cloud"
	"mayfly/internal/store"
	"mayfly/internal/volume"
	"mayfly/jobs/receive"
	"mayfly/runner"
)

// A hostStatus is what there is of a host that pushes; part of status's JSON.
type hostStatus struct {
	Host      string `json:"host"`
	Volume    string `json:"volume,omitempty"` // "": there is none
	GiB       int    `json:"gib,omitempty"`
	State     string `json:"state,omitempty"` // EC2's
	Snapshots int    `json:"snapshots"`
	// Good is the newest snapshot of data that came whole.
	Good string    `json:"good_snapshot,omitempty"`
	Made time.Time `json:"good_snapshot_made,omitzero"`
	// Drill is how the last one ended; nil: there was none.
	Drill *receive.Drilled `json:"drill,omitempty"`
}

// hosts finds the volume and the newest good snapshot of each host.
func (s *awsStatus) hosts(ctx context.Context, aws services, c *runner.Config) error {
	var needs []runner.VolumeNeed
	for _, j := range c.Jobs {
		needs = append(needs, j.Config.Needs().Volumes...)
	}
	if len(needs) == 0 {
		return nil
	}
	volumes, err := aws.ec2.Volumes(ctx, tagKey, string(c.Name))
	if err != nil {
		return err
	}
	snapshots, err := aws.ec2.Snapshots(ctx, tagKey, string(c.Name))
	if err != nil {
		return err
	}
	for _, n := range needs {
		s.Hosts = append(s.Hosts, hostStatusOf(n, volumes, snapshots))
	}
	return nil
}

// drills adds how the last drill of each host ended, as far as that can be read.
func (s *awsStatus) drills(ctx context.Context, st store.Store, c *runner.Config) {
	for _, j := range c.Jobs {
		spec, ok := j.Config.(*receive.Config)
		if !ok {
			continue
		}
		last, err := receive.LastDrills(ctx, st, string(j.Prefix))
		if err != nil {
			s.problem("how drills of "+string(j.Prefix)+" ended cannot be read: "+err.Error(), "see that the store can be read")
			continue
		}
		for i := range s.Hosts {
			h := &s.Hosts[i]
			if _, mine := spec.Hosts[h.Host]; !mine {
				continue
			}
			if d, ok := last[h.Host]; ok {
				h.Drill = &d
				if d.Problem != "" {
					s.problem("the drill of "+h.Host+" failed: "+d.Problem, "look which one is right with mayfly restore; the next run drills again")
				}
			}
		}
	}
}

func hostStatusOf(n runner.VolumeNeed, volumes []cloud.Volume, snapshots []cloud.Snapshot) hostStatus {
	one := hostStatus{Host: n.Host}
	for _, v := range volumes {
		if n.ID == v.ID || n.ID == "" && v.Tags[volume.TagHost] == n.Host {
			one.Volume, one.GiB, one.State = v.ID, v.GiB, v.State
		}
	}
	for _, snap := range snapshots {
		if snap.Tags[volume.TagHost] != n.Host {
			continue
		}
		one.Snapshots++
		if receive.Good(snap.State, snap.Tags) && snap.Began.After(one.Made) {
			one.Good, one.Made = snap.ID, snap.Began
		}
	}
	return one
}

// words says it to a person.
func (h hostStatus) words(now time.Time, config string) string {
	said := "no volume yet: mayfly deploy" + config + " creates it"
	if h.Volume != "" {
		said = fmt.Sprintf("%s (%d GiB, %s)", h.Volume, h.GiB, h.State)
	}
	if h.Good == "" {
		return said + "; no good snapshot"
	}
	said = fmt.Sprintf("%s; newest good snapshot %s, %s old; %s", said, h.Good, runner.FormatDuration(now.Sub(h.Made)), runner.FormatCount(h.Snapshots, "snapshots"))
	switch d := h.Drill; {
	case d == nil:
	case d.Problem != "":
		said += fmt.Sprintf("; drill failed %s ago", runner.FormatDuration(now.Sub(d.At)))
	default:
		said += fmt.Sprintf("; drill passed %s ago, %s", runner.FormatDuration(now.Sub(d.At)), runner.FormatCount(d.Files, "files"))
	}
	return said
}
