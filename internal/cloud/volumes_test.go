package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloud"
)

// volXML is a volume in eu-west-1a in a state, as its attachments say.
func volXML(state string, attachments ...string) reply {
	return reply{body: "<volumeSet><item><volumeId>vol-1</volumeId><size>8</size><availabilityZone>eu-west-1a</availabilityZone><status>" + state +
		"</status><encrypted>true</encrypted><attachmentSet>" + strings.Join(attachments, "") + "</attachmentSet></item></volumeSet>"}
}

func attachedTo(instance, state string) string {
	return "<item><instanceId>" + instance + "</instanceId><device>/dev/sdf</device><status>" + state + "</status></item>"
}

// volumes answers DescribeVolumes for the one volume with these, and with none
// for what the instance has.
func (s *stub) volumes(list ...reply) {
	s.on("DescribeVolumes", reply{do: func(r request) reply {
		if !r.form.Has("VolumeId.1") {
			return reply{body: "<volumeSet><item><volumeId>vol-9</volumeId><attachmentSet>" + attachedTo("i-1", "attached") + "</attachmentSet></item></volumeSet>"}
		}
		next := list[0]
		if len(list) > 1 {
			list = list[1:]
		}
		return next
	}})
}

// soon ends what would wait for ever.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

var (
	noVolume  = fails("InvalidVolume.NotFound", "The volume 'vol-1' does not exist.")
	throttled = reply{status: 503, code: "RequestLimitExceeded", said: "Request limit exceeded."}
)

func TestCreateVolume(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	ec2 := must(c.EC2())
	created := reply{body: "<volumeId>vol-1</volumeId><status>creating</status>"}
	s.on("CreateVolume", throttled, created)
	s.volumes(noVolume, volXML("creating"), volXML("available"))
	spec := cloud.VolumeSpec{Zone: "eu-west-1a", GiB: 8, Tags: map[string]string{"mayfly:host": "c", "a": "b"}}
	got, err := ec2.CreateVolume(t.Context(), spec)
	same(t, got, cloud.Volume{ID: "vol-1", Zone: "eu-west-1a", State: "available", GiB: 8, Encrypted: true, Tags: map[string]string{}}, err)
	f := s.last("CreateVolume").form
	for k, want := range map[string]string{
		"Encrypted": "true", "Size": "8", "VolumeType": "gp3", "AvailabilityZone": "eu-west-1a", "TagSpecification.1.ResourceType": "volume",
		"TagSpecification.1.Tag.1.Key": "a", "TagSpecification.1.Tag.2.Key": "mayfly:host", "TagSpecification.1.Tag.2.Value": "c",
	} {
		if f.Get(k) != want {
			t.Errorf("%s is %q in %v", k, f.Get(k), f)
		}
	}
	if first := s.requests("CreateVolume")[0].form.Get("ClientToken"); first == "" || first != f.Get("ClientToken") {
		t.Error("two tries could make two volumes")
	}
	s.on("CreateVolume", created)
	s.volumes(volXML("available"))
	spec.Token = "mayfly-web"
	if _, err := ec2.CreateVolume(t.Context(), spec); err != nil || s.last("CreateVolume").form.Get("ClientToken") != "mayfly-web" {
		t.Errorf("with a token of one's own: %v, %v", s.last("CreateVolume").form, err)
	}
	for name, x := range map[string]struct {
		create reply
		look   []reply
		want   []string
	}{
		"a quota":  {fails("VolumeLimitExceeded", "You have exceeded your maximum gp3 storage limit"), nil, []string{"ec2:CreateVolume a volume in eu-west-1a: a quota of the account is used up", "gp3 storage limit"}},
		"denied":   {fails("UnauthorizedOperation", "You are not authorized Encoded authorization failure message: abc"), nil, []string{"access denied", "grant ec2:CreateVolume"}},
		"an error": {created, []reply{volXML("error")}, []string{"volume vol-1: its state is error", "restore a snapshot"}},
		"stuck":    {created, []reply{volXML("creating")}, []string{"volume vol-1: it is still being created"}},
		"gone":     {created, []reply{noVolume}, []string{"volume vol-1: it does not exist"}},
	} {
		s.on("CreateVolume", x.create)
		s.volumes(x.look...)
		_, err := ec2.CreateVolume(soon(t), spec)
		saysAll(t, fmt.Errorf("%s: %w", name, err), x.want...)
	}
}

func TestVolume(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	ec2 := must(c.EC2())
	s.on("DescribeVolumes", reply{body: "<volumeSet><item><volumeId>vol-1</volumeId><snapshotId>snap-1</snapshotId><attachmentSet>" + attachedTo("i-0", "detached") + attachedTo("i-1", "busy") + "</attachmentSet></item></volumeSet>"})
	got, err := ec2.Volume(t.Context(), "vol-1")
	same(t, got, cloud.Volume{ID: "vol-1", From: "snap-1", Instance: "i-1", Device: "/dev/sdf", Attachment: "busy", Tags: map[string]string{}}, err)
	s.on("DescribeVolumes", reply{body: "<volumeSet><item><volumeId>vol-1</volumeId><sourceVolumeId>vol-0</sourceVolumeId><attachmentSet>" + attachedTo("i-0", "attached") + attachedTo("i-1", "attached") + "</attachmentSet></item></volumeSet>"})
	got, err = ec2.Volume(t.Context(), "vol-1")
	same(t, got, cloud.Volume{ID: "vol-1", From: "vol-0", Instance: "i-0 and i-1", Device: "/dev/sdf", Attachment: "attached", Tags: map[string]string{}}, err)
	for _, none := range []reply{noVolume, {body: "<volumeSet/>"}} {
		s.on("DescribeVolumes", none)
		_, err = ec2.Volume(t.Context(), "vol-1")
		saysAll(t, err, "ec2:DescribeVolumes volume vol-1: it does not exist", "mayfly volume list")
		if !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("%v is no ErrNotFound", err)
		}
	}
}

func TestAttachVolume(t *testing.T) {
	t.Parallel()
	ours := func(state string) reply { return volXML("in-use", attachedTo("i-1", state)) }
	theirs := func(state string) reply { return volXML("in-use", attachedTo("i-2", state)) }
	attaching := reply{body: "<status>attaching</status>"}
	inUse := fails("VolumeInUse", "vol-1 is already attached to an instance")
	for name, x := range map[string]struct {
		looks  []reply
		answer []reply
		asked  int // requests, the SDK's own tries included
		zone   string
		want   []string // of the error; nil: it is attached
		kind   error
	}{
		"available":          {looks: []reply{volXML("available"), ours("attaching"), ours("attached")}, answer: []reply{attaching}, asked: 1},
		"seen late":          {looks: []reply{volXML("available"), volXML("available"), ours("attached")}, answer: []reply{attaching, inUse}, asked: 2},
		"has it":             {looks: []reply{ours("attached")}},
		"is getting it":      {looks: []reply{ours("attaching"), ours("attached")}},
		"new":                {looks: []reply{volXML("creating"), volXML("available"), ours("attached")}, answer: []reply{attaching}, asked: 1},
		"let go elsewhere":   {looks: []reply{theirs("detaching"), theirs("detaching"), volXML("available"), ours("attached")}, answer: []reply{attaching}, asked: 1},
		"throttled":          {looks: []reply{volXML("available"), ours("attached")}, answer: []reply{throttled, throttled, attaching}, asked: 3},
		"not quite detached": {looks: []reply{volXML("available"), volXML("available"), ours("attached")}, answer: []reply{fails("IncorrectState", "vol-1 is not 'available'."), attaching}, asked: 2},
		"a name is taken": {looks: []reply{volXML("available"), volXML("available"), ours("attached")}, asked: 2,
			answer: []reply{fails("InvalidParameterValue", "Invalid value '/dev/sdg' for unixDevice. Attachment point /dev/sdg is already in use"), attaching}},

		"held elsewhere": {looks: []reply{theirs("attached")}, kind: cloud.ErrBusy, want: []string{"volume vol-1: the instance i-2 has it (attached as /dev/sdf)", "not taken away", "detach-volume --volume-id vol-1"}},
		"by two":         {looks: []reply{volXML("in-use", attachedTo("i-2", "attached"), attachedTo("i-1", "attached"))}, kind: cloud.ErrBusy, want: []string{"the instance i-2 and i-1 has it"}},
		"taken just now": {looks: []reply{volXML("available"), theirs("attaching")}, answer: []reply{inUse}, asked: 1, kind: cloud.ErrBusy, want: []string{"the instance i-2 has it (attaching"}},
		"another zone":   {looks: []reply{volXML("available")}, zone: "eu-west-1b", want: []string{"it is in eu-west-1a, and the instance i-1 in eu-west-1b", "network: in the config", "restore a snapshot"}},
		"an error":       {looks: []reply{volXML("error")}, want: []string{"its state is error", "restore a snapshot"}},
		"deleted":        {looks: []reply{volXML("deleting")}, want: []string{"its state is deleting"}},
		"does not exist": {looks: []reply{noVolume}, kind: cloud.ErrNotFound, want: []string{"volume vol-1: it does not exist"}},
		"too many":       {looks: []reply{volXML("available")}, answer: []reply{fails("AttachmentLimitExceeded", "28")}, asked: 1, want: []string{"name a larger type under instance.types"}},
		"denied":         {looks: []reply{volXML("available")}, answer: []reply{fails("UnauthorizedOperation", "no")}, asked: 1, kind: cloud.ErrDenied, want: []string{"grant ec2:AttachVolume on volume vol-1 to i-1"}},
		"a bad value":    {looks: []reply{volXML("available")}, answer: []reply{fails("InvalidParameterValue", "what is this")}, asked: 1, want: []string{"what is this"}},
		"stuck attaching": {looks: []reply{volXML("available"), ours("attaching")}, answer: []reply{attaching}, asked: 1, kind: context.DeadlineExceeded,
			want: []string{"ec2:AttachVolume volume vol-1: it is still attaching, instance i-1: the next run tries again", "aws ec2 detach-volume --volume-id vol-1"}},
		"stuck elsewhere": {looks: []reply{theirs("detaching")}, kind: cloud.ErrBusy, want: []string{"it is still detaching, instance i-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := newStub(t)
			s.volumes(x.looks...)
			s.on("AttachVolume", x.answer...)
			if x.zone == "" {
				x.zone = "eu-west-1a"
			}
			ctx := t.Context()
			if strings.HasPrefix(name, "stuck") {
				ctx = soon(t)
			}
			v, err := must(c.EC2()).AttachVolume(ctx, "vol-1", "i-1", x.zone)
			if x.want == nil {
				if err != nil || v.Instance != "i-1" || v.Device != "/dev/sdf" || v.Attachment != "attached" {
					t.Errorf("%+v, %v", v, err)
				}
			} else if saysAll(t, err, x.want...); x.kind != nil && !errors.Is(err, x.kind) {
				t.Errorf("%v is no: %v", err, x.kind)
			}
			asked := s.requests("AttachVolume")
			if len(asked) != x.asked {
				t.Errorf("asked %d times to attach it", len(asked))
			}
			for i, r := range asked { // vol-9 is sdf, and sdg is tried first
				want := "/dev/sdg"
				if name == "a name is taken" && i == 1 {
					want = "/dev/sdh"
				}
				if r.form.Get("Device") != want || r.form.Get("VolumeId") != "vol-1" || r.form.Get("InstanceId") != "i-1" {
					t.Errorf("asked for %v", r.form)
				}
			}
		})
	}
}

func TestDetachVolume(t *testing.T) {
	t.Parallel()
	ours := func(state string) reply { return volXML("in-use", attachedTo("i-1", state)) }
	detaching := reply{body: "<status>detaching</status>"}
	for name, x := range map[string]struct {
		looks  []reply
		answer []reply
		asked  int
		want   []string
		kind   error
	}{
		"attached":        {looks: []reply{ours("attached"), ours("attached"), ours("detaching"), volXML("available")}, answer: []reply{detaching}, asked: 1},
		"is going":        {looks: []reply{ours("detaching"), volXML("available")}},
		"is not there":    {looks: []reply{volXML("available")}},
		"another's":       {looks: []reply{volXML("in-use", attachedTo("i-2", "attached"))}},
		"gone in between": {looks: []reply{ours("attached"), volXML("available")}, answer: []reply{fails("IncorrectState", "Volume 'vol-1' is in the 'available' state.")}, asked: 1},
		"throttled":       {looks: []reply{ours("attached"), volXML("available")}, answer: []reply{throttled, detaching}, asked: 2},
		"does not exist":  {looks: []reply{noVolume}, want: []string{"it does not exist"}, kind: cloud.ErrNotFound},
		"denied":          {looks: []reply{ours("attached")}, answer: []reply{fails("UnauthorizedOperation", "no")}, asked: 1, want: []string{"grant ec2:DetachVolume on volume vol-1 from i-1"}, kind: cloud.ErrDenied},
		"stuck":           {looks: []reply{ours("detaching")}, want: []string{"ec2:DetachVolume volume vol-1: it is still detaching, instance i-1: it is not forced", "stop the instance", "--force --volume-id vol-1"}, kind: cloud.ErrBusy},
		"stuck, and in use": {looks: []reply{ours("attached"), ours("busy")}, answer: []reply{detaching}, asked: 1,
			want: []string{"it is still busy, instance i-1 (something on the instance still uses it)"}, kind: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := newStub(t)
			s.volumes(x.looks...)
			s.on("DetachVolume", x.answer...)
			err := must(c.EC2()).DetachVolume(soon(t), "vol-1", "i-1")
			if x.want == nil {
				if err != nil {
					t.Error(err)
				}
			} else if saysAll(t, err, x.want...); !errors.Is(err, x.kind) {
				t.Errorf("%v is no: %v", err, x.kind)
			}
			asked := s.requests("DetachVolume")
			if len(asked) != x.asked {
				t.Errorf("asked %d times to detach it", len(asked))
			}
			for _, r := range asked {
				if r.form.Has("Force") || r.form.Get("InstanceId") != "i-1" || r.form.Get("VolumeId") != "vol-1" {
					t.Errorf("asked for %v", r.form)
				}
			}
		})
	}
}

func TestTag(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	s.on("CreateTags", throttled, reply{body: "<return>true</return>"})
	if err := must(c.EC2()).Tag(t.Context(), "vol-1", map[string]string{"mayfly:formatted": "u", "a": "b"}); err != nil {
		t.Error(err)
	}
	if f := s.last("CreateTags").form; f.Get("ResourceId.1") != "vol-1" || f.Get("Tag.1.Key") != "a" || f.Get("Tag.2.Value") != "u" {
		t.Errorf("asked for %v", f)
	}
	s.on("CreateTags", noVolume)
	saysAll(t, must(c.EC2()).Tag(t.Context(), "vol-1", map[string]string{"a": "b"}), "ec2:CreateTags vol-1: it does not exist")
}

func TestModification(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	ec2 := must(c.EC2())
	item := func(state, at string) string {
		return "<item><modificationState>" + state + "</modificationState><targetSize>16</targetSize><progress>40</progress><startTime>2026-11-" + at + "T16:00:00Z</startTime></item>"
	}
	s.on("DescribeVolumesModifications", reply{body: "<volumeModificationSet>" + item("completed", "18") + item("optimizing", "20") + item("failed", "19") + "</volumeModificationSet>"})
	got, err := ec2.Modification(t.Context(), "vol-1")
	same(t, got, cloud.Modification{State: "optimizing", GiB: 16, Progress: 40, Began: time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC)}, err)
	s.on("DescribeVolumesModifications", fails("InvalidVolumeModification.NotFound", "there is none"))
	got, err = ec2.Modification(t.Context(), "vol-1")
	same(t, got, cloud.Modification{}, err)
	s.on("DescribeVolumesModifications", fails("UnauthorizedOperation", "no"))
	_, err = ec2.Modification(t.Context(), "vol-1")
	saysAll(t, err, "grant ec2:DescribeVolumesModifications on volume vol-1")
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	ec2 := must(c.EC2())
	spec := cloud.SnapshotSpec{Volume: "vol-1", Description: "host c, run 2026", Tags: map[string]string{"mayfly:host": "c"}}
	s.on("CreateSnapshot", throttled, reply{body: "<snapshotId>snap-1</snapshotId><volumeId>vol-1</volumeId><status>pending</status><startTime>2026-11-20T16:00:00Z</startTime><volumeSize>8</volumeSize><tagSet><item><key>mayfly:host</key><value>c</value></item></tagSet>"})
	got, err := ec2.CreateSnapshot(t.Context(), spec)
	same(t, got, cloud.Snapshot{ID: "snap-1", Volume: "vol-1", State: "pending", GiB: 8, Began: time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC), Tags: spec.Tags}, err)
	if f := s.last("CreateSnapshot").form; f.Get("Description") != spec.Description || f.Get("TagSpecification.1.ResourceType") != "snapshot" || f.Get("TagSpecification.1.Tag.1.Value") != "c" {
		t.Errorf("asked for %v", f)
	}
	for code, want := range map[string]string{
		"ConcurrentSnapshotLimitExceeded":       "too many snapshots are pending",
		"PendingSnapshotLimitExceeded":          "the next run takes one",
		"SnapshotCreationPerVolumeRateExceeded": "try again in a minute",
		"SnapshotLimitExceeded":                 "a quota of the account",
		"InvalidVolume.NotFound":                "it does not exist",
		"IncorrectState":                        "IncorrectState: said",
	} {
		s.on("CreateSnapshot", fails(code, "said"))
		_, err := ec2.CreateSnapshot(t.Context(), spec)
		saysAll(t, err, "ec2:CreateSnapshot volume vol-1: ", want)
		if busy := strings.Contains(code, "Pend") || strings.Contains(code, "Concurrent") || strings.Contains(code, "Rate"); busy != errors.Is(err, cloud.ErrBusy) {
			t.Errorf("%v: busy is %t", err, !busy)
		}
	}

	s.on("DescribeSnapshots", reply{body: "<snapshotSet><item/><item/></snapshotSet><nextToken>2</nextToken>"}, reply{body: "<snapshotSet><item/></snapshotSet>"})
	n, err := ec2.SnapshotsPending(t.Context(), "vol-1")
	same(t, n, 3, err)
	if f := s.last("DescribeSnapshots").form; f.Get("Filter.1.Value.1") != "vol-1" || f.Get("Filter.2.Value.1") != "pending" || f.Get("Owner.1") != "self" {
		t.Errorf("asked for %v", f)
	}
	s.on("DescribeSnapshots", fails("UnauthorizedOperation", "no"))
	_, err = ec2.SnapshotsPending(t.Context(), "vol-1")
	saysAll(t, err, "grant ec2:DescribeSnapshots")

	s.on("DeleteSnapshot", reply{body: "<return>true</return>"}, fails("InvalidSnapshot.NotFound", "gone"))
	for range 2 {
		if err := ec2.DeleteSnapshot(t.Context(), "snap-1"); err != nil {
			t.Error(err)
		}
	}
	s.on("DeleteSnapshot", fails("InvalidSnapshot.InUse", "The snapshot snap-1 is currently in use by ami-1"))
	err = ec2.DeleteSnapshot(t.Context(), "snap-1")
	saysAll(t, err, "ec2:DeleteSnapshot snapshot snap-1: ", "ami-1", "deregister the image")
	if !errors.Is(err, cloud.ErrBusy) {
		t.Errorf("%v is no ErrBusy", err)
	}
}
