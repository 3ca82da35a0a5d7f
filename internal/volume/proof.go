package volume

import (
	"fmt"
	"time"
)

// mayFormat says what in a record forbids to format its volume for a host; nil
// when nothing does. That the volume is blank is another matter.
func (r Record) mayFormat(d Device, host string, now time.Time) error {
	refuse := func(reason, fix string) error {
		return &Error{Doing: "format", Volume: or(r.Volume, d.Volume), Reason: reason, Fix: fix, Err: ErrUnproven}
	}
	another := fmt.Sprintf("make another one with mayfly volume create --host %s --size GIB", host)
	switch {
	case r.Volume == "" || r.Volume != d.Volume:
		return refuse(fmt.Sprintf("what is known is about %s", or(r.Volume, "no volume")), "")
	case r.Asked.IsZero() || now.Sub(r.Asked) > fresh || r.Asked.Sub(now) > fresh:
		return refuse("what EC2 said of it is not from just now", "ask again")
	case r.Snapshot != "":
		return refuse("it was made from the snapshot "+r.Snapshot+", and holds what that does", "adopt it, or "+another)
	case host == "" || r.Host != host:
		return r.forHost("format", host)
	case r.Adopted != "":
		return refuse("it was adopted with the file system "+r.Adopted, another)
	case r.Formatted != "":
		return refuse("it has been formatted before, with UUID "+r.Formatted, "restore a snapshot of it, or "+another)
	case r.Formatting != "":
		return refuse("its formatting was begun before, and cut off", another)
	case d.Guessed:
		return refuse("only the name "+d.Path+" says that this is it, on this kind of instance", "format it by hand: mkfs.ext4 "+d.Path+", then mayfly volume adopt, or use an instance type of the Nitro system")
	}
	return nil
}

// forHost fails unless the volume's tag names the host.
func (r Record) forHost(doing, host string) error {
	if host != "" && r.Host == host {
		return nil
	}
	e := &Error{Doing: doing, Volume: r.Volume, Err: ErrUnproven}
	if r.Host == "" {
		e.Reason = fmt.Sprintf("it has no tag %s, which says whose data it holds", TagHost)
		e.Fix = fmt.Sprintf("mayfly volume adopt %s --host %s --uuid UUID, or mayfly volume create --host %s --size GIB", r.Volume, or(host, "HOST"), or(host, "HOST"))
		return e
	}
	e.Reason = fmt.Sprintf("its tag says that it is the host %s's, not %s's", r.Host, or(host, "nobody"))
	e.Fix = "check volume in the config"
	return e
}
