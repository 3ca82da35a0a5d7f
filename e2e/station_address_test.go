//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A signpost is every way in which hosts find a station's instance.
type signpost struct {
	*station
	zone, allocation, ip string

	mu    sync.Mutex
	calls []string // of the dynamic DNS service
}

// newSignpost makes one in front of a host a.
func newSignpost(t *testing.T) *signpost {
	t.Helper()
	p := &signpost{}
	dyn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.calls = append(p.calls, r.URL.String())
		fmt.Fprintln(w, "good")
	}))
	t.Cleanup(dyn.Close)
	p.station = newStationOf(t, 32, func(s *station) {
		var zone struct{ HostedZone struct{ Id string } }
		s.m.answer(&zone, "route53", "create-hosted-zone", "--name", "example.com", "--caller-reference", "x")
		p.zone = filepath.Base(zone.HostedZone.Id)
		var ip struct{ AllocationId, PublicIp string }
		s.m.answer(&ip, "ec2", "allocate-address", "--domain", "vpc")
		p.allocation, p.ip = ip.AllocationId, ip.PublicIp
		for name, path := range map[string]string{"/hosts/dyn": "/set?ip={ip}", "/hosts/undyn": "/unset?ip={ip}"} {
			file := filepath.Join(s.dir, "url") // since the command would ask an address for the value
			if err := os.WriteFile(file, []byte(dyn.URL+path), 0o600); err != nil {
				t.Fatal(err)
			}
			s.m.aws("ssm", "put-parameter", "--name", name, "--type", "SecureString", "--value", "file://"+file)
		}
		s.address = fmt.Sprintf("{elastic_ip: %s, route53: {zone: %s, name: backup.example.com}, url: \"ssm:/hosts/dyn\", remove_url: \"ssm:/hosts/undyn\", parameter: /hosts/address, store: true}",
			p.allocation, p.zone)
	}, "a")
	return p
}

// holder is the instance that has the Elastic IP.
func (p *signpost) holder() string {
	p.t.Helper()
	var out struct {
		Addresses []struct{ InstanceId, AssociationId string }
	}
	p.m.answer(&out, "ec2", "describe-addresses", "--allocation-ids", p.allocation)
	return out.Addresses[0].InstanceId
}

// terminated has the instance's end give the address back, as it does at AWS.
func (p *signpost) terminated() {
	p.t.Helper()
	var out struct {
		Addresses []struct{ AssociationId string }
	}
	p.m.answer(&out, "ec2", "describe-addresses", "--allocation-ids", p.allocation)
	if id := out.Addresses[0].AssociationId; id != "" {
		p.m.aws("ec2", "disassociate-address", "--association-id", id)
	}
}

// record is what the name leads to; "" nothing.
func (p *signpost) record() string {
	p.t.Helper()
	var out struct {
		ResourceRecordSets []struct {
			Name, Type      string
			ResourceRecords []struct{ Value string }
		}
	}
	p.m.answer(&out, "route53", "list-resource-record-sets", "--hosted-zone-id", p.zone)
	for _, s := range out.ResourceRecordSets {
		if s.Type == "A" && strings.HasPrefix(s.Name, "backup.example.com") {
			return s.ResourceRecords[0].Value
		}
	}
	return ""
}

type whereabouts struct{ State, Run, Host string }

// parameter is what hosts with credentials read.
func (p *signpost) parameter() (w whereabouts) {
	p.t.Helper()
	var out struct{ Parameter struct{ Value string } }
	p.m.answer(&out, "ssm", "get-parameter", "--name", "/hosts/address")
	if err := json.Unmarshal([]byte(out.Parameter.Value), &w); err != nil {
		p.t.Fatal(err)
	}
	return w
}

func (p *signpost) file() (w whereabouts) {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.m.world.storeDir(), "servers", "address.json"))
	if err == nil {
		err = json.Unmarshal(b, &w)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return w
}

// called are the calls of the dynamic DNS service since the last look.
func (p *signpost) called() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.calls
	p.calls = nil
	return list
}

// leads finds every way to lead to the Elastic IP.
func (p *signpost) leads() {
	p.t.Helper()
	if at := p.holder(); at != p.instance {
		p.t.Errorf("the Elastic IP is at %q, not at %s", at, p.instance)
	}
	if r := p.record(); r != p.ip {
		p.t.Errorf("the record leads to %q, not to %s", r, p.ip)
	}
	for what, w := range map[string]whereabouts{"parameter": p.parameter(), "file": p.file()} {
		if w.State != "open" || w.Host != "backup.example.com" {
			p.t.Errorf("the %s: %+v", what, w)
		}
	}
	if calls := p.called(); !slices.Equal(calls, []string{"/set?ip=" + p.ip}) {
		p.t.Errorf("the dynamic DNS service was called: %q", calls)
	}
}

// withdrawn finds every way but the Elastic IP to lead nowhere.
func (p *signpost) withdrawn(call string) {
	p.t.Helper()
	if r := p.record(); r != "" {
		p.t.Errorf("the record leads to %q", r)
	}
	for what, w := range map[string]whereabouts{"parameter": p.parameter(), "file": p.file()} {
		if w.State != "closed" || w.Host != "" {
			p.t.Errorf("the %s: %+v", what, w)
		}
	}
	if calls := p.called(); !slices.Equal(calls, []string{call}) {
		p.t.Errorf("the dynamic DNS service was called: %q", calls)
	}
}

// killed kills a run whose window is open, and the instance with it.
func (p *signpost) killed(r *stationRun) {
	p.t.Helper()
	_ = r.cmd.Process.Kill()
	<-r.over
	volume := p.hosts["a"].volume
	p.sh(`umount -l /mnt/a`)
	p.m.aws("ec2", "terminate-instances", "--instance-ids", p.instance)
	if p.ebs.state(volume).attached != "" {
		p.m.aws("ec2", "detach-volume", "--volume-id", volume, "--instance-id", p.instance)
	}
	p.ebs.mu.Lock()
	p.ebs.detach(volume)
	p.ebs.mu.Unlock()
	p.newInstance()
	if err := os.Remove(filepath.Join(p.m.world.storeDir(), "runs", "lock.json")); err != nil { // it would be stale in 90 s
		p.t.Fatal(err)
	}
}

// TestStationAddress has hosts find the instance in every way there is: set
// when the window opens, and taken back when it closes; and by the next run when
// a run was killed, whether its window opens or not.
func TestStationAddress(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	p := newSignpost(t)
	a := p.hosts["a"]
	src := filepath.Join(a.dir, "src")
	p.sh(`mkdir -p "$1"; echo x >"$1/x"`, src)

	r := p.start().open()
	p.leads()
	a.push("rsync", src, ".").ok(t)
	p.ebs.mu.Lock()
	p.ebs.heard = nil
	p.ebs.mu.Unlock()
	a.done().ok(t)
	if code := r.ends(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	has(t, "the report", r.out.String(), "hosts complete.", "snapshot snap-")
	p.withdrawn("/unset?ip=" + p.ip)
	if at := p.holder(); at != "" {
		t.Errorf("the Elastic IP is still at %s", at)
	}
	// Without its address the instance may reach nothing: it goes last.
	p.ebs.mu.Lock()
	heard := slices.Clone(p.ebs.heard)
	p.ebs.mu.Unlock()
	if n := slices.Index(heard, "DisassociateAddress"); n < 0 || n != len(heard)-1 || !slices.Contains(heard, "CreateSnapshot") || !slices.Contains(heard, "DetachVolume") {
		t.Errorf("asked in the end: %q", heard)
	}
	p.free()

	// Killed; and the next one's volume is at another instance.
	p.newInstance()
	r = p.start().open()
	p.leads()
	p.killed(r)
	if p.record() != p.ip || p.parameter().State != "open" || p.file().State != "open" {
		t.Error("a run that was killed has taken back what it told")
	}
	p.terminated()
	other := p.m.instanceOf(t, "other")
	p.m.aws("ec2", "attach-volume", "--volume-id", a.volume, "--instance-id", other, "--device", "/dev/sdf")
	r = p.start()
	if code := r.ends(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	has(t, "the report", r.out.String(), "the instance "+other+" has it")
	p.withdrawn("/unset?ip=10.0.0.10") // of the instance that took it back: the file has the name
	p.m.aws("ec2", "detach-volume", "--volume-id", a.volume, "--instance-id", other)

	// Killed again; and the next one opens while the killed one's instance, on
	// its way out, still has the address.
	p.newInstance()
	r = p.start().open()
	p.leads()
	p.killed(r)
	go func() {
		time.Sleep(4 * time.Second)
		p.terminated()
	}()
	r = p.start().open()
	p.leads()
	a.push("rsync", src, ".").ok(t)
	a.done().ok(t)
	if code := r.ends(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p.withdrawn("/unset?ip=" + p.ip)
	p.free()
}
