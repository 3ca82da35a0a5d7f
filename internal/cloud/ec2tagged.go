package cloud

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// An Instance is one that has a tag. State is EC2's: "running".
type Instance struct {
	ID, Type, Zone, State string
	Group                 string // the Auto Scaling group it was launched by
	Spot                  bool
	Launched              time.Time
}

// Instances lists those with a tag that are not terminated.
func (e EC2) Instances(ctx context.Context, tag, value string) ([]Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	var list []Instance
	pages := ec2.NewDescribeInstancesPaginator(e.client, &ec2.DescribeInstancesInput{Filters: []types.Filter{
		filter("tag:"+tag, value), filter("instance-state-name", "pending", "running", "stopping", "stopped", "shutting-down"),
	}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explainSetup(err, "ec2:DescribeInstances", "the instances of "+value)
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				list = append(list, instance(i))
			}
		}
	}
	return list, nil
}

func instance(i types.Instance) Instance {
	found := Instance{
		ID: aws.ToString(i.InstanceId), Type: string(i.InstanceType), Spot: i.InstanceLifecycle == types.InstanceLifecycleTypeSpot,
		Launched: aws.ToTime(i.LaunchTime), Group: tagValue(i.Tags, "aws:autoscaling:groupName"),
	}
	if i.State != nil {
		found.State = string(i.State.Name)
	}
	if i.Placement != nil {
		found.Zone = aws.ToString(i.Placement.AvailabilityZone)
	}
	return found
}

// A Volume is an EBS volume. State is EC2's: "available", "in-use".
type Volume struct {
	ID, Type, Zone, State string // the type: "gp3"
	// Instance has it, as Device, "" when none does; several have some, and are
	// all named. Attachment is EC2's word: "attaching", "attached",
	// "detaching", "busy".
	Instance, Device, Attachment string
	// From is the snapshot that it was made from, or the volume that it is a
	// copy of; "": it began blank.
	From      string
	Encrypted bool
	GiB       int
	Created   time.Time
	Tags      map[string]string
}

// Volumes lists those with a tag.
func (e EC2) Volumes(ctx context.Context, tag, value string) ([]Volume, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	var list []Volume
	pages := ec2.NewDescribeVolumesPaginator(e.client, &ec2.DescribeVolumesInput{Filters: []types.Filter{filter("tag:"+tag, value)}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explainSetup(err, "ec2:DescribeVolumes", "the volumes of "+value)
		}
		for _, v := range page.Volumes {
			list = append(list, volume(v))
		}
	}
	return list, nil
}

func volume(v types.Volume) Volume {
	found := Volume{
		ID: aws.ToString(v.VolumeId), Type: string(v.VolumeType), Zone: aws.ToString(v.AvailabilityZone), State: string(v.State),
		From: first(aws.ToString(v.SnapshotId), aws.ToString(v.SourceVolumeId)), Encrypted: aws.ToBool(v.Encrypted),
		GiB: int(aws.ToInt32(v.Size)), Created: aws.ToTime(v.CreateTime), Tags: tagMap(v.Tags),
	}
	for _, a := range v.Attachments {
		if a.State == types.VolumeAttachmentStateDetached {
			continue
		}
		if found.Instance != "" {
			found.Instance += " and " // which is no instance's id: nobody's alone
		}
		found.Instance += aws.ToString(a.InstanceId)
		found.Device, found.Attachment = aws.ToString(a.Device), string(a.State)
	}
	return found
}

// A Snapshot is one of a volume. State is EC2's: "pending", "completed",
// "error".
type Snapshot struct {
	ID, Volume, State string
	GiB               int
	Began             time.Time
	Tags              map[string]string
}

// Snapshots lists the account's own with a tag.
func (e EC2) Snapshots(ctx context.Context, tag, value string) ([]Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	var list []Snapshot
	pages := ec2.NewDescribeSnapshotsPaginator(e.client, &ec2.DescribeSnapshotsInput{
		OwnerIds: []string{"self"}, Filters: []types.Filter{filter("tag:"+tag, value)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explainSetup(err, "ec2:DescribeSnapshots", "the snapshots of "+value)
		}
		for _, s := range page.Snapshots {
			list = append(list, Snapshot{
				ID: aws.ToString(s.SnapshotId), Volume: aws.ToString(s.VolumeId), State: string(s.State),
				GiB: int(aws.ToInt32(s.VolumeSize)), Began: aws.ToTime(s.StartTime), Tags: tagMap(s.Tags),
			})
		}
	}
	return list, nil
}

func tagMap(tags []types.Tag) map[string]string {
	m := map[string]string{}
	for _, t := range tags {
		m[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return m
}

func tagValue(tags []types.Tag, key string) string { return tagMap(tags)[key] }
