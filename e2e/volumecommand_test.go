//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloud"
	"mayfly/internal/volume"
)

const fileSystem = "0c6e08e4-6f29-43b2-bc26-28478343fa05"

var volumeID = regexp.MustCompile(`vol-[0-9a-f]{17}`)

// instanceOf makes an instance of a deployment.
func (m *moto) instanceOf(t *testing.T, deployment string) string {
	t.Helper()
	var made struct{ Instances []struct{ InstanceId string } }
	m.answer(&made, "ec2", "run-instances", "--image-id", "ami-12c6146b", "--instance-type", "t3.nano", "--placement", "AvailabilityZone="+motoRegion+"a",
		"--tag-specifications", "ResourceType=instance,Tags=[{Key=mayfly:deployment,Value="+deployment+"}]")
	return made.Instances[0].InstanceId
}

// TestVolumeCommands has a person, who may do what the documentation says,
// create, list and adopt volumes at an AWS that checks.
func TestVolumeCommands(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	config := l.deployment("weekly")
	other := l.deployment("other")
	do := func(want int, args ...string) result {
		t.Helper()
		r := l.do(append([]string{"volume"}, args...)...)
		if r.code != want {
			t.Fatalf("volume %s: exit code %d, want %d: %s", strings.Join(args, " "), r.code, want, r)
		}
		return r
	}
	has(t, "nothing", do(0, "list", "-c", config).out, "weekly has no volumes in "+motoRegion, "Next: mayfly volume create --host HOST --size GIB -c ")

	r := do(0, "create", "--host", "web", "--size", "20GiB", "-c", config)
	id := volumeID.FindString(r.out)
	has(t, "create", r.out, "Created "+id+" for the host web: 20 GiB, gp3, encrypted, in "+motoRegion, "It is blank", "hosts: {web: {volume: "+id+"}}")
	ec2 := l.ec2(t)
	v, err := ec2.Volume(t.Context(), id)
	if err != nil || !v.Encrypted || v.Type != "gp3" || v.GiB != 20 || v.From != "" || v.Tags["mayfly:deployment"] != "weekly" || v.Tags[volume.TagHost] != "web" || v.Tags["Name"] != "weekly web" {
		t.Errorf("%+v, %v", v, err)
	}
	has(t, "twice", do(2, "create", "--host", "web", "--size", "20", "-c", config).err, "host web: it has the volume "+id+" (20 GiB, available) already", "modify-volume --volume-id "+id)
	r = do(0, "create", "--host", "db", "--size", "500", "--type", "st1", "-c", config)
	has(t, "the same zone", r.out, "500 GiB, st1, encrypted, in "+v.Zone)
	elsewhere := motoRegion + "c"
	if v.Zone == elsewhere {
		elsewhere = motoRegion + "b"
	}
	has(t, "another zone", do(2, "create", "--host", "mail", "--size", "1", "--zone", elsewhere, "-c", config).err, "zone "+elsewhere+": the volume ", "is in "+v.Zone)
	has(t, "no zone", do(2, "create", "--host", "mail", "--size", "1", "--zone", "us-east-1a", "-c", config).err, "zone us-east-1a: instances of weekly are in "+motoRegion)

	var made struct{ VolumeId, SnapshotId string }
	l.answer(&made, "ec2", "create-volume", "--availability-zone", v.Zone, "--size", "8", "--volume-type", "gp3")
	adopt := []string{"adopt", made.VolumeId, "--host", "mail", "--uuid", strings.ToUpper(fileSystem)}
	for range 2 { // it may be said again
		has(t, "adopt", do(0, append(adopt, "-c", config)...).out, made.VolumeId+" (8 GiB, "+v.Zone+") holds the data of the host mail, in the file system "+fileSystem, "never formatted", "not encrypted")
	}
	has(t, "not there", do(2, "adopt", "vol-0123456789abcdef0", "--host", "x", "--uuid", fileSystem, "-c", config).err, "volume vol-0123456789abcdef0: it does not exist")
	has(t, "another host's", do(2, "adopt", id, "--host", "x", "--uuid", fileSystem, "-c", config).err, "it holds the data of the host web", "--tags Key=mayfly:host first")
	has(t, "another deployment's", do(2, append(adopt, "-c", other)...).err, "it is of the deployment weekly", "--tags Key=mayfly:deployment first")
	has(t, "two of a host", do(2, "adopt", made.VolumeId, "--host", "web", "--uuid", fileSystem, "-c", config).err, "holds the data of the host mail")
	l.listed(t, config, id, made.VolumeId)
}

// listed looks at the list while one volume is at work, one is held by a
// stopped instance, and one was cut off.
func (l *laptop) listed(t *testing.T, config, web, mail string) {
	t.Helper()
	ctx, ec2 := t.Context(), l.ec2(t)
	at, stopped := l.instanceOf(t, "weekly"), l.instanceOf(t, "weekly")
	l.aws("ec2", "attach-volume", "--volume-id", web, "--instance-id", at, "--device", "/dev/sdf")
	l.aws("ec2", "attach-volume", "--volume-id", mail, "--instance-id", stopped, "--device", "/dev/sdf")
	l.aws("ec2", "stop-instances", "--instance-ids", stopped)
	snap, err := ec2.CreateSnapshot(ctx, cloud.SnapshotSpec{Volume: web, Tags: map[string]string{"mayfly:deployment": "weekly"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := ec2.Tag(ctx, web, map[string]string{volume.TagFormatting: fileSystem}); err != nil {
		t.Fatal(err)
	}
	r := l.do("volume", "list", "-c", config)
	if r.code != 0 {
		t.Fatalf("list: %s", r)
	}
	has(t, "list", r.out, "HOST  VOLUME", "db    vol-", "blank", "adopted", "unfinished", at,
		"Still attached: volume "+mail+" (host mail), attached to "+stopped+", which is stopped\n  aws ec2 detach-volume --region "+motoRegion+" --volume-id "+mail+"\n",
		"Problem: the formatting of "+web+" was cut off")
	if strings.Contains(r.out, "Still attached: volume "+web) {
		t.Errorf("what is at work is no leftover: %s", r)
	}
	l.aws("ec2", "detach-volume", "--volume-id", mail, "--instance-id", stopped)
	if err := ec2.Tag(ctx, web, map[string]string{volume.TagFormatted: fileSystem}); err != nil {
		t.Fatal(err)
	}
	r = l.do("volume", "list", "--json", "-c", config)
	var s struct {
		Deployment string
		Volumes    []struct {
			Host, ID, State, Instance, Content, UUID string
			State2                                   string `json:"instance_state"`
			GiB, Snapshots                           int
			Encrypted                                bool
			Newest                                   struct {
				ID    string
				Began time.Time
			} `json:"newest_snapshot"`
		}
		Attached []any `json:"still_attached"`
		Problems []any
	}
	if err := json.Unmarshal([]byte(r.out), &s); err != nil || len(s.Volumes) != 3 || len(s.Attached) != 0 || len(s.Problems) != 0 || s.Deployment != "weekly" {
		t.Fatalf("%v: %s", err, r)
	}
	first, second, third := s.Volumes[0], s.Volumes[1], s.Volumes[2]
	if first.Host != "db" || first.Content != "blank" || !first.Encrypted || second.Content != "adopted" || second.UUID != fileSystem || second.State != "available" {
		t.Errorf("%+v", s)
	}
	if third.ID != web || third.Content != "formatted" || third.Instance != at || third.State2 != "running" || third.Snapshots != 1 || third.Newest.ID != snap.ID || third.Newest.Began.IsZero() {
		t.Errorf("%+v", s)
	}
}

func (m *moto) ec2(t *testing.T) cloud.EC2 {
	t.Helper()
	ec2, err := m.cloud(t, m.admin).EC2()
	if err != nil {
		t.Fatal(err)
	}
	return ec2
}

// TestMotoVolumes takes a volume through its life at an AWS that none of the
// client's authors wrote.
func TestMotoVolumes(t *testing.T) {
	t.Parallel()
	m := newMoto(t)
	ctx, ec2 := t.Context(), m.ec2(t)
	instance, other := m.instanceOf(t, "weekly"), m.instanceOf(t, "weekly")
	zone := motoRegion + "a"
	v, err := ec2.CreateVolume(ctx, cloud.VolumeSpec{Zone: zone, GiB: 4, Tags: map[string]string{"mayfly:deployment": "weekly"}})
	if err != nil || v.State != "available" || v.GiB != 4 || !v.Encrypted || v.Tags["mayfly:deployment"] != "weekly" {
		t.Fatalf("%+v, %v", v, err)
	}
	var names []string
	for range 2 { // what is attached stays so
		a, err := ec2.AttachVolume(ctx, v.ID, instance, zone)
		if err != nil || a.Instance != instance || a.Attachment != "attached" {
			t.Errorf("%+v, %v", a, err)
		}
		names = append(names, a.Device)
	}
	second, err := ec2.CreateVolume(ctx, cloud.VolumeSpec{Zone: zone, GiB: 1})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := ec2.AttachVolume(ctx, second.ID, instance, zone); err != nil || a.Device == names[0] || names[0] != names[1] {
		t.Errorf("%+v beside %v, %v", a, names, err)
	}
	if _, err := ec2.AttachVolume(ctx, v.ID, other, zone); !errors.Is(err, cloud.ErrBusy) || !strings.Contains(err.Error(), "the instance "+instance+" has it") {
		t.Errorf("held elsewhere: %v", err)
	}
	if _, err := ec2.AttachVolume(ctx, v.ID, other, motoRegion+"b"); err == nil || !strings.Contains(err.Error(), "it is in "+zone+", and the instance "+other+" in "+motoRegion+"b") {
		t.Errorf("another zone: %v", err)
	}
	for range 2 {
		if err := ec2.DetachVolume(ctx, v.ID, instance); err != nil {
			t.Error(err)
		}
	}
	if err := ec2.DetachVolume(ctx, second.ID, other); err != nil {
		t.Error(err)
	}
	for id, want := range map[string]string{v.ID: "", second.ID: instance} {
		if now, err := ec2.Volume(ctx, id); err != nil || now.Instance != want {
			t.Errorf("%+v, %v", now, err)
		}
	}
	if err := ec2.Tag(ctx, v.ID, map[string]string{volume.TagFormatted: fileSystem}); err != nil {
		t.Error(err)
	}
	snap, err := ec2.CreateSnapshot(ctx, cloud.SnapshotSpec{Volume: v.ID, Description: "host c", Tags: map[string]string{"mayfly:deployment": "weekly"}})
	if err != nil || snap.Volume != v.ID || snap.Tags["mayfly:deployment"] != "weekly" || snap.Began.IsZero() {
		t.Errorf("%+v, %v", snap, err)
	}
	if n, err := ec2.SnapshotsPending(ctx, v.ID); err != nil || n != 0 {
		t.Errorf("%d pending, %v", n, err)
	}
	var made struct{ VolumeId string }
	m.answer(&made, "ec2", "create-volume", "--availability-zone", zone, "--snapshot-id", snap.ID)
	if restored, err := ec2.Volume(ctx, made.VolumeId); err != nil || restored.From != snap.ID {
		t.Errorf("%+v, %v", restored, err)
	}
	for range 2 {
		if err := ec2.DeleteSnapshot(ctx, snap.ID); err != nil {
			t.Error(err)
		}
	}
	if _, err := ec2.AttachVolume(ctx, "vol-0123456789abcdef0", instance, zone); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("no such volume: %v", err)
	}
}

// TestVolumeFromCloud puts the two halves together: what EC2 says of a volume
// decides what is done with the device, and its tags are where that is kept.
func TestVolumeFromCloud(t *testing.T) {
	t.Parallel()
	m, d := newMoto(t), newDisk(t, 64*miB)
	ec2 := m.ec2(t)
	v, err := ec2.CreateVolume(t.Context(), cloud.VolumeSpec{Zone: motoRegion + "a", GiB: 1, Tags: map[string]string{volume.TagHost: "c"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(d.links(), d.id), filepath.Join(d.links(), v.ID)); err != nil {
		t.Fatal(err)
	}
	d.id = v.ID
	plan := func() volume.Plan {
		now, err := ec2.Volume(t.Context(), v.ID)
		if err != nil {
			t.Fatal(err)
		}
		return volume.Plan{
			Host: "c", Record: volume.RecordOf(now.ID, now.From, now.Tags, time.Now()), Name: now.Device, Point: d.point,
			Mark: func(ctx context.Context, tag, value string) error {
				return ec2.Tag(ctx, v.ID, map[string]string{tag: value})
			},
		}
	}
	for _, first := range []bool{true, false} {
		opened, err := d.system().Open(t.Context(), plan())
		if err != nil || opened.Formatted != first {
			t.Fatalf("%+v, %v", opened, err)
		}
		d.close(opened)
	}
}
