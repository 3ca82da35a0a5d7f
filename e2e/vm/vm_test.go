//go:build e2evm

package vm

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/awstest"
	"mayfly/internal/imdstest"
)

const (
	deadline = 5 * time.Minute
	// Power-off begins by the deadline, and the machine is off this much later.
	offWithin = 2 * time.Minute
	// An emulated machine on a busy host may need this long until it arms the
	// deadline.
	bootTime = 3 * time.Minute
)

// A scenario is one life of a machine.
type scenario struct {
	program []byte // stands in for mayfly; nil: mayfly
	config  string // stands in for the config; "": the deployment's
	jobs    string // more of them, for the deployment's config
	// The group's ReplaceUnhealthy process is suspended, as it should be. In all
	// other scenarios it is not: leaving the group has to be enough.
	suspended bool
	before    func(w *world)             // before the machine is started
	early     func(w *world, m *machine) // from then on
	middle    func(w *world, m *machine) // when the run is in its middle, which it stays in
	reboots   int
	// Each of them is in the published messages, the report or the console.
	says []string
	// subjects are parts of the published messages' subjects, in their order.
	subjects []string
	stays    bool // the group cannot be left
	late     bool // only the deadline ends it
	plain    bool // the user data is not packed: as one puts it in by hand
	mute     bool // it is for a machine that hosts push to
}

// live lets one machine live and looks at what is left.
func (sc scenario) live(t *testing.T) (*world, *machine) {
	t.Helper()
	w := newWorld(t)
	g := awstest.Group{Name: group, Max: 1, Desired: 1, Instances: []string{instance}}
	if sc.suspended {
		g.Suspended = []string{"ReplaceUnhealthy", "AZRebalance"}
	}
	w.aws.AddGroup(g)
	if sc.middle != nil {
		w.stall()
	}
	sc.prepare(w)
	if sc.before != nil {
		sc.before(w)
	}
	reset := "shutdown"
	if sc.reboots > 0 {
		reset = "reset"
	}
	m := boot(t, instance, reset, "test.agent="+w.agent.url)
	if sc.early != nil {
		go sc.early(w, m)
	}
	if sc.middle != nil {
		go func() {
			select {
			case <-w.middle:
				sc.middle(w, m)
			case <-m.over:
			}
		}()
	}
	off := m.waitOff(t, bootTime+deadline+offWithin)
	w.aws.InstanceGone(instance)
	sc.check(w, m, off)
	return w, m
}

// prepare does what a person does once: user data, the binary and the config.
// Stand-ins take the places of binary and config in bucket and user data.
func (sc scenario) prepare(w *world) {
	w.t.Helper()
	data := w.mayfly(w.config(deadline)+sc.jobs, "userdata", "--upload")
	if sc.program != nil {
		data = w.standIn(data, "deep/admin/mayfly-", "-linux-amd64", sc.program)
	}
	if sc.config != "" {
		data = w.standIn(data, "deep/admin/config-", ".yaml", []byte(sc.config))
	}
	if sc.mute {
		data = muted(w.t, data)
	}
	if !sc.plain {
		data = packed(w.t, data)
	}
	w.imds.Change(func(s *imdstest.State) { s.UserData = data })
}

// packed is user data as a deployed template has it; by hand it is plain.
func packed(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// standIn replaces the object that user data names by its sum.
func (w *world) standIn(data []byte, prefix, suffix string, content []byte) []byte {
	w.t.Helper()
	key, _ := w.object(prefix, suffix)
	if key == "" {
		w.t.Fatalf("mayfly userdata --upload wrote no %s…%s", prefix, suffix)
	}
	old := strings.TrimSuffix(strings.TrimPrefix(key, prefix), suffix)
	sum := fmt.Sprintf("%x", sha256.Sum256(content))
	w.put(prefix+sum+suffix, content)
	changed := bytes.ReplaceAll(data, []byte(old), []byte(sum))
	if bytes.Equal(changed, data) {
		w.t.Fatalf("user data does not name the sum %s", old)
	}
	return changed
}

// checkTimes checks when power-off began and when the machine was off. Times
// count from when systemd says that the deadline is armed.
func (sc scenario) checkTimes(w *world, m *machine, off time.Time) {
	w.t.Helper()
	armed := m.said("mayfly-deadline.ti")
	if armed.IsZero() {
		w.t.Error("the deadline was never armed")
		return
	}
	began := m.ending(sc.reboots)
	w.t.Logf("armed %.0f s after power-on; power-off began %.0f s and was over %.0f s after that",
		armed.Sub(m.began).Seconds(), began.Sub(armed).Seconds(), off.Sub(armed).Seconds())
	const slack = 5 * time.Second // of the console
	switch {
	case began.IsZero():
		w.t.Error("the console does not say when power-off began")
	case began.Sub(armed) > deadline+slack:
		w.t.Error("power-off began later than the deadline")
	case !sc.late && began.Sub(armed) > deadline-slack:
		w.t.Error("nothing but the deadline ended the machine")
	}
	if off.Sub(armed) > deadline+offWithin {
		w.t.Errorf("the machine was off later than %s after the deadline", offWithin)
	}
}

func (sc scenario) check(w *world, m *machine, off time.Time) {
	t := w.t
	t.Helper()
	sc.checkTimes(w, m, off)
	if n := strings.Count(m.text(), kernelStarts); n != sc.reboots+1 {
		t.Errorf("the machine was booted %d times, want %d", n, sc.reboots+1)
	}
	if sc.middle != nil {
		select {
		case <-w.middle:
		default:
			t.Error("the run never came to its middle")
		}
	}
	g := w.aws.Group(group)
	if g.Relaunched != 0 {
		t.Errorf("the group launched %d machines in place of this one", g.Relaunched)
	}
	if left := slices.Contains(g.Left, instance); left == sc.stays {
		t.Errorf("the machine left the group: %t", left)
	}
	said := m.text()
	messages := w.aws.Messages()
	for _, msg := range messages {
		t.Logf("published: %s\n%s", msg.Subject, msg.Body)
		said += msg.Subject + "\n" + msg.Body
	}
	_, report := w.object("deep/runs/", "/report.txt")
	said += string(report)
	for _, s := range sc.says {
		if !strings.Contains(said, s) {
			t.Errorf("neither message, report nor console says %q", s)
		}
	}
	if len(messages) != len(sc.subjects) {
		t.Errorf("%d messages were published, want %q", len(messages), sc.subjects)
	}
	for i, msg := range messages[:min(len(messages), len(sc.subjects))] {
		if !strings.Contains(msg.Subject, sc.subjects[i]) {
			t.Errorf("message %d is %q, want %q in it", i+1, msg.Subject, sc.subjects[i])
		}
	}
	for _, secret := range []string{token, awstest.SecretKey} {
		if strings.Contains(said, secret) {
			t.Error("a secret is in messages, report or console")
		}
	}
}
