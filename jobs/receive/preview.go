package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"mayfly/internal/volume"
	"mayfly/runner"
)

// Preview says what would be opened for whom, and asks AWS what there is.
func (j *job) Preview(ctx context.Context, out io.Writer) error {
	if j.env.Volumes == nil {
		return errors.New("AWS cannot be asked: no region or credentials are known")
	}
	volumes, err := j.env.Volumes.List(ctx)
	if err != nil {
		return err
	}
	snapshots, err := j.env.Volumes.Snapshots(ctx)
	if err != nil {
		return err
	}
	c := j.config
	fmt.Fprintf(out, "would listen on port %d for %s, open to %s\n", c.Listen.Port, time.Duration(c.Window), strings.Join(c.Listen.ranges(), ", "))
	fmt.Fprintf(out, "found by %s; host key %s\n", c.Address.words(), ssh.FingerprintSHA256(j.hostKey.PublicKey()))
	missing := 0
	for _, name := range c.names() {
		h := c.Hosts[name]
		v, p := assign(volumes, name, h.Volume)
		if p != nil {
			missing++
			fmt.Fprintf(out, "! %s: %s: %s\n", name, p.Reason, p.Fix)
			continue
		}
		own := ofHost(snapshots, name)
		last := "no good snapshot"
		if s := newestGood(own); s.ID != "" {
			last = fmt.Sprintf("last good snapshot %s, %s old", s.ID, runner.FormatDuration(time.Since(s.Began)))
		}
		fmt.Fprintf(out, "%s: would mount %s (%d GiB, %s, %s) at %s; %s\n", name, v.ID, v.GiB, v.State, content(v), j.point(name), last)
		for _, s := range expired(own, c.Keep, j.env.Start) {
			fmt.Fprintf(out, "%s: after a complete push, would delete the snapshot %s of %s\n", name, s.ID, s.Began.UTC().Format("2 Jan 2006 15:04 MST"))
		}
	}
	fmt.Fprintf(out, "%s, %d without a volume\n", runner.FormatCount(len(c.Hosts), "hosts"), missing)
	return nil
}

// content says what is on a volume, by its tags.
func content(v runner.Volume) string {
	switch {
	case v.Tags[volume.TagAdopted] != "":
		return "adopted"
	case v.Tags[volume.TagFormatted] != "":
		return "formatted"
	case v.Tags[volume.TagFormatting] != "":
		return "its formatting was cut off"
	}
	return "would be formatted, if it is blank"
}

// Restore says how a host's files are got back.
func (j *job) Restore(runner.JobReport) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.taken) == 0 {
		return ""
	}
	return fmt.Sprintf("mayfly restore %s/%s", j.env.Prefix, j.taken[0])
}
