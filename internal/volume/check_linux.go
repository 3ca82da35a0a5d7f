package volume

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
)

// e2fsck's exit code when it has repaired something, from its manual.
const e2fsckRepaired = 1

// checkMax is how long a check may take; the caller's context may end before.
const checkMax = mountMax * 6

// Check repairs what can be repaired without a decision, and fails, without
// having changed more, when there is anything else: ErrDamaged. An XFS
// recovers when it is mounted.
func (s System) Check(ctx context.Context, d Device, f Finding) (repaired bool, err error) {
	if f.Type == "xfs" {
		return false, nil
	}
	r, err := run(ctx, checkMax, nil, "e2fsck", "-p", f.Path)
	if err != nil {
		return false, failed("check", d.Volume, err)
	}
	switch r.code {
	case 0:
		return false, nil
	case e2fsckRepaired:
		s.log().Warn("repaired", "volume", d.Volume, "device", f.Path, "said", brief(r.out))
		return true, nil
	}
	return false, &Error{
		Doing: "check", Volume: d.Volume, Err: ErrDamaged,
		Reason: fmt.Sprintf("its file system is damaged, and e2fsck -p does not repair it (exit code %d: %s)", r.code, brief(r.out+r.said)),
		Fix:    fixDamage(d, "e2fsck -f "+f.Path),
	}
}

// fixDamage is what a person does about a damaged file system.
func fixDamage(d Device, command string) string {
	return fmt.Sprintf("take a snapshot first, aws ec2 create-snapshot --volume-id %s, then repair it on an instance: %s", d.Volume, command)
}

// growFrom is from how many bytes on a rest of the volume is worth it; ext4
// leaves smaller ones unused.
const growFrom = 8 << 20

// Grow enlarges a mounted file system to the size of what it is on. Partitions
// stay as they are: the note says what to do by hand when the volume has room
// behind one.
func (s System) Grow(ctx context.Context, d Device, f Finding, point string) (grown int64, note string, err error) {
	room, err := sizeOf(f.Path)
	if err != nil {
		return 0, "", failed("grow", d.Volume, err)
	}
	if f.Path != d.Path {
		note = roomBehind(d, f)
	}
	before, err := fileSystemSize(f)
	if err != nil {
		return 0, note, failed("grow", d.Volume, err)
	}
	if room-before < growFrom {
		return 0, note, nil
	}
	name, arg := "resize2fs", f.Path
	if f.Type == "xfs" {
		name, arg = "xfs_growfs", point
	}
	r, err := run(ctx, growMax, nil, name, arg)
	if err == nil && r.code != 0 {
		err = r.error(name)
	}
	if err != nil {
		return 0, note, failed("grow", d.Volume, err)
	}
	s.log().Info("grown", "volume", d.Volume, "device", f.Path, "from", before, "to", room)
	return room - before, note, nil
}

// roomBehind says that a partition does not reach to the end of its volume.
func roomBehind(d Device, f Finding) string {
	rdev, err := deviceNumber(d.Path)
	if err != nil {
		return ""
	}
	list, err := partitions(rdev)
	if err != nil {
		return ""
	}
	var end int64
	number := 0
	for _, p := range list {
		end = max(end, p.start+p.bytes)
		if p.path == f.Path {
			number = p.number
		}
	}
	if rest := f.Size - end; rest >= growFrom {
		return fmt.Sprintf("%d MiB of the volume are behind its partitions; mayfly changes no partition: growpart %s %d does, and the next run enlarges the file system", rest>>20, d.Path, number)
	}
	return ""
}

// fileSystemSize is how large a file system says that it is, from its
// superblock, which the kernel keeps up to date while it is mounted.
// https://docs.kernel.org/filesystems/ext4/super.html and, for XFS, xfs_dsb in
// fs/xfs/libxfs/xfs_format.h
func fileSystemSize(f Finding) (int64, error) {
	dev, err := os.Open(f.Path)
	if err != nil {
		return 0, err
	}
	defer dev.Close()
	b := make([]byte, 4096)
	if _, err := dev.ReadAt(b, 0); err != nil {
		return 0, err
	}
	return superblockSize(f.Type, b)
}

func superblockSize(kind string, b []byte) (int64, error) {
	if kind == "xfs" {
		if string(b[:4]) != "XFSB" {
			return 0, fmt.Errorf("no XFS superblock")
		}
		return int64(binary.BigEndian.Uint32(b[4:])) * int64(binary.BigEndian.Uint64(b[8:])), nil
	}
	sb := b[1024:]
	if binary.LittleEndian.Uint16(sb[0x38:]) != 0xef53 {
		return 0, fmt.Errorf("no ext superblock")
	}
	blocks := int64(binary.LittleEndian.Uint32(sb[4:]))
	const has64bit = 0x80 // INCOMPAT_64BIT
	if binary.LittleEndian.Uint32(sb[0x60:])&has64bit != 0 {
		blocks |= int64(binary.LittleEndian.Uint32(sb[0x150:])) << 32
	}
	return blocks << (10 + binary.LittleEndian.Uint32(sb[0x18:])), nil
}
