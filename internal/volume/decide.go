package volume

import (
	"fmt"
	"strings"
)

// A Kind is what a volume turned out to be.
type Kind string

// The kinds.
const (
	Blank      Kind = "blank"      // nothing is on it, and nobody uses it
	Ours       Kind = "ours"       // the file system that mayfly made for this host
	Adopted    Kind = "adopted"    // the one that was named when it was taken over
	Unfinished Kind = "unfinished" // mayfly began to make one
	Foreign    Kind = "foreign"    // anything else
	Unreadable Kind = "unreadable"
)

// A Finding is what is on a volume.
type Finding struct {
	Kind Kind
	What string // in words: "an ext4 file system (UUID 0c6e…)"
	Fix  string // what to do about what is neither blank, ours nor adopted
	// The file system: where it is, which may be a partition, and what.
	Path, Type, Label, UUID string
	Size                    int64  // of the volume
	InUse                   string // who uses it, in words; ""
}

// A signature is what blkid says of a device or partition.
type signature struct {
	path                     string
	kind, label, uuid, table string // TYPE, LABEL, UUID, PTTYPE
	offset                   int64  // in the volume
	size                     int64
	ambiguous, part          bool
}

// facts are all that was found out about a device.
type facts struct {
	size       int64
	whole      signature
	wipefs     []string    // what else wipefs names
	partitions []signature // with their file systems
	claims     []string    // who uses it, in words
	nonzero    int64       // the first byte that is not zero and was met; -1: none
	err        error       // reading it failed
}

func (f facts) signatures() []signature { return append([]signature{f.whole}, f.partitions...) }

// holds says in words what is there, "" when nothing is.
func (f facts) holds() string {
	var list []string
	w := f.whole
	switch {
	case w.ambiguous:
		list = append(list, "several things at once (blkid cannot tell which is meant)")
	case w.kind != "":
		list = append(list, w.words())
	}
	if w.table != "" {
		list = append(list, tableName(w.table))
	}
	for _, p := range f.partitions {
		if p.kind != "" {
			list = append(list, "in the partition "+p.path+" "+p.words())
		} else {
			list = append(list, "the partition "+p.path)
		}
	}
	if len(list) == 0 {
		for _, name := range f.wipefs {
			if name == "gpt" || name == "PMBR" || name == "dos" {
				list = append(list, tableName(name))
				continue
			}
			list = append(list, "a signature of "+name)
		}
	}
	if len(list) == 0 && f.nonzero >= 0 {
		list = append(list, fmt.Sprintf("data that no program here recognizes (byte %d is not zero)", f.nonzero))
	}
	return strings.Join(list, ", ")
}

// names are those of file systems and their kin as people say them.
var names = map[string]string{
	"crypto_LUKS":       "an encrypted volume (LUKS)",
	"LVM2_member":       "a physical volume of LVM",
	"LVM1_member":       "a physical volume of LVM",
	"linux_raid_member": "a member of a software RAID",
	"swap":              "swap space",
	"zfs_member":        "a member of a ZFS pool",
	"DM_snapshot_cow":   "a snapshot of the device mapper",
	"BitLocker":         "an encrypted volume (BitLocker)",
}

func (s signature) words() string {
	name := names[s.kind]
	if name == "" {
		article := "a "
		if strings.ContainsAny(s.kind[:1], "aeioux") { // an ext4, an xfs
			article = "an "
		}
		name = article + s.kind + " file system"
	}
	var more []string
	if s.label != "" {
		more = append(more, fmt.Sprintf("label %q", s.label))
	}
	if s.uuid != "" {
		more = append(more, "UUID "+s.uuid)
	}
	if len(more) > 0 {
		name += " (" + strings.Join(more, ", ") + ")"
	}
	return name
}

func tableName(t string) string {
	switch t {
	case "gpt", "PMBR":
		return "a partition table (GPT)"
	case "dos":
		return "a partition table (MBR)"
	}
	return "a partition table (" + t + ")"
}

// adoptable are the file systems that can be taken over.
func adoptable(kind string) bool { return kind == "ext3" || kind == "ext4" || kind == "xfs" }

// decide says what a volume is, from what was found on it and what its tags
// say. Only what is proven is blank, ours or adopted.
func decide(f facts, r Record) Finding {
	found := Finding{Size: f.size, What: f.holds(), Path: f.whole.path, InUse: strings.Join(f.claims, ", ")}
	if f.err != nil {
		found.Kind, found.What = Unreadable, f.err.Error()
		found.Fix = "look at it with: blkid -p " + f.whole.path
		return found
	}
	found.Kind, found.Fix = Foreign, fixForeign(f, r)
	switch {
	case r.Adopted != "":
		return decideAdopted(f, r, found)
	case r.Formatted != "":
		return decideOurs(f, r, found)
	case r.Formatting != "":
		return decideUnfinished(f, r, found)
	case len(f.claims) > 0:
		found.What = or(found.What, "nothing that is known") + ", and it is in use: " + found.InUse
		return found
	case found.What != "" || f.nonzero >= 0:
		return found
	}
	found.Kind, found.What, found.Fix = Blank, "nothing", ""
	return found
}

func (f Finding) is(k Kind, s signature) Finding {
	f.Kind, f.Fix = k, ""
	f.What, f.Path, f.Type, f.Label, f.UUID = s.words(), s.path, s.kind, s.label, s.uuid
	return f
}

func decideAdopted(f facts, r Record, found Finding) Finding {
	for _, s := range f.signatures() {
		if s.uuid != "" && strings.EqualFold(s.uuid, r.Adopted) && !s.ambiguous {
			if adoptable(s.kind) {
				return found.is(Adopted, s)
			}
			found.Fix = "only ext3, ext4 and xfs can be adopted: make one by hand and copy the data"
			return found
		}
	}
	found.What = or(found.What, "nothing") + ", but it was adopted with the file system of UUID " + r.Adopted
	found.Fix = join("check with blkid which volume is meant", adoptWith(f, r))
	return found
}

func decideOurs(f facts, r Record, found Finding) Finding {
	s, want := f.whole, Label(r.Host)
	if s.kind == "ext4" && !s.ambiguous && s.label == want && strings.EqualFold(s.uuid, r.Formatted) {
		return found.is(Ours, s)
	}
	found.What = fmt.Sprintf("%s, but mayfly made an ext4 file system (label %q, UUID %s) on it", or(found.What, "nothing"), want, r.Formatted)
	found.Fix = join("restore a snapshot of it to a new volume", adoptWith(f, r))
	return found
}

func decideUnfinished(f facts, r Record, found Finding) Finding {
	found.Kind = Unfinished
	s := f.whole
	if s.kind == "ext4" && s.label == Label(r.Host) && strings.EqualFold(s.uuid, r.Formatting) {
		found.What = "the formatting of this volume was cut off after its file system was made"
		found.Fix = adoptCommand(r, s.uuid)
		return found
	}
	found.What = "the formatting of this volume was cut off; it holds " + or(found.What, "nothing yet")
	found.Fix = fmt.Sprintf("nothing of %s is on it: mayfly volume create makes another one; when you are sure: aws ec2 delete-volume --volume-id %s", or(r.Host, "a host"), r.Volume)
	return found
}

// fixForeign is what to do about a volume that nobody has taken over.
func fixForeign(f facts, r Record) string {
	if fix := adoptWith(f, r); fix != "" {
		return "mayfly formats no volume that is not blank; " + fix
	}
	return fmt.Sprintf("mayfly formats no volume that is not blank: name another one, or make one with mayfly volume create --host %s --size GIB", or(r.Host, "HOST"))
}

// adoptWith says how to take over what is there, "" when nothing can be.
func adoptWith(f facts, r Record) string {
	var list []string
	for _, s := range f.signatures() {
		if adoptable(s.kind) && s.uuid != "" && !s.ambiguous {
			list = append(list, adoptCommand(r, s.uuid))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "to keep what is on it as the host's backup: " + strings.Join(list, ", or ")
}

func adoptCommand(r Record, uuid string) string {
	return fmt.Sprintf("mayfly volume adopt %s --host %s --uuid %s", r.Volume, or(r.Host, "HOST"), uuid)
}

func join(one, another string) string {
	if another == "" {
		return one
	}
	return one + "; " + another
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}
