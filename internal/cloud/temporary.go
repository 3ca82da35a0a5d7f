package cloud

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// VolumeFromSnapshot makes a volume of a snapshot, encrypted as that is, of
// its size, and waits until it is available. EC2 makes one for a token,
// however often it is asked. What is read from it for the first time comes
// slowly, since EBS fetches it then.
// https://docs.aws.amazon.com/ebs/latest/userguide/initalize-volume.html
//
// After an error a volume may be there, or come to be: it has the tags.
func (e EC2) VolumeFromSnapshot(ctx context.Context, snapshot, zone, token string, tags map[string]string) (Volume, error) {
	request, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := e.client.CreateVolume(request, &ec2.CreateVolumeInput{
		AvailabilityZone: &zone, SnapshotId: &snapshot, VolumeType: types.VolumeTypeGp3, ClientToken: &token,
		TagSpecifications: tagged(types.ResourceTypeVolume, tags),
	})
	if err != nil {
		return Volume{}, explainSetup(err, "ec2:CreateVolume", "a volume of "+snapshot+" in "+zone)
	}
	return e.created(ctx, aws.ToString(out.VolumeId))
}

// DeleteVolume deletes a volume that no instance has; one that is gone is
// fine.
func (e EC2) DeleteVolume(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := e.client.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: &id})
	explained := explainSetup(err, "ec2:DeleteVolume", "volume "+id)
	if errors.Is(explained, ErrNotFound) {
		return nil
	}
	return explained
}
