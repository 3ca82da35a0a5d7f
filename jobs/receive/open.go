package receive

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mayfly/internal/jail"
	"mayfly/internal/volume"
	"mayfly/runner"
)

// assign finds a host's volume among the deployment's: the one that the config
// names, or the only one that is tagged for it.
func assign(list []runner.Volume, name, id string) (runner.Volume, *runner.Problem) {
	refuse := func(reason, fix string) (runner.Volume, *runner.Problem) {
		return runner.Volume{}, &runner.Problem{Item: name, Doing: "find the volume of", Reason: reason, Fix: fix}
	}
	var own []runner.Volume
	for _, v := range list {
		if id != "" && v.ID == id || id == "" && v.Tags[volume.TagHost] == name {
			own = append(own, v)
		}
	}
	switch {
	case len(own) == 0 && id != "":
		return refuse(fmt.Sprintf("%s is not one of the deployment's volumes", id), fmt.Sprintf("mayfly volume adopt %s --host %s makes it one; mayfly volume list shows them", id, name))
	case len(own) == 0:
		return refuse("there is none yet", "mayfly deploy creates it")
	case len(own) > 1:
		return refuse(fmt.Sprintf("%s and %s both have its name", own[0].ID, own[1].ID), "write in the config which one it is, volume: "+own[0].ID+"; mayfly volume list shows them")
	case own[0].Tags[volume.TagHost] != name:
		owner := own[0].Tags[volume.TagHost]
		if owner == "" {
			return refuse(fmt.Sprintf("%s has no tag that says whose it is", id), fmt.Sprintf("mayfly volume adopt %s --host %s", id, name))
		}
		return refuse(fmt.Sprintf("%s is the volume of the host %s, by its tag", id, owner), "mayfly volume list shows whose is whose")
	}
	return own[0], nil
}

// open attaches a host's volume and makes it ready. After a problem it is not
// mounted; whether it may be attached, h knows.
func (r *run) open(ctx context.Context, h *host) *runner.Problem {
	if h.spec.AppendOnly {
		if err := jail.CanAppendOnly(); err != nil {
			return &runner.Problem{Item: h.name, Doing: "keep what is there of", Reason: err.Error(), Fix: "take a newer image, or remove append_only"}
		}
	}
	// A request whose answer was lost leaves it attached, too. Detaching leaves
	// alone what another instance has.
	h.attached = true
	actx, cancel := context.WithTimeout(ctx, r.patience(attachTime))
	v, err := r.env.Volumes.Attach(actx, h.volume.ID, r.self)
	cancel()
	if err != nil {
		return problem(h.name, "attach the volume of", err)
	}
	h.volume = v
	plan := volume.Plan{
		Host: h.name, Record: volume.RecordOf(v.ID, v.From, v.Tags, v.Asked), Name: v.Device, Point: r.point(h.name),
		Mark: func(ctx context.Context, tag, value string) error { return r.env.Volumes.Mark(ctx, v.ID, tag, value) },
	}
	m, err := r.system.Open(ctx, plan)
	if err != nil {
		return problem(h.name, "open the volume of", err)
	}
	h.mounted = m
	notes := slices.Clone(m.Notes)
	if m.Formatted {
		notes = append(notes, fmt.Sprintf("%s was blank; it has an ext4 file system now", v.ID))
	}
	if m.Repaired {
		notes = append(notes, fmt.Sprintf("the file system of %s was repaired", v.ID))
	}
	if m.Grown > 0 {
		notes = append(notes, fmt.Sprintf("the file system of %s was enlarged by %s", v.ID, runner.FormatSize(m.Grown)))
	}
	for _, n := range notes {
		r.rec.Warn(runner.Problem{Item: h.name, Reason: n})
	}
	return nil
}

// problem puts an error into the report's form.
func problem(host, doing string, err error) *runner.Problem {
	p := &runner.Problem{Item: host, Doing: doing, Reason: err.Error()}
	if e, ok := errors.AsType[*volume.Error](err); ok {
		p.Reason, p.Fix = e.Volume+": "+e.Reason, e.Fix
	}
	return p
}
