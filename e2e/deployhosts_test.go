//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/cloud"
	"mayfly/internal/volume"
)

// hostsJob is a config's job that hosts push to; more is in its mapping, and
// the hosts are in YAML's short form.
func (l *laptop) hostsJob(more, hosts string) string {
	l.t.Helper()
	for i, name := range []string{"KEY1", "KEY2", "KEY3"} {
		file := filepath.Join(l.world.dir, fmt.Sprintf("host%d", i))
		if out, err := exec.Command("sh", "-c", `test -f "$1" || ssh-keygen -q -t ed25519 -N '' -f "$1"; cut -d' ' -f1,2 "$1.pub"`, "sh", file).CombinedOutput(); err != nil {
			l.t.Fatalf("ssh-keygen: %v: %s", err, out)
		} else {
			hosts = strings.ReplaceAll(hosts, name, strings.TrimSpace(string(out)))
		}
	}
	return "jobs: [{name: hosts, receive: {window: 1h, keep: 20d, listen: {port: 2222, from: [203.0.113.0/24]}, " + more + ", hosts: " + hosts + "}}]"
}

// hostVolumes are the volumes of a deployment's hosts.
func (l *laptop) hostVolumes(name string) map[string][]cloud.Volume {
	l.t.Helper()
	list, err := l.ec2(l.t).Volumes(l.t.Context(), "mayfly:deployment", name)
	if err != nil {
		l.t.Fatal(err)
	}
	found := map[string][]cloud.Volume{}
	for _, v := range list {
		if host := v.Tags[volume.TagHost]; host != "" {
			found[host] = append(found[host], v)
		}
	}
	return found
}

// parameter is one's type and value.
func (l *laptop) parameter(name string) (kind, value string) {
	l.t.Helper()
	var p struct{ Parameter struct{ Type, Value string } }
	l.answer(&p, "ssm", "get-parameter", "--name", name, "--with-decryption")
	return p.Parameter.Type, p.Parameter.Value
}

// prepared checks that a deployment has all that its hosts web and db need.
func (l *laptop) prepared(name string) {
	l.t.Helper()
	l.standing(name)
	volumes := l.hostVolumes(name)
	if len(volumes) != 2 || len(volumes["web"]) != 1 || len(volumes["db"]) != 1 {
		l.t.Fatalf("%s: volumes %+v", name, volumes)
	}
	web, db := volumes["web"][0], volumes["db"][0]
	if web.GiB != 20 || web.Type != "gp3" || db.GiB != 10 || db.Type != "gp2" || !web.Encrypted || !db.Encrypted || web.Zone != db.Zone || web.Tags["Name"] != name+" web" {
		l.t.Errorf("%s: %+v, %+v", name, web, db)
	}
	var d struct {
		AutoScalingGroups []struct{ VPCZoneIdentifier string }
	}
	l.answer(&d, "autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", name)
	zone := strings.TrimSpace(string(l.aws("ec2", "describe-subnets", "--subnet-ids", d.AutoScalingGroups[0].VPCZoneIdentifier, "--query", "Subnets[].AvailabilityZone", "--output", "text")))
	if zone != web.Zone {
		l.t.Errorf("%s: instances are in %q, volumes in %s", name, zone, web.Zone)
	}
	kind, private := l.parameter("/" + name + "/host-key")
	if kind != "SecureString" || !strings.HasPrefix(private, "-----BEGIN OPENSSH PRIVATE KEY-----") {
		l.t.Errorf("%s: the host key is a %s", name, kind)
	}
	kind, public := l.parameter("/" + name + "/host-key.pub")
	derive := exec.Command("sh", "-c", `umask 077; cat >"$1"; ssh-keygen -y -f "$1"`, "sh", filepath.Join(l.t.TempDir(), "key"))
	derive.Stdin = strings.NewReader(private)
	derived, err := derive.CombinedOutput()
	if err != nil || kind != "String" || strings.Join(strings.Fields(string(derived))[:2], " ")+" mayfly-"+name != public {
		l.t.Errorf("%s: the public half is %s %q, and should be %s (%v)", name, kind, public, derived, err)
	}
}

// requested is the IAM action of a request.
func requested(r *http.Request) string {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return ""
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return actionOf(r, b)
}

// TestDeployHosts is the life of a deployment that hosts push to.
func TestDeployHosts(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	job := l.hostsJob("address: {store: true}", `{web: {size: 20, keys: ["KEY1"]}, db: {size: 10, type: gp2, keys: ["KEY2"]}}`)
	config := l.deployment("hosts", job)
	do := func(want int, args ...string) result {
		t.Helper()
		r := l.do(append(args, "-c", config, "--binaries", l.binaries)...)
		if r.code != want {
			t.Fatalf("%s: exit code %d, want %d: %s", args[0], r.code, want, r)
		}
		if strings.Contains(r.out+r.err, "PRIVATE KEY") {
			t.Fatalf("%s shows the private key", args[0])
		}
		return r
	}
	r := do(0, "plan")
	has(t, "plan", r.out, "web  creates one of 20 GiB, gp3, encrypted, in "+motoRegion, "db   creates one of 10 GiB, gp2", "Instances are only in "+motoRegion, "only in "+motoRegion,
		"Comes in: port 2222 from 203.0.113.0/24, and the machine's own SSH server is off", "Hosts find it by address.json in the store", "ssm:/hosts/host-key is not there yet: deploy makes it")
	if strings.Contains(r.out, "deploy asks for it") || strings.Contains(r.out, "EVERYBODY") || len(l.hostVolumes("hosts")) > 0 {
		t.Errorf("plan: %s", r)
	}
	r = do(0, "deploy", "--yes")
	has(t, "deploy", r.err, "for the host web: 20 GiB, gp3, encrypted, in "+motoRegion, "Made the host key ssm:/hosts/host-key", "Put the public half of the host key at /hosts/host-key.pub")
	l.prepared("hosts")
	_, public := l.parameter("/hosts/host-key.pub")
	_, private := l.parameter("/hosts/host-key")
	known := "hosts " + strings.TrimSuffix(public, " mayfly-hosts")
	has(t, "deploy", r.out, "by the key SHA256:", "\n  "+known+"\n", "  web:\n    rsync -a --delete --partial -e 'ssh -p 2222 ", " /etc /home web@ADDRESS:\n", "address.json in the store", "-o HostKeyAlias=hosts")
	has(t, "deploy", r.out, "mayfly init push --deployment hosts --host db ", "--port 2222 --host-key 'ssh-ed25519 ")
	volumes := l.hostVolumes("hosts")
	l.pushes()
	l.restores(config)

	r = do(0, "deploy", "--yes")
	has(t, "deploy, again", r.out, "is up to date; nothing was changed", "\n  "+known+"\n", "web  "+volumes["web"][0].ID+", 20 GiB, gp3", "blank: the first run formats it")
	l.prepared("hosts")

	// The public half is gone, or another's; the private one stays.
	l.aws("ssm", "delete-parameter", "--name", "/hosts/host-key.pub")
	has(t, "plan", do(0, "plan").out, "The public half of the host key is not at /hosts/host-key.pub: deploy puts it there")
	has(t, "deploy", do(0, "deploy", "--yes").err, "Put the public half of the host key at /hosts/host-key.pub.")
	l.prepared("hosts")
	l.aws("ssm", "put-parameter", "--overwrite", "--type", "String", "--name", "/hosts/host-key.pub", "--value", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSJiuN/a02ynrvN7q4MHjqj7f2FWzcbyiD5spRlCdGa mayfly-hosts")
	has(t, "deploy", do(0, "deploy", "--yes").err, "/hosts/host-key.pub anew: what was there was another key's")
	l.prepared("hosts")
	if _, now := l.parameter("/hosts/host-key"); now != private {
		t.Error("the host key is another one")
	}
	r = do(2, "deploy", "--yes", "--secret", "ssm:/hosts/host-key=env:GITHUB_TOKEN")
	has(t, "a host key of one's own", r.err, "there is a host key, and it is never replaced", "aws ssm delete-parameter")

	// Larger, and smaller than it is.
	config = l.deployment("hosts", l.hostsJob("address: {store: true, parameter: /hosts/address}", `{web: {size: 30, keys: ["KEY1"]}, db: {size: 5, type: gp3, keys: ["KEY2"]}}`))
	r = do(0, "deploy", "--yes")
	has(t, "another size", r.out, "20 GiB, gp3, in ", "enlarges it to 30 GiB", "has 10 GiB and stays as it is: volumes cannot be made smaller", "is gp2 and stays so: aws ec2 modify-volume")
	has(t, "another size", r.err, "Enlarges "+volumes["web"][0].ID+", the volume of the host web, from 20 to 30 GiB")
	if now := l.hostVolumes("hosts"); now["web"][0].ID != volumes["web"][0].ID || now["web"][0].GiB != 30 || now["db"][0].GiB != 10 {
		t.Errorf("volumes %+v", now)
	}
	l.stays(config)
}

// stays looks at the hosts of a deployment while it is there, and after it has
// been destroyed.
func (l *laptop) stays(config string) {
	t := l.t
	t.Helper()
	web := l.hostVolumes("hosts")["web"][0].ID
	has(t, "status", l.do("status", "-c", config).out, "Host web:            "+web+" (30 GiB, available); no good snapshot", "Host db:")
	snapshot := func(data string) string {
		s, err := l.ec2(t).CreateSnapshot(t.Context(), cloud.SnapshotSpec{Volume: web, Tags: map[string]string{"mayfly:deployment": "hosts", "mayfly:host": "web", "mayfly:data": data}})
		if err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	good := snapshot("complete")
	snapshot("partial")
	machine := l.instanceOf(t, "hosts")
	l.aws("ec2", "attach-volume", "--volume-id", web, "--instance-id", machine, "--device", "/dev/sdf")
	l.aws("ec2", "stop-instances", "--instance-ids", machine)
	has(t, "status", l.do("status", "-c", config).out, "newest good snapshot "+good+", ", " old; 2 snapshots",
		"volume "+web+" (host web), attached to "+machine+", which is stopped", "aws ec2 detach-volume --region "+motoRegion+" --volume-id "+web)
	l.aws("ec2", "detach-volume", "--volume-id", web, "--instance-id", machine)
	for _, goes := range []bool{true, false} {
		r := l.do("destroy", "--yes", "-c", config)
		if r.code != 0 {
			t.Fatalf("destroy: %s", r)
		}
		has(t, "destroy", r.out, "the volume "+web+" of the host web, 30 GiB, gp3, about 2.64 USD a month; to delete it with all that is on it: aws ec2 delete-volume --region "+motoRegion+" --volume-id "+web,
			"2 snapshots, about 0.05 USD a month for each GB", "aws ec2 delete-snapshot --region "+motoRegion)
		if goes {
			has(t, "destroy", r.out, "the secret ssm:/hosts/host-key; to delete it", "the host key's public half, /hosts/host-key.pub",
				"the parameter /hosts/address, if a run has written it; to delete it: aws ssm delete-parameter --region "+motoRegion+" --name /hosts/address")
		}
	}
	if now := l.hostVolumes("hosts"); len(now) != 2 {
		t.Errorf("volumes %+v", now)
	}
	_, before := l.parameter("/hosts/host-key")
	if r := l.do("deploy", "--yes", "-c", config, "--binaries", l.binaries); r.code != 0 {
		t.Fatalf("deploy after destroy: %s", r)
	}
	if _, now := l.parameter("/hosts/host-key"); now != before {
		t.Error("hosts would have to learn another key")
	}
}
