package cloud

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// An Image is what EC2 says of an AMI.
type Image struct {
	Architecture string // "arm64", "x86_64"
	RootDevice   string // "/dev/xvda"
	// RootGiB is the size of the snapshot that the root volume is made of,
	// which cannot be smaller; 0: EC2 does not say.
	RootGiB int
}

// Image looks an AMI up by its id. ErrNotFound: the region has none of that id,
// or its owner does not share it.
func (e EC2) Image(ctx context.Context, id string) (Image, error) {
	const action = "ec2:DescribeImages"
	const fix = "check instance.image in the config, and the region"
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := e.client.DescribeImages(ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}})
	if err != nil {
		return Image{}, withFix(explainSetup(err, action, "image "+id), fix)
	}
	if len(out.Images) == 0 {
		return Image{}, notFound(action, "image "+id, "the region has none of that id that this account may use", fix)
	}
	i := out.Images[0]
	found := Image{Architecture: string(i.Architecture), RootDevice: aws.ToString(i.RootDeviceName)}
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs != nil && aws.ToString(m.DeviceName) == found.RootDevice {
			found.RootGiB = int(aws.ToInt32(m.Ebs.VolumeSize))
		}
	}
	return found, nil
}
