package receive

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"mayfly/internal/jail"
	"mayfly/internal/sshd"
	"mayfly/internal/volume"
	"mayfly/runner"
)

// A job is one run of a Config.
type job struct {
	config  *Config
	env     runner.Env
	hostKey ssh.Signer
	system  volume.System

	mu    sync.Mutex
	taken []string     // snapshots of this run, each as mayfly restore takes it
	holds *runner.Self // may have the Elastic IP; nil: nobody here has
}

// What the environment may say where a test stands in for an instance: a
// directory of links named after volumes instead of the kernel's tables, where
// volumes are mounted instead of /mnt, and how long one may take at most to be
// attached or detached.
const (
	envDevices  = "MAYFLY_DEVICES"
	envMounts   = "MAYFLY_MOUNTS"
	envPatience = "MAYFLY_PATIENCE"
)

// patience is limit, or what the environment says.
func (j *job) patience(limit time.Duration) time.Duration {
	if j.env.Getenv == nil {
		return limit
	}
	if d, err := time.ParseDuration(j.env.Getenv(envPatience)); err == nil && d > 0 {
		return min(d, limit)
	}
	return limit
}

func system(env runner.Env) volume.System {
	s := volume.System{Finder: volume.Sysfs{}}
	if env.Getenv == nil {
		return s
	}
	if dir := env.Getenv(envDevices); dir != "" {
		s.Finder = volume.Links{Dir: dir}
	}
	return s
}

// point is where a host's volume is mounted.
func (j *job) point(host string) string {
	root := "/mnt"
	if j.env.Getenv != nil && j.env.Getenv(envMounts) != "" {
		root = j.env.Getenv(envMounts)
	}
	return filepath.Join(root, host)
}

// Unit is what an item of this job is.
func (j *job) Unit() string { return "hosts" }

// StopTime is how long the job needs from its context's end: to end sessions so
// that partial files stay, to write volumes back, snapshot and detach them.
func (j *job) StopTime() time.Duration { return stopTime }

const (
	stopTime = 75 * time.Second
	// openTime is for one volume: attaching it, checking and mounting it.
	// attachTime is for the first of that: the window of all opens after it,
	// and what a run has around the window is not to be spent on one volume.
	openTime   = 15 * time.Minute
	attachTime = 4 * time.Minute
	// askTime is for what is asked of AWS and metadata before.
	askTime = 2 * time.Minute
)

// A run is one Run of a job.
type run struct {
	*job
	rec     *runner.Recorder
	self    runner.Self
	hosts   []*host
	byName  map[string]*host
	door    *door
	changed chan struct{} // something happened at a host
	opened  time.Time
	errs    []error
	list    []netip.Addr // by which the instance is reached now

	restores *restores
	drills   *drills
}

// Run implements runner.Job.
func (j *job) Run(ctx context.Context, rec *runner.Recorder) error {
	r := &run{job: j, rec: rec, byName: map[string]*host{}, changed: make(chan struct{}, 1), door: newDoor(rec)}
	r.system.Log = rec.Log()
	r.restores = &restores{run: r, list: map[string]*restore{}, stop: make(chan struct{})}
	defer func() {
		if r.opened.IsZero() {
			r.withdrawOld(ctx)
		}
	}()
	if err := r.ready(ctx); err != nil {
		return err
	}
	if err := r.survey(ctx); err != nil {
		return err
	}
	rec.Expect(len(r.hosts))
	r.attachAll(ctx)
	why := r.receive(ctx)
	r.drills = r.newDrills(ctx)
	var all sync.WaitGroup
	all.Go(func() { r.restores.finish(why) })
	r.close(ctx, why)
	all.Wait()
	return errors.Join(r.errs...)
}

// ready looks whether this machine can receive at all.
func (r *run) ready(ctx context.Context) error {
	if r.env.Volumes == nil || r.env.Addresses == nil {
		return errors.New("hosts are received on an EC2 instance only: mayfly deploy, and mayfly start for a run now")
	}
	if err := jail.Check(); err != nil {
		return fmt.Errorf("hosts are received in jails, and there can be none here: %w", err)
	}
	rsync, err := sshd.CheckRsync(ctx, "")
	if err != nil {
		return err
	}
	if rsync.Warning != "" {
		r.rec.Warn(runner.Problem{Reason: rsync.Warning})
	}
	return nil
}

// survey finds out where this is, and what AWS has of each host's.
func (r *run) survey(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var err error
	if r.self, err = r.env.Volumes.Self(ctx); err != nil {
		return err
	}
	volumes, err := r.env.Volumes.List(ctx)
	if err != nil {
		return err
	}
	snapshots, err := r.env.Volumes.Snapshots(ctx)
	if err != nil {
		return err
	}
	r.clear(ctx, volumes)
	for _, name := range r.config.names() {
		h := newHost(name, r.config.Hosts[name], r.rec.Start(name), r.wake)
		h.volume, h.problem = assign(volumes, name, h.spec.Volume)
		h.snapshots = ofHost(snapshots, name)
		h.item.LastGood(newestGood(h.snapshots).Began)
		r.hosts = append(r.hosts, h)
		r.byName[name] = h
	}
	return nil
}

// wake has the waiting look again.
func (r *run) wake() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// attachAll gets every volume that can be had, each by itself.
func (r *run) attachAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	var all sync.WaitGroup
	for _, h := range r.hosts {
		if h.problem == nil {
			all.Go(func() {
				defer func() {
					if p := r.broke(h, recover()); p != nil {
						h.problem = p
					}
				}()
				h.problem = r.open(ctx, h)
			})
		}
	}
	all.Wait()
	for _, h := range r.hosts {
		if h.problem != nil {
			r.rec.Log().Error(h.problem.String(), runner.KeyItem, h.name)
		}
	}
}

// broke is what to say of a panic, nil of none: it is the problem of the host at
// whose volume the code was, and of no other.
func (r *run) broke(h *host, p any) *runner.Problem {
	if p == nil {
		return nil
	}
	said := fmt.Sprint(p)
	if r.env.Redact != nil {
		said = r.env.Redact(said)
	}
	r.rec.Log().Error("panic", runner.KeyItem, h.name, runner.KeyErr, said, runner.KeyStack, string(debug.Stack()))
	return &runner.Problem{Item: h.name, Doing: "back up", Reason: "it panicked: " + said, Fix: "this is a bug in mayfly: please report it"}
}

// receive opens the window, and returns why it closed.
func (r *run) receive(ctx context.Context) (why string) {
	usable := 0
	for _, h := range r.hosts {
		if h.problem == nil {
			usable++
		}
	}
	if ctx.Err() != nil {
		return stopped + ": " + context.Cause(ctx).Error()
	}
	if usable == 0 && !r.pending(ctx) {
		return "no volume can be used"
	}
	server, err := sshd.New(r.serverConfig())
	if err != nil {
		r.errs = append(r.errs, err)
		return "there is no server"
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf(":%d", r.config.Listen.Port))
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("listen on port %d: %w: is another server on this machine?", r.config.Listen.Port, err))
		return "there is no server"
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	r.opened = time.Now()
	until := r.opened.Add(time.Duration(r.config.Window))
	told, where := r.announce(ctx, until)
	r.restores.serve(ctx, server, r.list, until)
	why = r.wait(ctx, until, served)
	r.rec.Log().Info("the window closes: " + why)
	var all sync.WaitGroup
	all.Go(func() { r.withdraw(ctx, told, where) })
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*graceTime)
	defer cancel()
	if err := server.Shutdown(sctx, why); err != nil {
		r.errs = append(r.errs, err)
	}
	all.Wait()
	return why
}

// serverConfig is the server's; a host whose volume cannot be used may log in
// and is told.
func (r *run) serverConfig() sshd.Config {
	c := sshd.Config{HostKey: r.hostKey, Observer: r, Limits: sshd.Limits{Grace: graceTime}}
	for _, h := range r.hosts {
		one := sshd.Host{Name: h.name, Dir: r.point(h.name), Pull: h.spec.Pull, AppendOnly: h.spec.AppendOnly}
		for _, k := range h.spec.Keys {
			one.Keys = append(one.Keys, k.PublicKey)
		}
		if h.problem != nil {
			one.Closed = "the volume of " + h.name + " cannot be used in this run; the report says why"
		}
		c.Hosts = append(c.Hosts, one)
	}
	return c
}

// graceTime is between SIGTERM and SIGKILL of a session.
const graceTime = 10 * time.Second

// wait waits until every host has finished, the window is over, or ctx.
func (r *run) wait(ctx context.Context, until time.Time, served <-chan error) (why string) {
	window := time.NewTimer(time.Until(until))
	defer window.Stop()
	defer r.rec.Wait("", time.Time{})
	look := time.NewTicker(max(min(r.config.idle()/8, 15*time.Second), 10*time.Millisecond))
	defer look.Stop()
	for {
		restoring, alone := r.restores.active()
		waiting := r.waitingFor(alone)
		if restoring {
			waiting = append(waiting, "who gets files back")
		}
		if len(waiting) == 0 {
			return "every host has finished"
		}
		r.rec.Wait("for "+strings.Join(waiting, ", "), until)
		select {
		case <-ctx.Done():
			return stopped + ": " + context.Cause(ctx).Error()
		case <-window.C:
			return "the window is over"
		case err := <-served:
			r.errs = append(r.errs, fmt.Errorf("the server ended: %w", err))
			return "the server ended"
		case <-look.C:
		case <-r.changed:
		}
	}
}

// waitingFor names the hosts that have not finished; in a run that is for a
// restore alone, of those that have come.
func (r *run) waitingFor(alone bool) []string {
	var list []string
	for _, h := range r.hosts {
		if alone && !h.seen() {
			continue
		}
		if h.problem == nil && !h.finished(time.Now(), r.config.idle()) {
			list = append(list, h.name)
		}
	}
	return list
}
