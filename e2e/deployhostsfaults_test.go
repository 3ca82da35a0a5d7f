//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// TestDeployHostsRefused gives deploy hosts whose volumes cannot be theirs.
func TestDeployHostsRefused(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.aws("sns", "create-topic", "--name", "unrelated")
	create := func(zone string, tags ...string) string {
		var made struct{ VolumeId string }
		args := []string{"ec2", "create-volume", "--availability-zone", motoRegion + zone, "--size", "8", "--encrypted"}
		if len(tags) > 0 {
			args = append(args, "--tag-specifications", "ResourceType=volume,Tags=[{Key=mayfly:deployment,Value="+tags[0]+"},{Key=mayfly:host,Value="+tags[1]+"}]")
		}
		l.answer(&made, args...)
		return made.VolumeId
	}
	untagged, others := create("a"), create("a", "elsewhere", "web")
	first, second := create("a", "twice", "web"), create("a", "twice", "web")
	farWeb, farDB := create("a", "far", "web"), create("b", "far", "db")
	inA := create("a", "subnet", "web")
	renamed := create("a", "renamed", "www")
	subnet := strings.TrimSpace(string(l.aws("ec2", "describe-subnets", "--filters", "Name=availability-zone,Values="+motoRegion+"b", "--query", "Subnets[0].SubnetId", "--output", "text")))
	both := `{web: {size: 8, keys: ["KEY1"]}, db: {size: 8, keys: ["KEY2"]}}`
	one := `{web: {volume: %s, keys: ["KEY1"]}}`
	for _, c := range []struct {
		name, hosts string
		lines       []string
		says        []string
	}{
		{"nothere", fmt.Sprintf(one, "vol-0123456789abcdef0"), nil, []string{"hosts.web.volume: account " + motoAccount + " has no such volume in " + motoRegion, "vol-0123456789abcdef0"}},
		{"untagged", fmt.Sprintf(one, untagged), nil, []string{"hosts.web.volume: " + untagged + " has no tag", "mayfly volume adopt " + untagged + " --host web --uuid UUID -c "}},
		{"others", fmt.Sprintf(one, others), nil, []string{"hosts.web.volume: " + others + " is of the deployment elsewhere"}},
		{"renamed", fmt.Sprintf(one, renamed), nil, []string{renamed + " is the volume of the host www, by its tag", "mayfly volume list"}},
		{"twice", both, nil, []string{"hosts.web: ", first, second, "both have its tag", "aws ec2 delete-tags --region " + motoRegion}},
		{"far", both, nil, []string{farWeb + " of web is in " + motoRegion + "a", farDB + " of db is in " + motoRegion + "b", "restore a snapshot"}},
		{"subnet", both, []string{"network: {subnets: [" + subnet + "]}"}, []string{"no subnet is in " + motoRegion + "a, where the volume " + inA + " of the host web is", motoRegion + "b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := l.deployment(c.name, append(c.lines, l.hostsJob("address: {store: true}", c.hosts))...)
			volumes := func() string { return string(l.aws("ec2", "describe-volumes")) }
			before := l.made() + volumes()
			r := l.do("deploy", "--yes", "-c", config, "--binaries", l.binaries)
			if r.code != 2 {
				t.Errorf("want exit code 2: %s", r)
			}
			has(t, "the error", r.err, c.says...)
			if after := l.made() + volumes(); after != before {
				t.Errorf("AWS had\n%s\nand has\n%s", before, after)
			}
		})
	}
}

// TestDeployHostsKilled kills deploy at each request that makes what hosts
// need, and calls it again: nothing is there twice, and nothing is missing.
func TestDeployHostsKilled(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	job := l.hostsJob("address: {store: true}", `{web: {size: 20, keys: ["KEY1"]}, db: {size: 10, type: gp2, keys: ["KEY2"]}}`)
	makes := regexp.MustCompile(`^(ec2:CreateVolume|ssm:PutParameter|cloudformation:CreateStack)$`)
	const all = 5 // of web, of db, the private half, the public half, the stack
	for i := range 2 * all {
		name := fmt.Sprintf("cut%d", i)
		at, after := 1+i/2, i%2 == 1
		config := l.deployment(name, job)
		var mu sync.Mutex
		var p *running
		var last *http.Request
		count := 0
		ready := make(chan struct{})
		log := l.calls.seen
		l.seen = func(r *http.Request, answered bool) bool {
			<-ready
			mu.Lock()
			defer mu.Unlock()
			if !answered && makes.MatchString(requested(r)) {
				if count++; count == at {
					last = r
				}
			}
			if r == last && answered == after {
				p.cmd.Process.Kill()
				return answered
			}
			return log(r, answered)
		}
		p = l.begin("deploy", "--yes", "-c", config, "--binaries", l.binaries)
		close(ready)
		if r := p.wait(); r.code != -1 {
			t.Errorf("at request %d it was not killed: %s", at, r)
		}
		l.seen = log
		if r := l.do("deploy", "--yes", "-c", config, "--binaries", l.binaries); r.code != 0 {
			t.Fatalf("killed at request %d: %s", at, r)
		}
		l.prepared(name)
	}
}

// TestDeployHostsAddresses has hosts find the instance by an Elastic IP and by
// a name, and refuses those that are not there.
func TestDeployHostsAddresses(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	var eip struct{ AllocationId, PublicIp string }
	l.answer(&eip, "ec2", "allocate-address", "--domain", "vpc")
	zone := func(args ...string) string {
		var made struct{ HostedZone struct{ Id string } }
		l.answer(&made, append([]string{"route53", "create-hosted-zone", "--caller-reference", fmt.Sprint(args)}, args...)...)
		return strings.TrimPrefix(made.HostedZone.Id, "/hostedzone/")
	}
	public := zone("--name", "example.com")
	vpc := strings.TrimSpace(string(l.aws("ec2", "describe-vpcs", "--query", "Vpcs[0].VpcId", "--output", "text")))
	private := zone("--name", "internal.example.com", "--vpc", "VPCRegion="+motoRegion+",VPCId="+vpc, "--hosted-zone-config", "PrivateZone=true")
	one := `{web: {size: 8, keys: ["KEY1"]}}`
	do := func(want int, name, address string, args ...string) result {
		t.Helper()
		job := l.hostsJob("address: "+address, one)
		if name == "open" {
			job = strings.ReplaceAll(job, "203.0.113.0/24", "0.0.0.0/0")
		}
		r := l.do(append(args, "-c", l.deployment(name, job), "--binaries", l.binaries)...)
		if r.code != want {
			t.Fatalf("%s: exit code %d, want %d: %s", name, r.code, want, r)
		}
		return r
	}
	r := do(0, "open", fmt.Sprintf("{elastic_ip: %s, route53: {zone: %s, name: Backup.example.com.}}", eip.AllocationId, public), "deploy", "--yes")
	has(t, "deploy", r.out, "EVERYBODY ON THE INTERNET can connect to port 2222", "Hosts find it by the Elastic IP "+eip.PublicIp+" ("+eip.AllocationId+"); backup.example.com, which each run sets in the hosted zone "+public,
		"\n  ["+eip.PublicIp+"]:2222 ssh-ed25519 ", "\n  [backup.example.com]:2222 ssh-ed25519 ", "/etc /home web@backup.example.com:\n")
	has(t, "plan", do(0, "open", fmt.Sprintf("{elastic_ip: %s}", eip.AllocationId), "plan").out, "Elastic IP  ", "730 hours", "also while no instance runs", "EVERYBODY")
	machine := l.instanceOf(t, "elsewhere")
	l.aws("ec2", "associate-address", "--allocation-id", eip.AllocationId, "--instance-id", machine)
	has(t, "an address that is another's", do(0, "open", fmt.Sprintf("{elastic_ip: %s}", eip.AllocationId), "plan").out, "Note: address.elastic_ip: the instance "+machine+" has "+eip.PublicIp, "aws ec2 disassociate-address --region "+motoRegion+" --public-ip "+eip.PublicIp)
	has(t, "a private zone", do(0, "private", fmt.Sprintf("{route53: {zone: %s, name: b.internal.example.com}}", private), "plan").out, "Note: address.route53: the zone "+private+" (internal.example.com) is a private one")
	for address, says := range map[string]string{
		"{elastic_ip: eipalloc-0123456789abcdef0}":                         "address.elastic_ip: account " + motoAccount + " has no such address in " + motoRegion,
		"{route53: {zone: Z0123456789ABC, name: backup.example.com}}":      "address.route53.zone: account " + motoAccount + " has no such zone",
		fmt.Sprintf("{route53: {zone: %s, name: example.org}}", public):    "address.route53.name: example.org does not lie in the zone " + public + ", which is example.com",
		fmt.Sprintf("{route53: {zone: %s, name: badexample.com}}", public): "address.route53.name: badexample.com does not lie in the zone",
	} {
		has(t, address, do(2, "refused", address, "deploy", "--yes").err, says)
	}
	l.calls.mu.Lock()
	defer l.calls.mu.Unlock()
	if !l.calls.actions["route53:GetHostedZone"] || !l.calls.actions["ec2:DescribeAddresses"] {
		t.Errorf("asked for %v", l.calls.actions)
	}
}
