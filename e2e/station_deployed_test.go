//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mayfly/internal/imdstest"
)

// A deployed is a deployment that mayfly deploy has made for hosts in networks
// of their own, at an AWS that checks what each may do. Its instances boot
// where the hosts reach them.
type deployed struct {
	*laptop
	s      *station
	policy map[string]string // credentials of hosts that have some
	number string            // the port of AWS, as hosts reach it
}

// publicAddress is what the instances have.
const publicAddress = "203.0.113.5"

// newDeployed deploys the config that the job's lines are put into, with a host
// of 1 GiB each.
func newDeployed(l *laptop, job string, hosts ...string) *deployed {
	t := l.t
	t.Helper()
	s := &station{t: t, m: l.moto, dir: l.world.dir, hosts: map[string]*far{}}
	d := &deployed{laptop: l, s: s}
	s.ebs = newEBS(t, l.moto, filepath.Join(s.dir, "ebs"))
	var err error
	if s.imds, err = imdstest.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.imds.Close() })
	s.sh(`ip addr add "$1/32" dev lo`, publicAddress)
	var list []string
	for i, name := range hosts {
		f := s.network(name, i+1)
		s.sh(`ip -n "$1" route add default via "$2"`, f.ns, f.server)
		public, err := os.ReadFile(f.key + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s: {size: 1, keys: [%q]}", name, strings.TrimSpace(string(public))))
	}
	s.deployed = l.deployment("hosts", fmt.Sprintf("jobs: [{name: hosts, receive: {listen: {port: %d, from: [10.77.0.0/16]}, %s, hosts: {%s}}}]", stationPort, job, strings.Join(list, ", ")))
	if r := l.do("deploy", "--yes", "-c", s.deployed, "--binaries", l.binaries); r.code != 0 {
		t.Fatalf("deploy: %s", r)
	}
	for name, v := range l.hostVolumes("hosts") {
		s.hosts[name].volume = v[0].ID
	}
	_, public := l.parameter("/hosts/host-key.pub")
	if err := os.WriteFile(filepath.Join(s.dir, "host-key.pub"), []byte(public+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.known = filepath.Join(s.dir, "known_hosts")
	if err := os.WriteFile(s.known, []byte("backup "+public+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.policy = l.user("host", pushPolicy(t))
	u, err := url.Parse(l.proxy)
	if err != nil {
		t.Fatal(err)
	}
	_, d.number, _ = strings.Cut(cutterAt(t, publicAddress+":0", u.Port(), func() int64 { return -1 }), ":")
	return d
}

// credentials is a command line that gives a host those of AWS.
func (d *deployed) credentials() []string {
	env := d.env("http://"+publicAddress+":"+d.number, d.policy)
	argv := []string{"env"}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		if k != "PATH" && k != "HOME" {
			argv = append(argv, k+"="+env[k])
		}
	}
	return argv
}

// boot waits for an instance, and does there what user data does.
func (d *deployed) boot() *stationRun {
	d.t.Helper()
	eventuallyTrue(d.t, time.Minute, "the group has an instance", func() bool { return len(d.group("hosts").Instances) == 1 })
	d.s.instance, d.s.role = d.assumed("hosts", d.s.deployed)
	var zone struct {
		Reservations []struct {
			Instances []struct {
				Placement struct{ AvailabilityZone string }
			}
		}
	}
	d.answer(&zone, "ec2", "describe-instances", "--instance-ids", d.s.instance)
	d.s.imds.Change(func(st *imdstest.State) {
		st.ID, st.Zone, st.IPv4 = d.s.instance, zone.Reservations[0].Instances[0].Placement.AvailabilityZone, publicAddress
	})
	return d.s.start()
}

// opened waits until a run's window is open.
func (d *deployed) opened(r *stationRun) {
	d.t.Helper()
	eventuallyTrue(d.t, 2*time.Minute, "the window opens", func() bool {
		select {
		case <-r.over:
			d.t.Fatal("the run ended before the window opened")
		default:
		}
		return strings.Contains(r.err.String(), "the window is open")
	})
}

// ends waits for a run's end, and ends its instance. It returns the exit code.
func (d *deployed) ends(r *stationRun) int {
	d.t.Helper()
	code := r.ends()
	d.leaves("hosts", d.s.instance, d.s.role)
	d.s.free()
	return code
}

// A background is a command of a host that goes on.
type background struct {
	f    *far
	argv []string
	out  transcript
	over chan struct{}
	code int
}

func (f *far) start(argv ...string) *background {
	f.s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	b := &background{f: f, argv: argv, over: make(chan struct{})}
	c := f.command(ctx, argv...)
	c.Stdout, c.Stderr = &b.out, &b.out
	if err := c.Start(); err != nil {
		cancel()
		f.s.t.Fatal(err)
	}
	go func() {
		defer cancel()
		_ = c.Wait()
		b.code = c.ProcessState.ExitCode()
		close(b.over)
	}()
	f.s.t.Cleanup(func() { cancel(); <-b.over })
	return b
}

func (b *background) wait() said {
	<-b.over
	return said{b.argv, b.out.String(), b.code}
}
