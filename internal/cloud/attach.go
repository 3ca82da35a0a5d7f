package cloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// AttachVolume attaches a volume to an instance in a zone, and waits until it
// is attached, at most until ctx ends. It waits for a volume that is being
// created, or detached from another instance; one that another instance has
// and keeps is not taken from it (ErrBusy). A volume that the instance has
// already is fine. Its device shows up on the instance a moment later.
func (e EC2) AttachVolume(ctx context.Context, id, instance, zone string) (Volume, error) {
	const action = "ec2:AttachVolume"
	a := attaching{EC2: e, id: id, instance: instance}
	for v := (Volume{}); ; {
		var err error
		if v, err = e.again(ctx, id, v); err != nil {
			return v, err
		}
		switch {
		case ctx.Err() != nil:
		case v.Zone != zone:
			return v, &actionError{
				action: action, resource: "volume " + id, err: errors.New("wrong zone"),
				reason: fmt.Sprintf("it is in %s, and the instance %s in %s", v.Zone, instance, zone),
				fix:    fmt.Sprintf("name subnets in %s under network: in the config and deploy, or restore a snapshot of it to a volume in %s", v.Zone, zone),
			}
		case v.Instance == instance && v.Attachment == "attached":
			return v, nil
		case v.Instance != "" && v.Instance != instance && v.Attachment != "detaching":
			return v, &actionError{
				action: action, resource: "volume " + id, kind: ErrBusy, err: ErrBusy,
				reason: fmt.Sprintf("the instance %s has it (%s as %s)", v.Instance, v.Attachment, v.Device),
				fix:    "it is not taken away: end that instance, or unmount it there and aws ec2 detach-volume --volume-id " + id,
			}
		case v.State == "available":
			if err := a.request(ctx); err != nil {
				return v, err
			}
		case v.State != "in-use" && v.State != "creating":
			return v, unusable(action, v)
		}
		if err := wait(ctx, e.pause); err != nil {
			return v, stuck(action, id, err, "it is still "+a.now(v), "the next run tries again; if it stays so, detach it with aws ec2 detach-volume --volume-id "+id)
		}
	}
}

// An attaching is one AttachVolume at work.
type attaching struct {
	EC2
	id, instance string
	refused      []string // device names
	last         error    // why the last request failed, which another may not
}

// now says what a volume is doing.
func (a *attaching) now(v Volume) string {
	said := v.State
	if v.Instance != "" {
		said = v.Attachment + ", instance " + v.Instance
	}
	if a.last != nil {
		said += " (" + a.last.Error() + ")"
	}
	return said
}

// request asks EC2 once. It fails with what waiting does not cure.
func (a *attaching) request(ctx context.Context) error {
	a.names.Lock()
	defer a.names.Unlock()
	name, err := a.freeName(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err = a.client.AttachVolume(ctx, &ec2.AttachVolumeInput{VolumeId: &a.id, InstanceId: &a.instance, Device: &name})
	if err == nil {
		a.last = nil
		return nil
	}
	explained := explainSetup(err, "ec2:AttachVolume", "volume "+a.id+" to "+a.instance)
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return explained
	}
	switch api.ErrorCode() {
	case "IncorrectState", "VolumeInUse": // another look says whose it is
		a.last = explained
		return nil
	case "InvalidParameterValue":
		if strings.Contains(api.ErrorMessage(), "in use") { // somebody was faster with this name
			a.last, a.refused = explained, append(a.refused, name)
			return nil
		}
	case "AttachmentLimitExceeded":
		if e, ok := errors.AsType[*actionError](explained); ok {
			e.fix = "an instance of this type takes no more volumes: name a larger type under instance.types, or make two deployments of the hosts"
		}
	}
	return explained
}

// deviceNames are what attachments may be called. Nitro instances ask for a
// name and ignore it.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html
var deviceNames = func() []string {
	var list []string
	for c := 'f'; c <= 'p'; c++ {
		list = append(list, "/dev/sd"+string(c))
	}
	for c := 'a'; c <= 'z'; c++ {
		list = append(list, "/dev/xvdb"+string(c))
	}
	return list
}()

// freeName is one that no other volume of the instance has.
func (a *attaching) freeName(ctx context.Context) (string, error) {
	used := slices.Clone(a.refused)
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	pages := ec2.NewDescribeVolumesPaginator(a.client, &ec2.DescribeVolumesInput{Filters: []types.Filter{filter("attachment.instance-id", a.instance)}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", explainSetup(err, "ec2:DescribeVolumes", "the volumes of "+a.instance)
		}
		for _, v := range page.Volumes {
			used = append(used, volume(v).Device)
		}
	}
	for _, name := range deviceNames {
		if !slices.Contains(used, name) {
			return name, nil
		}
	}
	return "", &actionError{
		action: "ec2:AttachVolume", resource: "volume " + a.id, err: errors.New("no name"),
		reason: fmt.Sprintf("the instance has %d volumes", len(used)), fix: "make two deployments of the hosts",
	}
}

// DetachVolume detaches a volume from an instance, and waits until it is, at
// most until ctx ends. It never forces: what the instance has not written yet
// would be lost. A volume that the instance does not have is fine.
func (e EC2) DetachVolume(ctx context.Context, id, instance string) error {
	const action = "ec2:DetachVolume"
	var v Volume
	for asked := false; ; {
		var err error
		v, err = e.again(ctx, id, v)
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
		case v.Instance != instance:
			return nil
		case !asked && v.Attachment != "detaching":
			if err := e.detach(ctx, id, instance); err != nil {
				return err
			}
			asked = true
		}
		if err := wait(ctx, e.pause); err != nil {
			reason := fmt.Sprintf("it is still %s, instance %s", v.Attachment, instance)
			if v.Attachment == "busy" {
				reason += " (something on the instance still uses it)"
			}
			return stuck(action, id, err, reason,
				"it is not forced; the end of the instance detaches it. If it stays so: stop the instance, and then aws ec2 detach-volume --force --volume-id "+id)
		}
	}
}

func (e EC2) detach(ctx context.Context, id, instance string) error {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	_, err := e.client.DetachVolume(ctx, &ec2.DetachVolumeInput{VolumeId: &id, InstanceId: &instance})
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "IncorrectState" {
		return nil // it is detached, or about to be: another look says
	}
	return explainSetup(err, "ec2:DetachVolume", "volume "+id+" from "+instance)
}
