package cloud

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// A SnapshotSpec says which snapshot to take.
type SnapshotSpec struct {
	Volume, Description string
	Tags                map[string]string
}

// CreateSnapshot takes a snapshot of what is on a volume at this moment. It is
// pending when this returns, and completes by itself, whatever is written to
// the volume meanwhile, and when the instance has gone.
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-creating-snapshot.html
func (e EC2) CreateSnapshot(ctx context.Context, s SnapshotSpec) (Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := e.client.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{
		VolumeId: &s.Volume, Description: &s.Description, TagSpecifications: tagged(types.ResourceTypeSnapshot, s.Tags),
	})
	if err != nil {
		return Snapshot{}, explainSnapshot(err, s.Volume)
	}
	return Snapshot{
		ID: aws.ToString(out.SnapshotId), Volume: aws.ToString(out.VolumeId), State: string(out.State),
		GiB: int(aws.ToInt32(out.VolumeSize)), Began: aws.ToTime(out.StartTime), Tags: tagMap(out.Tags),
	}, nil
}

// explainSnapshot knows the limits that time cures.
func explainSnapshot(err error, volume string) error {
	explained := explainSetup(err, "ec2:CreateSnapshot", "volume "+volume)
	api, ok := errors.AsType[smithy.APIError](err)
	e, known := errors.AsType[*actionError](explained)
	if !ok || !known {
		return explained
	}
	switch api.ErrorCode() {
	case "ConcurrentSnapshotLimitExceeded", "PendingSnapshotLimitExceeded":
		e.kind, e.reason = ErrBusy, "too many snapshots are pending ("+api.ErrorCode()+": "+api.ErrorMessage()+")"
		e.fix = "the next run takes one when they have completed"
	case "SnapshotCreationPerVolumeRateExceeded":
		e.kind, e.reason, e.fix = ErrBusy, "the last snapshot of it is too new ("+api.ErrorMessage()+")", "try again in a minute"
	}
	return e
}

// SnapshotsPending is how many snapshots of a volume have not completed. EC2
// takes at most 5 of most types.
func (e EC2) SnapshotsPending(ctx context.Context, volume string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	pages := ec2.NewDescribeSnapshotsPaginator(e.client, &ec2.DescribeSnapshotsInput{
		OwnerIds: []string{"self"}, Filters: []types.Filter{filter("volume-id", volume), filter("status", "pending")},
	})
	n := 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, explainSetup(err, "ec2:DescribeSnapshots", "the snapshots of "+volume)
		}
		n += len(page.Snapshots)
	}
	return n, nil
}

// DeleteSnapshot deletes a snapshot; one that is gone is fine. Where the
// account has a Recycle Bin, it is kept there for a while.
func (e EC2) DeleteSnapshot(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := e.client.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: &id})
	explained := explainSetup(err, "ec2:DeleteSnapshot", "snapshot "+id)
	if errors.Is(explained, ErrNotFound) {
		return nil
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "InvalidSnapshot.InUse" {
		if e, ok := errors.AsType[*actionError](explained); ok {
			e.kind, e.fix = ErrBusy, "deregister the image that is made of it, or leave it"
		}
	}
	return explained
}
