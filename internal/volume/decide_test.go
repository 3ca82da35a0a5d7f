package volume

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const (
	id    = "vol-0123456789abcdef0"
	uuid  = "0c6e08e4-6f29-43b2-bc26-28478343fa05"
	other = "5f1d02a7-1111-4222-8333-444455556666"
)

// whole are the facts about a device that holds one thing.
func whole(kind, label, uuid string) facts {
	return facts{size: 1 << 30, nonzero: -1, whole: signature{path: "/dev/nvme1n1", kind: kind, label: label, uuid: uuid}}
}

func partitioned(kind, uuid string) facts {
	f := facts{size: 1 << 30, nonzero: -1, whole: signature{path: "/dev/nvme1n1", table: "gpt"}, wipefs: []string{"gpt"}}
	f.partitions = []signature{{path: "/dev/nvme1n1p1", kind: kind, uuid: uuid, part: true}}
	return f
}

func TestDecide(t *testing.T) {
	t.Parallel()
	host := Record{Volume: id, Host: "c"}
	with := func(change func(*facts)) facts {
		f := whole("", "", "")
		change(&f)
		return f
	}
	formatted, formatting, adopted := host, host, host
	formatted.Formatted, formatting.Formatting, adopted.Adopted = uuid, uuid, strings.ToUpper(uuid)
	for name, x := range map[string]struct {
		facts  facts
		record Record
		kind   Kind
		says   []string // of what and fix together
	}{
		"blank":             {whole("", "", ""), host, Blank, nil},
		"one byte":          {with(func(f *facts) { f.nonzero = 77 }), host, Foreign, []string{"no program here recognizes (byte 77 is", "mayfly volume create --host c"}},
		"ext4":              {whole("ext4", "data", uuid), host, Foreign, []string{`an ext4 file system (label "data", UUID ` + uuid + ")", "mayfly volume adopt " + id + " --host c --uuid " + uuid}},
		"of no host":        {whole("xfs", "", uuid), Record{Volume: id}, Foreign, []string{"an xfs file system", "--host HOST"}},
		"btrfs":             {whole("btrfs", "", uuid), host, Foreign, []string{"a btrfs file system", "volume create"}},
		"LUKS":              {whole("crypto_LUKS", "", uuid), host, Foreign, []string{"an encrypted volume (LUKS)", "volume create"}},
		"LVM":               {whole("LVM2_member", "", "x"), host, Foreign, []string{"a physical volume of LVM"}},
		"swap":              {whole("swap", "", uuid), host, Foreign, []string{"swap space"}},
		"several":           {with(func(f *facts) { f.whole.ambiguous, f.wipefs = true, []string{"ext4", "xfs"} }), host, Foreign, []string{"several things at once"}},
		"wipefs alone":      {with(func(f *facts) { f.wipefs = []string{"zfs_member"} }), host, Foreign, []string{"a signature of zfs_member"}},
		"an MBR":            {with(func(f *facts) { f.whole.table = "dos" }), host, Foreign, []string{"a partition table (MBR)"}},
		"a GPT":             {partitioned("ext4", uuid), host, Foreign, []string{"(GPT), in the partition /dev/nvme1n1p1 an ext4", "--uuid " + uuid}},
		"an odd table":      {with(func(f *facts) { f.whole.table = "sun" }), host, Foreign, []string{"a partition table (sun)"}},
		"in use":            {with(func(f *facts) { f.claims = []string{"part of /dev/dm-0 (x)"} }), host, Foreign, []string{"in use: part of /dev/dm-0 (x)"}},
		"unreadable":        {with(func(f *facts) { f.err = errors.New("read: input/output error") }), host, Unreadable, []string{"input/output error"}},
		"ours":              {whole("ext4", "mayfly-c", uuid), formatted, Ours, nil},
		"not tagged":        {whole("ext4", "mayfly-c", uuid), host, Foreign, []string{"volume adopt"}},
		"another's":         {whole("ext4", "mayfly-h", uuid), formatted, Foreign, []string{`label "mayfly-h"`, "restore a snapshot"}},
		"another UUID":      {whole("ext4", "mayfly-c", other), formatted, Foreign, []string{other, uuid, "--uuid " + other}},
		"gone":              {whole("", "", ""), formatted, Foreign, []string{"nothing, but mayfly made", "restore a snapshot"}},
		"became xfs":        {whole("xfs", "mayfly-c", uuid), formatted, Foreign, []string{"an xfs"}},
		"cut off, blank":    {whole("", "", ""), formatting, Unfinished, []string{"nothing yet", "aws ec2 delete-volume --volume-id " + id}},
		"cut off, half":     {with(func(f *facts) { f.nonzero = 5 }), formatting, Unfinished, []string{"byte 5", "delete-volume"}},
		"cut off, whole":    {whole("ext4", "mayfly-c", uuid), formatting, Unfinished, []string{"after its file system was made", "mayfly volume adopt " + id + " --host c --uuid " + uuid}},
		"cut off, foreign":  {whole("ext4", "mayfly-c", other), formatting, Unfinished, []string{"delete-volume"}},
		"adopted":           {whole("xfs", "", uuid), adopted, Adopted, nil},
		"adopted ext3":      {whole("ext3", "", uuid), adopted, Adopted, nil},
		"adopted partition": {partitioned("ext4", uuid), adopted, Adopted, nil},
		"adopted gone":      {whole("", "", ""), adopted, Foreign, []string{"nothing, but it was adopted", "check with blkid"}},
		"adopted another":   {whole("ext4", "", other), adopted, Foreign, []string{other, "UUID " + strings.ToUpper(uuid), "volume adopt"}},
		"adopted swap":      {whole("swap", "", uuid), adopted, Foreign, []string{"only ext3, ext4 and xfs"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := decide(x.facts, x.record)
			if got.Kind != x.kind {
				t.Errorf("%+v, want %s", got, x.kind)
			}
			for _, w := range x.says {
				if !strings.Contains(got.What+"\n"+got.Fix, w) {
					t.Errorf("%q, %q: lacks %q", got.What, got.Fix, w)
				}
			}
			if good := got.Kind == Blank || got.Kind == Ours || got.Kind == Adopted; good != (got.Fix == "") {
				t.Errorf("%s, and the fix is %q", got.Kind, got.Fix)
			}
		})
	}
	if got := decide(partitioned("ext4", uuid), adopted); got.Path != "/dev/nvme1n1p1" || got.Type != "ext4" || got.UUID != uuid {
		t.Errorf("%+v", got)
	}
}

func TestMayFormat(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC)
	d := Device{Volume: id, Path: "/dev/nvme1n1"}
	good := Record{Volume: id, Host: "c", Asked: now.Add(-time.Minute)}
	if err := good.mayFormat(d, "c", now); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Record, *Device){
		"about no volume":             func(r *Record, _ *Device) { r.Volume = "" },
		"about vol-2":                 func(r *Record, _ *Device) { r.Volume = "vol-2" },
		"not from just now: ask":      func(r *Record, _ *Device) { r.Asked = time.Time{} },
		"not from just now":           func(r *Record, _ *Device) { r.Asked = now.Add(-time.Hour) },
		"is not from":                 func(r *Record, _ *Device) { r.Asked = now.Add(time.Hour) },
		"the snapshot snap-1":         func(r *Record, _ *Device) { r.Snapshot = "snap-1" },
		"has no tag mayfly:host":      func(r *Record, _ *Device) { r.Host = "" },
		"the host h's, not c's":       func(r *Record, _ *Device) { r.Host = "h" },
		"was adopted":                 func(r *Record, _ *Device) { r.Adopted = uuid },
		"formatted before, with UUID": func(r *Record, _ *Device) { r.Formatted = uuid },
		"begun before, and cut off":   func(r *Record, _ *Device) { r.Formatting = uuid },
		"only the name /dev/nvme1n1":  func(_ *Record, d *Device) { d.Guessed = true },
	} {
		r, dev := good, d
		change(&r, &dev)
		if err := r.mayFormat(dev, "c", now); err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, ErrUnproven) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if (Record{}).mayFormat(Device{}, "", now) == nil || (Record{}).mayFormat(d, "c", now) == nil || good.mayFormat(d, "", now) == nil {
		t.Error("no proof is enough")
	}
	tags := map[string]string{TagHost: "c", TagFormatting: "1", TagFormatted: "2", TagAdopted: "3", "Name": "x"}
	if got := RecordOf(id, "snap-1", tags, now); got != (Record{id, "snap-1", now, "c", "1", "2", "3"}) {
		t.Errorf("%+v", got)
	}
}

func TestLabel(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, host := range []string{"c", "web", "ninechars", "ten-chars-", strings.Repeat("a", 62) + "b", strings.Repeat("a", 62) + "c"} {
		l := Label(host)
		if len(l) > 16 || seen[l] || !strings.HasPrefix(l, "mayfly-") {
			t.Errorf("%s: %q", host, l)
		}
		seen[l] = true
	}
	if Label("c") != "mayfly-c" {
		t.Error(Label("c"))
	}
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		used, free int64
		want       int
	}{{0, 0, 0}, {0, 10, 0}, {10, 0, 100}, {1, 999, 1}, {500, 500, 50}, {999, 1, 100}} {
		if got := percent(x.used, x.free); got != x.want {
			t.Errorf("%d of %d: %d", x.used, x.used+x.free, got)
		}
	}
	if (Usage{Percent: 3, InodePercent: 9}).Fullest() != 9 {
		t.Error("the fuller one counts")
	}
}
