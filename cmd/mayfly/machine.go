package main

import (
	"context"
	"maps"
	"net/netip"
	"time"

	"mayfly/iam"
	"mayfly/internal/cloud"
	"mayfly/runner"
)

// A machine is this instance, and what of AWS belongs to it: volumes,
// snapshots, and the ways by which it is found.
type machine struct {
	deployment string
	meta       *cloud.Metadata
	ec2        cloud.EC2
	cloud      *cloud.Cloud
}

var (
	_ runner.Volumes   = machine{}
	_ runner.Addresses = machine{}
)

// machine asks nobody yet.
func (w *world) machine(ctx context.Context) (machine, error) {
	c, err := w.cloud(ctx)
	if err != nil {
		return machine{}, err
	}
	ec2, err := c.EC2()
	if err != nil {
		return machine{}, err
	}
	return machine{string(w.config.Name), cloud.NewMetadata(w.getenv), ec2, c}, nil
}

// Self implements runner.Volumes.
func (m machine) Self(ctx context.Context) (runner.Self, error) {
	id, err := m.meta.Identity(ctx)
	if err != nil {
		return runner.Self{}, err
	}
	list, err := m.meta.Addresses(ctx)
	return runner.Self{ID: id.ID, Zone: id.Zone, Addresses: list}, err
}

// List implements runner.Volumes.
func (m machine) List(ctx context.Context) ([]runner.Volume, error) {
	asked := time.Now()
	found, err := m.ec2.Volumes(ctx, tagKey, m.deployment)
	var list []runner.Volume
	for _, v := range found {
		list = append(list, asVolume(v, asked))
	}
	return list, err
}

// Attach implements runner.Volumes.
func (m machine) Attach(ctx context.Context, id string, self runner.Self) (runner.Volume, error) {
	asked := time.Now()
	v, err := m.ec2.AttachVolume(ctx, id, self.ID, self.Zone)
	if err == nil { // it may have waited long: what the tags say has to be from just now
		asked = time.Now()
		v, err = m.ec2.Volume(ctx, id)
	}
	return asVolume(v, asked), err
}

// Detach implements runner.Volumes.
func (m machine) Detach(ctx context.Context, id string, self runner.Self) error {
	return m.ec2.DetachVolume(ctx, id, self.ID)
}

// Mark implements runner.Volumes.
func (m machine) Mark(ctx context.Context, id, tag, value string) error {
	return m.ec2.Tag(ctx, id, map[string]string{tag: value})
}

// Snapshots implements runner.Volumes.
func (m machine) Snapshots(ctx context.Context) ([]runner.Snapshot, error) {
	found, err := m.ec2.Snapshots(ctx, tagKey, m.deployment)
	var list []runner.Snapshot
	for _, s := range found {
		list = append(list, asSnapshot(s))
	}
	return list, err
}

// Snapshot implements runner.Volumes.
func (m machine) Snapshot(ctx context.Context, volume, description string, tags map[string]string) (runner.Snapshot, error) {
	all := map[string]string{tagKey: m.deployment}
	for k, v := range tags {
		all[k] = v
	}
	s, err := m.ec2.CreateSnapshot(ctx, cloud.SnapshotSpec{Volume: volume, Description: description, Tags: all})
	return asSnapshot(s), err
}

// DeleteSnapshot implements runner.Volumes.
func (m machine) DeleteSnapshot(ctx context.Context, id string) error {
	return m.ec2.DeleteSnapshot(ctx, id)
}

// Copy implements runner.Volumes.
func (m machine) Copy(ctx context.Context, snapshot string, self runner.Self, tags map[string]string) (runner.Volume, error) {
	all := map[string]string{tagKey: m.deployment}
	maps.Copy(all, tags)
	v, err := m.ec2.VolumeFromSnapshot(ctx, snapshot, self.Zone, tags[iam.TemporaryKey], all)
	return asVolume(v, time.Now()), err
}

// Delete implements runner.Volumes.
func (m machine) Delete(ctx context.Context, id string) error { return m.ec2.DeleteVolume(ctx, id) }

func asVolume(v cloud.Volume, asked time.Time) runner.Volume {
	return runner.Volume{
		ID: v.ID, Zone: v.Zone, State: v.State, Instance: v.Instance, Device: v.Device, Attachment: v.Attachment,
		From: v.From, GiB: v.GiB, Tags: v.Tags, Asked: asked,
	}
}

func asSnapshot(s cloud.Snapshot) runner.Snapshot {
	return runner.Snapshot{ID: s.ID, Volume: s.Volume, State: s.State, Began: s.Began, Tags: s.Tags}
}

// Associate implements runner.Addresses.
func (m machine) Associate(ctx context.Context, allocation string, self runner.Self) (netip.Addr, error) {
	return m.ec2.AssociateAddress(ctx, allocation, self.ID)
}

// Dissociate implements runner.Addresses.
func (m machine) Dissociate(ctx context.Context, allocation string, self runner.Self) error {
	return m.ec2.DisassociateAddress(ctx, allocation, self.ID)
}

// SetRecord implements runner.Addresses.
func (m machine) SetRecord(ctx context.Context, r runner.Record, ttl time.Duration, list []netip.Addr) error {
	zones, err := m.cloud.Zones()
	if err != nil {
		return err
	}
	return zones.SetRecord(ctx, r.Zone, r.Name, ttl, list)
}

// PutParameter implements runner.Addresses.
func (m machine) PutParameter(ctx context.Context, name, value string) error {
	return m.cloud.Parameters().PutPlain(ctx, name, value)
}
