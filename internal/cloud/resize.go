package cloud

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
)

// ModifyVolume begins to make a volume larger, whether it is attached or not;
// Modification says how far that is. One that is on its way to that size
// already is fine. EBS changes a volume again only when the last change has
// completed, which takes hours, and four times in 24 hours (ErrBusy); nothing
// makes a volume smaller.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVolume.html
func (e EC2) ModifyVolume(ctx context.Context, id string, gib int) error {
	request, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := e.client.ModifyVolume(request, &ec2.ModifyVolumeInput{VolumeId: &id, Size: aws.Int32(int32(gib))})
	explained := withFix(explainSetup(err, "ec2:ModifyVolume", "volume "+id), fixVolume)
	api, ok := errors.AsType[smithy.APIError](err)
	x, known := errors.AsType[*actionError](explained)
	if !ok || !known {
		return explained
	}
	const fix = "EBS does it again when the last change has completed, which takes hours, and four times in 24 hours: try again then"
	switch said := "(" + api.ErrorCode() + ": " + api.ErrorMessage() + ")"; api.ErrorCode() {
	case "IncorrectModificationState":
		// Of a change that was begun by a try whose answer was lost, too.
		if m, err := e.Modification(ctx, id); err == nil && m.GiB == gib && (m.State == "modifying" || m.State == "optimizing") {
			return nil
		}
		x.kind, x.reason, x.fix = ErrBusy, "the last change of it goes on "+said, fix
	case "VolumeModificationRateExceeded":
		x.kind, x.reason, x.fix = ErrBusy, "it has been changed too often "+said, fix
	case "InvalidParameterValue": // a size that its type does not take, or a smaller one
		x.fix = "name a size above the one that it has, and that its type takes"
	}
	return x
}
