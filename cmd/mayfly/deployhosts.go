package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"mayfly/internal/cloud"
	"mayfly/internal/volume"
)

// makesVolumes reports whether deploy has volumes to create or to enlarge.
func (s *survey) makesVolumes() bool {
	return slices.ContainsFunc(s.volumes, func(v hostVolume) bool { return v.now == nil || v.grow })
}

// prepareHosts makes what hosts need, before there is anything that uses it:
// volumes and host keys. Cut off anywhere, it goes on when it is called again.
func (a *app) prepareHosts(ctx context.Context, s *survey) error {
	if err := a.makeVolumes(ctx, s); err != nil {
		return err
	}
	return a.makeHostKeys(ctx, s)
}

// makeVolumes creates the volumes that are missing, and enlarges those that
// are too small.
func (a *app) makeVolumes(ctx context.Context, s *survey) error {
	if !s.makesVolumes() {
		return nil
	}
	// A person may have thought about it for a while.
	list, err := s.aws.ec2.Volumes(ctx, tagKey, string(s.config.Name))
	if err != nil {
		return err
	}
	for i := range s.volumes {
		v := &s.volumes[i]
		switch {
		case v.now == nil:
			if err := a.makeVolume(ctx, s, v, list); err != nil {
				return err
			}
		case v.grow:
			if err := s.aws.ec2.ModifyVolume(ctx, v.now.ID, v.need.GiB); err != nil {
				return err
			}
			a.say("Enlarges %s, the volume of the host %s, from %d to %d GiB; the next run enlarges its file system.", v.now.ID, v.need.Host, v.now.GiB, v.need.GiB)
			v.now.GiB, v.grow = v.need.GiB, false
		}
	}
	return nil
}

func (a *app) makeVolume(ctx context.Context, s *survey, v *hostVolume, list []cloud.Volume) error {
	n, name := v.need, string(s.config.Name)
	if i := slices.IndexFunc(list, func(o cloud.Volume) bool { return o.Tags[volume.TagHost] == n.Host }); i >= 0 {
		if list[i].Zone != s.zone || list[i].GiB < n.GiB {
			return usageError(fmt.Errorf("host %s: meanwhile somebody has made its volume %s: call mayfly deploy%s again", n.Host, list[i].ID, s.flags))
		}
		v.now = &list[i]
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, createMax)
	defer cancel()
	made, err := s.aws.ec2.CreateVolume(ctx, cloud.VolumeSpec{
		Zone: s.zone, Type: n.Type, GiB: n.GiB, Token: volumeToken(name, n.Host, s.zone, n.Type, fmt.Sprint(n.GiB)),
		Tags: map[string]string{tagKey: name, volume.TagHost: n.Host, "Name": name + " " + n.Host},
	})
	if errors.Is(err, cloud.ErrNotFound) {
		// The token still stands for one that somebody has deleted.
		return fmt.Errorf("%w; when it was deleted a while ago, mayfly volume create --host %s --size %d --type %s --zone %s%s creates another", err, n.Host, n.GiB, n.Type, s.zone, s.flags)
	}
	if err != nil {
		return err
	}
	a.say("Created %s for the host %s: %d GiB, %s, encrypted, in %s. It is blank; the first run formats it.", made.ID, n.Host, made.GiB, n.Type, made.Zone)
	v.now = &made
	return nil
}

// volumeToken is the same for the same volume: one that was asked for by a
// deploy that was cut off, and that EC2 does not list yet, is not created twice.
func volumeToken(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%s\n", p)
	}
	return "mayfly-" + hex.EncodeToString(h.Sum(nil))[:40]
}
