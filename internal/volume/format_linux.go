package volume

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"
)

// Format makes an ext4 file system on a volume if and only if every condition
// holds: the record is from just now and names this host, no snapshot is
// behind the volume and no formatting was begun before; the device is found by
// the volume's id, nobody uses it, blkid and wipefs find nothing on it, and
// what was read of it is zero, which is looked at twice, the second time
// immediately before. Otherwise the volume stays as it is.
//
// mark is called with TagFormatting before anything is written, and with
// TagFormatted afterwards. What is cut off in between is never formatted again.
func (s System) Format(ctx context.Context, p Plan, d Device) (Finding, error) {
	if err := p.Record.mayFormat(d, p.Host, time.Now()); err != nil {
		return Finding{}, err
	}
	if p.Mark == nil {
		return Finding{}, failed("format", d.Volume, errors.New("nobody would put the tags on it"))
	}
	h, err := take(ctx, d)
	if err != nil {
		return Finding{}, s.notHeld("format", d, err)
	}
	defer h.release()
	if isPartition(h.rdev) {
		return Finding{}, failed("format", d.Volume, fmt.Errorf("%s is a partition, and no volume", d.Path))
	}
	if err := h.blank(ctx, p.Record); err != nil {
		return Finding{}, err
	}
	s.at("inspected")
	uuid := newUUID()
	if err := p.Mark(ctx, TagFormatting, uuid); err != nil {
		return Finding{}, &Error{Doing: "format", Volume: d.Volume, Reason: "its tag could not be set, and nothing was written: " + err.Error(), Err: err}
	}
	s.at("marked")
	if err := h.same(s.Finder, p.Name); err != nil {
		return Finding{}, s.cutOff(d, err)
	}
	if err := h.blank(ctx, p.Record); err != nil {
		return Finding{}, s.cutOff(d, err)
	}
	if err := h.mkfs(ctx, Label(p.Host), uuid); err != nil {
		return Finding{}, s.cutOff(d, err)
	}
	s.at("made")
	return s.finish(ctx, p, h, uuid)
}

// finish looks at what was made, and says so.
func (s System) finish(ctx context.Context, p Plan, h *hold, uuid string) (Finding, error) {
	d, made := h.device, p.Record
	made.Formatted = uuid
	if err := h.exclude(); err != nil {
		return Finding{}, s.cutOff(d, err)
	}
	found, err := h.inspect(ctx, made, true)
	if err == nil && found.Kind != Ours {
		err = fmt.Errorf("it holds %s", found.What)
	}
	if err != nil {
		return Finding{}, s.cutOff(d, err)
	}
	if err := p.Mark(ctx, TagFormatted, uuid); err != nil {
		return Finding{}, &Error{
			Doing: "format", Volume: d.Volume, Err: ErrUnfinished,
			Reason: "the file system was made, and the tag that says so could not be set: " + err.Error(),
			Fix:    adoptCommand(p.Record, uuid),
		}
	}
	s.at("formatted")
	s.log().Info("formatted", "volume", d.Volume, "device", d.Path, "uuid", uuid)
	return found, nil
}

// cutOff is the error of a formatting that was begun.
func (s System) cutOff(d Device, err error) error {
	return &Error{
		Doing: "format", Volume: d.Volume, Err: errors.Join(ErrUnfinished, err),
		Reason: "its formatting was begun, and " + err.Error(),
		Fix:    "mayfly will not format it again: make another one with mayfly volume create, and when you are sure: aws ec2 delete-volume --volume-id " + d.Volume,
	}
}

func (s System) notHeld(doing string, d Device, err error) error {
	if errors.Is(err, ErrBusy) {
		return &Error{Doing: doing, Volume: d.Volume, Reason: err.Error(), Fix: "unmount it, or restart the instance", Err: err}
	}
	return failed(doing, d.Volume, err)
}

// blank fails unless the device is.
func (h *hold) blank(ctx context.Context, r Record) error {
	found, err := h.inspect(ctx, r, true)
	if err != nil {
		return err
	}
	return found.refusal("format", r, Blank)
}

// refusal is the error when a finding is none of these kinds.
func (f Finding) refusal(doing string, r Record, kinds ...Kind) error {
	for _, k := range kinds {
		if f.Kind == k {
			return nil
		}
	}
	e := &Error{Doing: doing, Volume: r.Volume, Reason: "it holds " + f.What, Fix: f.Fix, Err: ErrForeign}
	switch f.Kind {
	case Blank:
		e.Reason = "it is blank"
	case Unreadable:
		e.Reason, e.Err = "it cannot be read: "+f.What, ErrUnreadable
	case Unfinished:
		e.Reason, e.Err = f.What, ErrUnfinished
	}
	if f.InUse != "" {
		e.Err = errors.Join(e.Err, ErrBusy)
	}
	return e
}

// mkfs makes the file system. All of the volume belongs to the host: nothing
// is reserved. It reads as zero, so what ext4 would write later to make its
// tables zero is of no importance, and nothing needs to be discarded. Its
// errors make it read-only, so that no backup goes on into a broken one.
func (h *hold) mkfs(ctx context.Context, label, uuid string) error {
	h.include()
	r, err := run(ctx, mkfsMax, []*os.File{h.lock}, "mkfs.ext4", "-q", "-m", "0", "-L", label, "-U", uuid,
		"-e", "remount-ro", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", h.device.Path)
	if err != nil {
		return err
	}
	if r.code != 0 {
		return r.error("mkfs.ext4")
	}
	return nil
}

// newUUID is a random one (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
