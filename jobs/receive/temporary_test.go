package receive

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/volume"
	"mayfly/runner"
)

// leftVolumes remembers what is deleted.
type leftVolumes struct {
	runner.Volumes // nothing else is called
	list           []runner.Volume
	gone           []string
	copying        error
}

func (v *leftVolumes) List(context.Context) ([]runner.Volume, error) { return v.list, nil }

func (v *leftVolumes) Copy(context.Context, string, runner.Self, map[string]string) (runner.Volume, error) {
	return runner.Volume{}, v.copying
}

func (v *leftVolumes) Detach(context.Context, string, runner.Self) error { return nil }

func (v *leftVolumes) Delete(_ context.Context, id string) error {
	v.gone = append(v.gone, id)
	return nil
}

func newTidyRun(v *leftVolumes) *run {
	rec := runner.NewRecorder(slog.New(slog.NewTextHandler(io.Discard, nil)), time.Now)
	return &run{job: &job{env: runner.Env{RunID: "now", Deployment: "hosts", Volumes: v}}, rec: rec, self: runner.Self{ID: "i-1"}}
}

// Only temporary volumes of other runs are deleted, which no other instance
// has, and none that has become a host's.
func TestClear(t *testing.T) {
	t.Parallel()
	left := func(id, instance string, more ...string) runner.Volume {
		v := runner.Volume{ID: id, Instance: instance, Tags: map[string]string{TagTemporary: "restore-1", TagOf: "a", tagRun: "before"}}
		for i := 0; i < len(more); i += 2 {
			v.Tags[more[i]] = more[i+1]
		}
		return v
	}
	hosts := runner.Volume{ID: "vol-host", Tags: map[string]string{volume.TagHost: "a"}}
	v := &leftVolumes{list: []runner.Volume{
		hosts, left("vol-left", ""), left("vol-adopted", "", volume.TagHost, "a", volume.TagAdopted, "x"), left("vol-others", "i-2"), left("vol-mine", "", tagRun, "now"),
	}}
	r := newTidyRun(v)
	r.clear(t.Context(), v.list)
	if !slices.Equal(v.gone, []string{"vol-left"}) {
		t.Errorf("deleted: %q", v.gone)
	}
	var said strings.Builder
	for _, w := range r.rec.Snapshot().Warnings {
		said.WriteString(w.String() + "\n")
	}
	if !strings.Contains(said.String(), "vol-left was left by the run before") || !strings.Contains(said.String(), "vol-others is still there: the instance i-2 has it") {
		t.Error(said.String())
	}
}

// A volume whose making has failed, and worked all the same, is found by its
// name and deleted.
func TestCopyFailed(t *testing.T) {
	t.Parallel()
	v := &leftVolumes{copying: errors.New("no answer"), list: []runner.Volume{
		{ID: "vol-made", Tags: map[string]string{TagTemporary: "restore-1"}}, {ID: "vol-other", Tags: map[string]string{TagTemporary: "restore-2"}},
	}}
	_, err := newTidyRun(v).copySnapshot(t.Context(), runner.Snapshot{ID: "snap-1"}, &host{name: "a"}, "restore-1")
	if err == nil || !strings.Contains(err.Error(), "no answer") || !slices.Equal(v.gone, []string{"vol-made"}) {
		t.Errorf("%v; deleted: %q", err, v.gone)
	}
}

// A comparison that ends is waited for, also when the time is up meanwhile; one
// that hangs in the kernel holds nobody up.
func TestAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, x := range map[string]struct {
			takes time.Duration
			want  int
		}{"in time": {time.Minute, 7}, "just not": {time.Hour + time.Second, 7}, "never": {100 * time.Hour, 0}} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			began := time.Now()
			got, err := answered(ctx, answerTime, func() (int, error) { time.Sleep(x.takes); return 7, nil })
			cancel()
			if got != x.want || (err == nil) != (x.want == 7) || time.Since(began) > time.Hour+answerTime {
				t.Errorf("%s: %d, %v after %s", name, got, err, time.Since(began))
			}
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		time.Sleep(200 * time.Hour) // until the last one has ended, too
	})
}

// brokenVolumes panics at a volume of one host.
type brokenVolumes struct{ leftVolumes }

func (v *brokenVolumes) Attach(_ context.Context, id string, _ runner.Self) (runner.Volume, error) {
	if id == "vol-b" {
		panic("a bug")
	}
	return runner.Volume{}, errors.New("there is none")
}

func (v *brokenVolumes) Detach(_ context.Context, id string, _ runner.Self) error {
	if id == "vol-b" {
		panic("a bug")
	}
	return nil
}

// A panic at one host's volume is that host's failure: the others are backed up,
// and nothing that it had done is called a success.
func TestPanicIsOneHosts(t *testing.T) {
	t.Parallel()
	v := &brokenVolumes{}
	r := newTidyRun(nil)
	r.job.config, r.job.env.Volumes = &Config{}, v
	r.restores = &restores{run: r}
	r.drills = &drills{run: r, stopped: t.Context()}
	r.door = newDoor(r.rec)
	for _, name := range []string{"a", "b"} {
		h := newHost(name, Host{}, r.rec.Start(name), func() {})
		h.volume.ID = "vol-" + name
		r.hosts = append(r.hosts, h)
	}
	r.attachAll(t.Context())
	if p := r.hosts[0].problem; p == nil || p.Reason != "there is none" {
		t.Errorf("%+v", p)
	}
	if p := r.hosts[1].problem; p == nil || p.Reason != "it panicked: a bug" {
		t.Errorf("%+v", p)
	}
	for _, h := range r.hosts { // whatever they had
		h.problem, h.good, h.transfers = nil, 1, 1
	}
	r.close(t.Context(), "every host has finished")
	for i, want := range []runner.Outcome{runner.Changed, runner.Failed} {
		if got := r.rec.Snapshot().Items[i]; got.Outcome != want {
			t.Errorf("%+v", got)
		}
	}
}
