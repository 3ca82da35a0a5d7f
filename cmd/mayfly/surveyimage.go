package main

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"mayfly/internal/cloud"
	"mayfly/stack"
)

// lookImage looks at an image of one's own and puts it into the options: it is
// of one architecture, and so must be the types, and a wrong size or name of
// its root volume would show only when no instance can be launched.
func (s *survey) lookImage(ctx context.Context) error {
	in, types := s.config.Instance, s.options.Instance.Types
	if in.Image == "" || len(types) == 0 {
		return nil
	}
	id := string(in.Image)
	if name, ok := strings.CutPrefix(id, "resolve:ssm:"); ok {
		value, err := s.aws.Parameters().Get(ctx, name)
		if errors.Is(err, cloud.ErrNotFound) {
			s.problem("instance.image: %w", err)
			return nil
		}
		if err != nil {
			return err
		}
		id = value
	}
	image, err := s.aws.ec2.Image(ctx, id)
	if errors.Is(err, cloud.ErrNotFound) {
		s.problem("instance.image: %w", err)
		return nil
	}
	if err != nil {
		return err
	}
	for _, t := range types {
		if image.Architecture != "" && t.Arch != image.Architecture {
			s.problem("instance.image: %s is for %s, and the type %s is %s: name types of the image's architecture", id, image.Architecture, t.Name, t.Arch)
			return nil
		}
		if t.Arch != types[0].Arch {
			s.problem("instance.image: an image is for one architecture, and %s is %s, %s is %s: name types of one", types[0].Name, types[0].Arch, t.Name, t.Arch)
			return nil
		}
	}
	arch := types[0].Arch
	if is, want := image.RootDevice, cmp.Or(string(in.RootDevice), stack.AmazonLinux(arch).RootDevice); is != "" && is != want {
		s.problem("instance.root_device: that of the image %s is %s, not %s: write root_device: %[2]s", id, is, want)
	}
	if in.Disk > 0 && in.Disk < image.RootGiB {
		s.problem("instance.disk: the root volume of the image %s has %d GiB, and cannot be made smaller: write at least that, or leave it out", id, image.RootGiB)
	}
	s.options.Instance.Images = []stack.Image{{Arch: arch, ID: string(in.Image), RootDevice: string(in.RootDevice)}}
	return nil
}
