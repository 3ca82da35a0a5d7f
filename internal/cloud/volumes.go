package cloud

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

const fixVolume = "check its id, account and region; mayfly volume list shows those of the deployment"

// Volume asks for one volume, whatever its tags. ErrNotFound: there is none.
func (e EC2) Volume(ctx context.Context, id string) (Volume, error) {
	const action = "ec2:DescribeVolumes"
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := e.client.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{id}})
	if err != nil {
		return Volume{}, withFix(explainSetup(err, action, "volume "+id), fixVolume)
	}
	if len(out.Volumes) == 0 {
		return Volume{}, notFound(action, "volume "+id, ErrNotFound.Error(), fixVolume)
	}
	return volume(out.Volumes[0]), nil
}

// A VolumeSpec says which volume to create.
type VolumeSpec struct {
	Zone, Type string // the type "" is gp3
	GiB        int
	Tags       map[string]string
	// Token, where there is one, says which creation this is: EC2 makes one
	// volume for it, however often it is asked, as long as it remembers; up to
	// 64 ASCII characters.
	// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
	Token string
}

// CreateVolume creates a volume, encrypted with the account's key for EBS
// unless the account has another default, and waits until it is available.
func (e EC2) CreateVolume(ctx context.Context, s VolumeSpec) (Volume, error) {
	request, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	in := &ec2.CreateVolumeInput{
		AvailabilityZone: &s.Zone, Size: aws.Int32(int32(s.GiB)), Encrypted: aws.Bool(true),
		VolumeType: types.VolumeType(first(s.Type, string(types.VolumeTypeGp3))), TagSpecifications: tagged(types.ResourceTypeVolume, s.Tags),
	}
	if s.Token != "" {
		in.ClientToken = &s.Token
	}
	out, err := e.client.CreateVolume(request, in)
	if err != nil {
		return Volume{}, explainSetup(err, "ec2:CreateVolume", "a volume in "+s.Zone)
	}
	return e.created(ctx, aws.ToString(out.VolumeId))
}

// notYet is for how many looks a volume that was just created may not be known.
const notYet = 10

func (e EC2) created(ctx context.Context, id string) (Volume, error) {
	for look := 1; ; look++ {
		v, err := e.Volume(ctx, id)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, ErrNotFound) && look < notYet: // EC2 is eventually consistent
		case err != nil:
			return Volume{}, err
		case v.State == "available":
			return v, nil
		case v.State != "creating":
			return v, unusable("ec2:CreateVolume", v)
		}
		if err := wait(ctx, e.pause); err != nil {
			return v, stuck("ec2:CreateVolume", id, err, "it is still being created", "mayfly volume list shows when it is available")
		}
	}
}

// again asks for a volume that was seen before; when ctx ends over that, it is
// as it was.
func (e EC2) again(ctx context.Context, id string, last Volume) (Volume, error) {
	v, err := e.Volume(ctx, id)
	if err != nil && ctx.Err() != nil && last.ID != "" {
		return last, nil
	}
	return v, err
}

// unusable is the error about a volume that will never be available.
func unusable(action string, v Volume) error {
	fix := "create another one"
	if v.State == "error" {
		fix = "its disk has failed; restore a snapshot to a new volume"
	}
	return &actionError{action: action, resource: "volume " + v.ID, reason: "its state is " + v.State, fix: fix, err: errors.New(v.State)}
}

// stuck is the error about something that did not happen until ctx ended.
func stuck(action, volume string, err error, reason, fix string) error {
	return &actionError{action: action, resource: "volume " + volume, kind: ErrBusy, reason: reason, fix: fix, err: err}
}

// Tag puts tags on a volume or snapshot.
func (e EC2) Tag(ctx context.Context, id string, tags map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := e.client.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: tagList(tags)})
	return explainSetup(err, "ec2:CreateTags", id)
}

func tagList(tags map[string]string) []types.Tag {
	var list []types.Tag
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return list
}

func tagged(kind types.ResourceType, tags map[string]string) []types.TagSpecification {
	if len(tags) == 0 {
		return nil
	}
	return []types.TagSpecification{{ResourceType: kind, Tags: tagList(tags)}}
}

// A Modification is a change of a volume's size or type. State is EC2's:
// "modifying", "optimizing", "completed", "failed". The new size is there from
// "optimizing" on.
type Modification struct {
	State    string
	GiB      int // that it will have
	Progress int // percent
	Began    time.Time
}

// Modification is the newest of a volume; the zero one when there was none.
func (e EC2) Modification(ctx context.Context, volume string) (Modification, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := e.client.DescribeVolumesModifications(ctx, &ec2.DescribeVolumesModificationsInput{VolumeIds: []string{volume}})
	if err = explainSetup(err, "ec2:DescribeVolumesModifications", "volume "+volume); errors.Is(err, ErrNotFound) {
		return Modification{}, nil
	} else if err != nil {
		return Modification{}, err
	}
	var newest Modification
	for _, m := range out.VolumesModifications {
		if began := aws.ToTime(m.StartTime); newest.State == "" || began.After(newest.Began) {
			newest = Modification{string(m.ModificationState), int(aws.ToInt32(m.TargetSize)), int(aws.ToInt64(m.Progress)), began}
		}
	}
	return newest, nil
}
