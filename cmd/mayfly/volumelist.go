package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/cloud"
	"mayfly/internal/volume"
	"mayfly/jobs/receive"
)

func newVolumeListCmd(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "Show the volumes of the hosts, and what is still attached",
		Long: `List shows each volume of the deployment: whose it is, who has it now, whether
it has been formatted or adopted, and its newest snapshot. A volume that is
attached to an instance which is not at work for the deployment is named, with
the command that lets it go.

Exit codes: 0 listed, 1 failed, 2 bad usage or config.`,
		Example: `  mayfly volume list
  mayfly volume list --json -c servers.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), a.listVolumes(cmd.Context(), asJSON))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON; fields are added over time, never renamed")
	return c
}

type volumesStatus struct {
	Deployment string            `json:"deployment"`
	Region     string            `json:"region"`
	Volumes    []volumeStatus    `json:"volumes"`
	Attached   []leftover        `json:"still_attached,omitempty"` // though nothing runs there
	Problems   []problemStatus   `json:"problems,omitempty"`
	states     map[string]string // of the deployment's instances
}

type volumeStatus struct {
	Host      string `json:"host,omitempty"`
	ID        string `json:"id"`
	GiB       int    `json:"gib"`
	Type      string `json:"type"`
	Zone      string `json:"zone"`
	State     string `json:"state"`
	Encrypted bool   `json:"encrypted"`
	Instance  string `json:"instance,omitempty"`       // that has it
	Attached  string `json:"attachment,omitempty"`     // "attached", "detaching"
	Running   string `json:"instance_state,omitempty"` // "" when the instance is not the deployment's
	// Of is the host of whose snapshot a temporary volume was made, to be read by
	// a restore or a drill.
	Of string `json:"copy_of,omitempty"`
	// Content is "temporary", "blank", "formatted", "adopted", "unfinished" when its
	// formatting was cut off, or "unknown": it was made from a snapshot, and
	// nobody has adopted it.
	Content   string          `json:"content"`
	UUID      string          `json:"uuid,omitempty"` // of its file system
	Snapshots int             `json:"snapshots"`
	Newest    *snapshotStatus `json:"newest_snapshot,omitempty"`
}

type snapshotStatus struct {
	ID    string    `json:"id"`
	State string    `json:"state"`
	Began time.Time `json:"began"`
}

func (a *app) listVolumes(ctx context.Context, asJSON bool) error {
	v, err := a.volumes(ctx)
	if err != nil {
		return err
	}
	s, err := v.status(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	return v.print(s)
}

func (v *volumes) status(ctx context.Context) (*volumesStatus, error) {
	s := &volumesStatus{Deployment: string(v.config.Name), Region: v.aws.Region(), Volumes: []volumeStatus{}, states: map[string]string{}}
	machines, err := v.aws.ec2.Instances(ctx, tagKey, s.Deployment)
	if err != nil {
		return nil, err
	}
	for _, m := range machines {
		s.states[m.ID] = m.State
	}
	snapshots, err := v.aws.ec2.Snapshots(ctx, tagKey, s.Deployment)
	if err != nil {
		return nil, err
	}
	hosts := map[string]string{}
	for _, vol := range v.list {
		one := s.add(vol, snapshots)
		if other := hosts[one.Host]; other != "" && one.Host != "" {
			s.Problems = append(s.Problems, problemStatus{"both " + other + " and " + one.ID + " are the host " + one.Host + "'s",
				"aws ec2 delete-tags --region " + s.Region + " --resources " + one.ID + " --tags Key=" + volume.TagHost + " takes one away from it"})
		}
		hosts[one.Host] = one.ID
	}
	return s, nil
}

func (s *volumesStatus) add(v cloud.Volume, snapshots []cloud.Snapshot) volumeStatus {
	one := volumeStatus{
		Host: v.Tags[volume.TagHost], ID: v.ID, GiB: v.GiB, Type: v.Type, Zone: v.Zone, State: v.State, Encrypted: v.Encrypted,
		Instance: v.Instance, Attached: v.Attachment, Running: s.states[v.Instance],
	}
	one.content(v)
	if one.Content == "temporary" {
		one.Of = v.Tags[receive.TagOf]
		if one.Running == "" {
			s.Problems = append(s.Problems, temporaryLeft(v, s.Region))
		}
	}
	for _, snap := range snapshots {
		if snap.Volume != v.ID {
			continue
		}
		one.Snapshots++
		if one.Newest == nil || snap.Began.After(one.Newest.Began) {
			one.Newest = &snapshotStatus{snap.ID, snap.State, snap.Began}
		}
	}
	s.Volumes = append(s.Volumes, one)
	if left, ok := stillAttached(v, one.Running, s.Region); ok {
		s.Attached = append(s.Attached, left)
	}
	if v.State == "error" {
		s.Problems = append(s.Problems, problemStatus{"the disk of " + v.ID + " has failed", "restore a snapshot of it to a new volume, and adopt that"})
	}
	if one.Content == "unfinished" {
		s.Problems = append(s.Problems, problemStatus{"the formatting of " + v.ID + " was cut off",
			"a run's report says what is on it; when nothing is: aws ec2 delete-volume --region " + s.Region + " --volume-id " + v.ID + ", and mayfly volume create"})
	}
	return one
}

// stillAttached is a host's volume that an instance has which is not at work;
// state is the instance's, "" when it is not the deployment's.
func stillAttached(v cloud.Volume, state, region string) (leftover, bool) {
	if v.Instance == "" || state == "running" || state == "pending" || state == "shutting-down" {
		return leftover{}, false
	}
	what := "which is not the deployment's"
	if state != "" {
		what = "which is " + state
	}
	return leftover{
		fmt.Sprintf("volume %s (host %s), %s to %s, %s", v.ID, v.Tags[volume.TagHost], v.Attachment, v.Instance, what),
		"aws ec2 detach-volume --region " + region + " --volume-id " + v.ID,
	}, true
}

// temporaryLeft is about a temporary volume while nothing is at work.
func temporaryLeft(v cloud.Volume, region string) problemStatus {
	cure := "the next run deletes it; or: aws ec2 delete-volume --region " + region + " --volume-id " + v.ID
	if v.Instance != "" {
		cure = "the next run deletes it, when no other instance has it; or: aws ec2 detach-volume --region " + region + " --volume-id " + v.ID + ", and delete-volume"
	}
	return problemStatus{fmt.Sprintf("%s is a temporary copy of a snapshot of %s, %d GiB, made for %s by a run that was cut off", v.ID, v.Tags[receive.TagOf], v.GiB, v.Tags[receive.TagTemporary]), cure}
}

// content reads what the tags say is on a volume.
func (s *volumeStatus) content(v cloud.Volume) {
	switch tags := v.Tags; {
	case tags[receive.TagTemporary] != "":
		s.Content = "temporary"
	case tags[volume.TagAdopted] != "":
		s.Content, s.UUID = "adopted", tags[volume.TagAdopted]
	case tags[volume.TagFormatted] != "":
		s.Content, s.UUID = "formatted", tags[volume.TagFormatted]
	case tags[volume.TagFormatting] != "":
		s.Content = "unfinished"
	case v.From != "":
		s.Content = "unknown"
	default:
		s.Content = "blank"
	}
}

func (v *volumes) print(s *volumesStatus) error {
	out := v.app.stdout
	if len(s.Volumes) == 0 {
		fmt.Fprintf(out, "%s has no volumes in %s.\nNext: mayfly volume create --host HOST --size GIB%s\n", s.Deployment, s.Region, v.app.configFlag())
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "HOST\tVOLUME\tSIZE\tZONE\tSTATE\tATTACHED TO\tCONTENT\tNEWEST SNAPSHOT\n")
	for _, one := range s.Volumes {
		newest := "-"
		if one.Newest != nil {
			newest = day(one.Newest.Began) + ", " + one.Newest.State
		}
		whose := dash(one.Host)
		if one.Of != "" {
			whose = one.Of + " (copy)"
		}
		fmt.Fprintf(w, "%s\t%s\t%d GiB\t%s\t%s\t%s\t%s\t%s\n", whose, one.ID, one.GiB, one.Zone, one.State, dash(one.Instance), one.Content, newest)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range s.Attached {
		fmt.Fprintf(out, "\nStill attached: %s\n  %s\n", l.What, l.Command)
	}
	for _, p := range s.Problems {
		fmt.Fprintf(out, "\nProblem: %s\n  %s\n", p.What, p.Cure)
	}
	return nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
