package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mayfly/internal/cloud"
	"mayfly/internal/volume"
	"mayfly/runner"
	"mayfly/stack"
)

// A hostVolume is what a host needs of EBS, and what there is of it.
type hostVolume struct {
	need runner.VolumeNeed
	now  *cloud.Volume // nil: it is to be created
	grow bool          // it is smaller than it should be
}

// lookVolumes finds the volumes of the hosts, and with them the zone that
// instances are to be in.
func (s *survey) lookVolumes(ctx context.Context) error {
	jobs := map[string]string{}
	var needs []runner.VolumeNeed
	for _, j := range s.config.Jobs {
		for _, n := range j.Config.Needs().Volumes {
			if other := jobs[n.Host]; other != "" {
				s.problem("hosts.%s: the jobs %s and %s both have a host of this name, by which its volume and its snapshots are known: name one of them otherwise", n.Host, other, j.Name)
				continue
			}
			jobs[n.Host] = string(j.Name)
			needs = append(needs, n)
		}
	}
	if len(needs) == 0 {
		return nil
	}
	list, err := s.aws.ec2.Volumes(ctx, tagKey, string(s.config.Name))
	if err != nil {
		return err
	}
	for _, n := range needs {
		v, err := s.findVolume(ctx, list, n)
		if err != nil {
			return err
		}
		s.volumes = append(s.volumes, v)
	}
	if err := s.lookHeld(ctx); err != nil {
		return err
	}
	s.pin(list)
	return nil
}

// findVolume finds a host's volume among the deployment's: the one that the
// config names, or the only one that is tagged for it.
func (s *survey) findVolume(ctx context.Context, list []cloud.Volume, n runner.VolumeNeed) (hostVolume, error) {
	found := hostVolume{need: n}
	if n.ID != "" {
		return found, s.named(ctx, list, &found)
	}
	var own []cloud.Volume
	for _, v := range list {
		if v.Tags[volume.TagHost] == n.Host {
			own = append(own, v)
		}
	}
	switch len(own) {
	case 0:
		return found, nil
	case 1:
		found.now = &own[0]
	default:
		found.now = &own[0] // so that nobody thinks of creating a third
		s.problem("hosts.%s: %s and %s both have its tag: write which one it is, volume: %[2]s, or take the tag off the other: aws ec2 delete-tags --region %[4]s --resources %[3]s --tags Key=%[5]s",
			n.Host, own[0].ID, own[1].ID, s.region, volume.TagHost)
		return found, nil
	}
	s.usable(found)
	switch now := found.now; {
	case now.GiB > n.GiB:
		s.notes = append(s.notes, fmt.Sprintf("hosts.%s.size: its volume %s has %d GiB and stays as it is: volumes cannot be made smaller", n.Host, now.ID, now.GiB))
	case now.GiB < n.GiB:
		m, err := s.aws.ec2.Modification(ctx, now.ID)
		if err != nil {
			return found, err
		}
		found.grow = m.GiB < n.GiB || m.State == "failed"
		if !found.grow {
			s.notes = append(s.notes, fmt.Sprintf("hosts.%s: its volume %s is being enlarged to %d GiB", n.Host, now.ID, m.GiB))
		}
	}
	if found.now.Type != n.Type {
		s.notes = append(s.notes, fmt.Sprintf("hosts.%s.type: its volume %s is %s and stays so: aws ec2 modify-volume --region %s --volume-id %[2]s --volume-type %[5]s changes it",
			n.Host, found.now.ID, found.now.Type, s.region, n.Type))
	}
	return found, nil
}

// named looks at the volume that the config names for a host.
func (s *survey) named(ctx context.Context, list []cloud.Volume, found *hostVolume) error {
	n := found.need
	i := slices.IndexFunc(list, func(v cloud.Volume) bool { return v.ID == n.ID })
	if i < 0 {
		v, err := s.aws.ec2.Volume(ctx, n.ID)
		switch {
		case errors.Is(err, cloud.ErrNotFound):
			s.problem("hosts.%s.volume: account %s has no such volume in %s: %w", n.Host, s.caller.Account, s.region, err)
			return nil
		case err != nil:
			return err
		case v.Tags[tagKey] != "" && v.Tags[tagKey] != string(s.config.Name):
			s.problem("hosts.%s.volume: %s is of the deployment %s: name another volume, or size: for a new one", n.Host, v.ID, v.Tags[tagKey])
		case v.Tags[tagKey] == "":
			s.problem("hosts.%s.volume: %s has no tag that makes it the deployment's: %s takes it over, with the file system that is on it; size: in the place of volume: creates a blank one", n.Host, v.ID, s.adopt(v.ID, n.Host))
		}
		found.now = &v
		return nil
	}
	found.now = &list[i]
	switch owner := found.now.Tags[volume.TagHost]; owner {
	case n.Host:
		s.usable(*found)
	case "":
		s.problem("hosts.%s.volume: %s has no tag that says whose it is: %s", n.Host, n.ID, s.adopt(n.ID, n.Host))
	default:
		s.problem("hosts.%s.volume: %s is the volume of the host %s, by its tag: mayfly volume list%s shows whose is whose", n.Host, n.ID, owner, s.flags)
	}
	return nil
}

func (s *survey) adopt(id, host string) string {
	return fmt.Sprintf("mayfly volume adopt %s --host %s --uuid UUID%s", id, host, s.flags)
}

// usable says what a run would find wrong with a volume.
func (s *survey) usable(v hostVolume) {
	now := v.now
	switch content(*now); {
	case now.State != "available" && now.State != "in-use" && now.State != "creating":
		s.problem("hosts.%s: the state of its volume %s is %s: restore a snapshot of it to a new volume, adopt that, and delete this one", v.need.Host, now.ID, now.State)
	case content(*now) == "unknown":
		s.problem("hosts.%s: its volume %s was made from %s, and nobody has said that what is on it is the host's: %s", v.need.Host, now.ID, now.From, s.adopt(now.ID, v.need.Host))
	case content(*now) == "unfinished":
		s.notes = append(s.notes, fmt.Sprintf("hosts.%s: the formatting of its volume %s was cut off, and a run leaves it alone: mayfly volume list%s says what to do", v.need.Host, now.ID, s.flags))
	}
	if !now.Encrypted {
		s.notes = append(s.notes, fmt.Sprintf("hosts.%s: its volume %s is not encrypted; a copy of a snapshot of it can be", v.need.Host, now.ID))
	}
}

// content is what the tags of a volume say is on it, in volumeStatus's words.
func content(v cloud.Volume) string {
	var s volumeStatus
	s.content(v)
	return s.Content
}

// lookHeld names the volumes that others have.
func (s *survey) lookHeld(ctx context.Context) error {
	var own []string
	asked := false
	for _, v := range s.volumes {
		if v.now == nil || v.now.Instance == "" {
			continue
		}
		if !asked {
			machines, err := s.aws.ec2.Instances(ctx, tagKey, string(s.config.Name))
			if err != nil {
				return err
			}
			for _, m := range machines {
				if m.State == "pending" || m.State == "running" || m.State == "shutting-down" {
					own = append(own, m.ID)
				}
			}
			asked = true
		}
		if !slices.Contains(own, v.now.Instance) {
			s.notes = append(s.notes, fmt.Sprintf("hosts.%s: its volume %s is attached to %s, and no run gets it before it is let go: aws ec2 detach-volume --region %s --volume-id %[2]s",
				v.need.Host, v.now.ID, v.now.Instance, s.region))
		}
	}
	return nil
}

// pin keeps instances in the zone where the volumes are, or are to be; list is
// all of the deployment's volumes.
func (s *survey) pin(list []cloud.Volume) {
	var first *hostVolume
	for i := range s.volumes {
		switch v := &s.volumes[i]; {
		case v.now == nil:
		case first == nil:
			first = v
		case v.now.Zone != first.now.Zone:
			s.problem("hosts: the volume %s of %s is in %s, and %s of %s is in %s; an instance has only volumes of its own zone: restore a snapshot of one to a volume in the other's zone and adopt that, or make a deployment for each zone",
				first.now.ID, first.need.Host, first.now.Zone, v.now.ID, v.need.Host, v.now.Zone)
			return
		}
	}
	usable := s.usableZones()
	if len(usable) == 0 {
		return // which has been said
	}
	if first == nil {
		s.settle(usable[0], usable, list)
		return
	}
	zone, where := first.now.Zone, fmt.Sprintf("%s, where the volume %s of the host %s is", first.now.Zone, first.now.ID, first.need.Host)
	switch {
	case slices.Contains(usable, zone):
		s.settle(zone, usable, nil)
	case !slices.Contains(s.network.Zones(), zone):
		s.problem("network: no subnet is in %s; they are in %s: name one there under network: in the config, or restore a snapshot of the volume to one where a subnet is", where, strings.Join(s.network.Zones(), ", "))
	default:
		s.problem("instance.types: none of %s is offered in %s: name others", strings.Join(typeNames(s.options.Instance.Types), ", "), where)
	}
}

// usableZones are those where instances can be, those first that offer most
// of the types.
func (s *survey) usableZones() []string {
	offers := map[string]int{}
	for _, t := range s.types {
		for _, z := range t.Zones {
			offers[z]++
		}
	}
	var zones []string
	for _, sub := range s.options.Network.Subnets {
		zones = append(zones, sub.Zone)
	}
	slices.Sort(zones)
	zones = slices.Compact(zones)
	slices.SortStableFunc(zones, func(a, b string) int { return offers[b] - offers[a] })
	return zones
}

// settle takes a zone; where there is no volume of a host yet, that of volumes
// of hosts that are in the config no more goes before it.
func (s *survey) settle(zone string, usable []string, list []cloud.Volume) {
	for _, v := range list {
		if v.Tags[volume.TagHost] != "" && slices.Contains(usable, v.Zone) {
			zone = v.Zone
			break
		}
	}
	n := &s.options.Network
	n.Zones = append(n.Zones, zone)
	n.Subnets = slices.DeleteFunc(n.Subnets, func(sub stack.Subnet) bool { return sub.Zone != zone })
	s.zone, s.publicAddress = zone, n.PublicAddress
	for _, sub := range s.network.Subnets {
		s.publicAddress = s.publicAddress || sub.Zone == zone && sub.PublicIP
	}
}
