//go:build e2e

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tag puts one on a volume.
func (s *station) tag(volume, key, value string) {
	s.t.Helper()
	s.m.aws("ec2", "create-tags", "--resources", volume, "--tags", "Key="+key+",Value="+value)
}

// TestStationStuck has EC2 do what it sometimes does to volumes: one is never
// attached, one never leaves the instance it was at, one is another's, one in
// another zone, of one the answer is lost, and one is not let go in the end.
// The others go on, the report tells each, what can be let go is, and the run
// ends in time.
func TestStationStuck(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	s := newStation(t, 32, "a", "attaching", "leaving", "held", "zone", "lost", "staying")
	src := filepath.Join(s.dir, "src")
	s.sh(`mkdir -p "$1"; echo x >"$1/x"`, src)
	volume := func(host string) string { return s.hosts[host].volume }
	other := s.m.instanceOf(t, "hosts")
	s.tag(volume("attaching"), "test:stuck", "attaching")
	s.tag(volume("leaving"), "test:stuck", "detaching")
	for _, host := range []string{"leaving", "held"} {
		s.m.aws("ec2", "attach-volume", "--volume-id", volume(host), "--instance-id", other, "--device", "/dev/sdf")
	}
	s.m.aws("ec2", "detach-volume", "--volume-id", volume("leaving"), "--instance-id", other)
	s.tag(volume("staying"), "test:stuck", "detaching")
	elsewhere := s.newVolumeIn(motoRegion+"b", "zone", 32)
	s.hosts["zone"].volume = elsewhere
	s.ebs.mu.Lock()
	s.ebs.lost = volume("lost")
	s.ebs.mu.Unlock()

	r := s.start("MAYFLY_PATIENCE=25s").open()
	good := []string{"a", "lost", "staying"}
	for _, host := range good {
		s.hosts[host].push("rsync", src, ".").ok(t)
	}
	for _, host := range []string{"attaching", "leaving", "held", "zone"} {
		s.hosts[host].push("rsync", src, ".").refused(t, "the volume of "+host+" cannot be used in this run")
	}
	for _, host := range good {
		s.hosts[host].done().ok(t)
	}
	closing := time.Now()
	if code := r.ends(); code != 3 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(closing); took > 75*time.Second {
		t.Errorf("it took %s to end", took)
	}
	has(t, "the report", r.out.String(), "7 hosts: 2 changed, 1 partial, 4 failed",
		"attach the volume of attaching", "it is still attaching, instance "+s.instance,
		"attach the volume of leaving", "it is still detaching, instance "+other, "aws ec2 detach-volume --volume-id "+volume("leaving"),
		"attach the volume of held", "the instance "+other+" has it",
		"attach the volume of zone", "it is in "+motoRegion+"b, and the instance "+s.instance+" in "+motoRegion+"a", "restore a snapshot of it to a volume in "+motoRegion+"a",
		"detach the volume of staying", "it is still detaching, instance "+s.instance, "it is not forced; the end of the instance detaches it")
	for host, want := range map[string]string{"a": "", "attaching": "", "lost": "", "zone": "", "leaving": other, "held": other, "staying": s.instance} {
		if st := s.ebs.state(volume(host)); st.attached != want {
			t.Errorf("the volume of %s is at %q, want %q", host, st.attached, want)
		}
	}
	has(t, "the report", r.out.String(), "never backed up: attaching, held, leaving, zone")
	for _, host := range good {
		if out := s.sh(`findmnt -rno SOURCE "/mnt/$1" || :`, host); out != "" {
			t.Errorf("still mounted for %s: %s", host, out)
		}
		s.hosts[host].whole(src)
	}
	if strings.Contains(r.out.String(), "of lost") {
		t.Errorf("a lost answer is a problem: %s", &r.out)
	}
}
