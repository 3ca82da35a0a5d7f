// Package volume handles the block devices that hold hosts' data: it finds the
// device of an EBS volume, decides what is on it, makes a file system if and
// only if nothing is, checks, mounts, enlarges and unmounts it.
//
// What it refuses it leaves as it is, byte for byte. It talks to no cloud: what
// EC2 says of a volume is handed in as a Record. It works on Linux only, as
// root, with the programs of Packages.
package volume

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"log/slog"
	"strings"
	"time"
)

// The tags of a volume that say what it is for and what is on it.
const (
	TagHost       = "mayfly:host"       // whose data it holds
	TagFormatting = "mayfly:formatting" // the UUID of a file system that mayfly began to make
	TagFormatted  = "mayfly:formatted"  // that of one which it made
	TagAdopted    = "mayfly:adopted"    // that of one which somebody else made: it is never formatted
)

// Packages are what a machine needs: blkid, wipefs and mount; mkfs.ext4,
// e2fsck and resize2fs; xfs_growfs. Debian and Amazon Linux call them the same.
func Packages() []string { return []string{"util-linux", "e2fsprogs", "xfsprogs"} }

// A Record is what EC2 says of a volume. The zero Record proves nothing, and
// nothing is ever formatted on its word.
type Record struct {
	Volume   string    // "vol-0123456789abcdef0"
	Snapshot string    // that it was made from; "": none
	Asked    time.Time // when EC2 was asked

	Host, Formatting, Formatted, Adopted string // the tags' values
}

// RecordOf reads the tags of a volume.
func RecordOf(id, snapshot string, tags map[string]string, asked time.Time) Record {
	return Record{
		Volume: id, Snapshot: snapshot, Asked: asked,
		Host: tags[TagHost], Formatting: tags[TagFormatting], Formatted: tags[TagFormatted], Adopted: tags[TagAdopted],
	}
}

// fresh is how old a Record may be that lets a volume be formatted.
const fresh = 5 * time.Minute

// A Mark puts a tag on the volume in hand, and returns once EC2 has taken it.
type Mark func(ctx context.Context, tag, value string) error

// A Device is a whole volume, as this machine sees it.
type Device struct {
	Volume string
	Path   string // "/dev/nvme1n1"
	// Guessed says that only the name of the attachment points to it: nothing
	// on the device says that it is this volume. It is never formatted.
	Guessed bool
}

// A Finder finds devices.
type Finder interface {
	// Find returns the device of a volume. name is what its attachment calls
	// it, "/dev/sdf". An error that is fs.ErrNotExist: it is not there, yet.
	Find(volume, name string) (Device, error)
}

// A System is this machine.
type System struct {
	Finder Finder
	Log    *slog.Logger // nil: nothing is logged
	// At, which may be nil, is told of points on the way of Format, so that
	// tests can cut it off there: "inspected", "marked", "made", "formatted".
	At func(point string)
}

func (s System) at(point string) {
	if s.At != nil {
		s.At(point)
	}
}

func (s System) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// A Plan says which volume is to be opened, for whom, and where.
type Plan struct {
	Host   string
	Record Record
	Name   string // what its attachment calls the device, "/dev/sdf"; may be ""
	Point  string // where to mount it, "/mnt/c"
	Mark   Mark
}

// A Mounted volume is ready for its host.
type Mounted struct {
	Device  Device
	Finding Finding
	Point   string
	// What was done on the way.
	Formatted, Repaired bool
	Grown               int64 // bytes by which the file system was enlarged
	// Notes are worth a reader's attention; none is a failure.
	Notes []string
}

// A Usage is how full a file system is.
type Usage struct {
	Bytes, Used, Free     int64
	Inodes, InodesUsed    int64 // 0: the file system has no fixed number
	Percent, InodePercent int
}

// Fullest is the larger one of the percentages of bytes and inodes.
func (u Usage) Fullest() int { return max(u.Percent, u.InodePercent) }

// percent is rounded up, as df does: 100 means that nothing is left.
func percent(used, free int64) int {
	if used+free <= 0 {
		return 0
	}
	return int((used*100 + used + free - 1) / (used + free))
}

// Label is that of the file system which is made for a host. ext4 takes 16
// bytes: of a longer name it holds a digest.
func Label(host string) string {
	if len(host) <= 9 {
		return "mayfly-" + host
	}
	sum := sha256.Sum256([]byte(host))
	return "mayfly-" + strings.ToLower(base32.HexEncoding.EncodeToString(sum[:])[:9])
}
