package main

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"mayfly/internal/cloud"
	"mayfly/internal/volume"
	"mayfly/jobs"
	"mayfly/runner"
	"mayfly/stack"
)

// hostsSurvey is one of the three zones a, b and c, of which a offers one type
// and b two; c has no type at all.
func hostsSurvey(t *testing.T, config string) *survey {
	t.Helper()
	c, err := runner.Parse("mayfly.yaml", []byte(config), runner.ParseOptions{Kinds: jobs.New, KindNames: jobs.Names()})
	if err != nil {
		t.Fatal(err)
	}
	s := &survey{
		config: c, world: newWorld(c, func(string) string { return "" }), region: "eu-west-1", caller: cloud.Caller{Account: "123456789012"},
		elastic: map[string]string{}, hostKeys: hostKeysOf(c),
		types: []cloud.InstanceType{{Name: "t4g.nano", Zones: []string{"eu-west-1a", "eu-west-1b"}}, {Name: "t3.nano", Zones: []string{"eu-west-1b"}}},
		network: cloud.Network{VPC: "vpc-1", Subnets: []cloud.Subnet{
			{ID: "subnet-a", Zone: "eu-west-1a"}, {ID: "subnet-b", Zone: "eu-west-1b", PublicIP: true}, {ID: "subnet-c", Zone: "eu-west-1c"},
		}},
	}
	s.options.Instance.Types = []stack.Type{{Name: "t4g.nano", Arch: "arm64"}, {Name: "t3.nano", Arch: "x86_64"}}
	s.options.Network.Subnets = []stack.Subnet{{ID: "subnet-a", Zone: "eu-west-1a"}, {ID: "subnet-b", Zone: "eu-west-1b"}}
	return s
}

const pushConfig = `name: hosts
region: eu-west-1
store: s3://hostsbucket
notify: {email: [you@example.com]}
jobs:
  - name: hosts
    receive:
      window: 1h
      keep: 20d
      listen: {port: 2222, from: [203.0.113.0/24, 0.0.0.0/0]}
      address: {elastic_ip: eipalloc-0123456789abcdef0, route53: {zone: Z0123456789ABC, name: backup.example.com}, store: true}
      hosts:
        db: {size: 500, type: st1, keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIODCcUpgOA1PsEi3VgOyfDAUilJ5cElB82RN6GyuMhcv"]}
        web: {size: 20, keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPrb4qPCmkuMsTSnKHfurwgxiq0MwUFk9Kgb8fio+IoN"]}
`

// in is a host's volume in a zone, none for "".
func in(host, zone string) hostVolume {
	v := hostVolume{need: runner.VolumeNeed{Host: host, GiB: 20, Type: "gp3"}}
	if zone != "" {
		v.now = &cloud.Volume{ID: "vol-" + host, Zone: zone, GiB: 20, Type: "gp3", State: "available", Encrypted: true, Tags: map[string]string{volume.TagHost: host}}
	}
	return v
}

func TestPin(t *testing.T) {
	t.Parallel()
	old := cloud.Volume{ID: "vol-old", Zone: "eu-west-1a", Tags: map[string]string{volume.TagHost: "gone"}}
	root := cloud.Volume{ID: "vol-root", Zone: "eu-west-1a"}
	for name, c := range map[string]struct {
		volumes []hostVolume
		list    []cloud.Volume
		zone    string
		public  bool
		says    string
	}{
		"where most types are":        {volumes: []hostVolume{in("web", ""), in("db", "")}, zone: "eu-west-1b", public: true},
		"where a volume is":           {volumes: []hostVolume{in("web", ""), in("db", "eu-west-1a")}, zone: "eu-west-1a"},
		"where one was":               {volumes: []hostVolume{in("web", "")}, list: []cloud.Volume{old}, zone: "eu-west-1a"},
		"not where an instance is":    {volumes: []hostVolume{in("web", "")}, list: []cloud.Volume{root}, zone: "eu-west-1b", public: true},
		"not where an old one is":     {volumes: []hostVolume{in("web", "eu-west-1b")}, list: []cloud.Volume{old}, zone: "eu-west-1b", public: true},
		"two zones":                   {volumes: []hostVolume{in("web", "eu-west-1a"), in("db", "eu-west-1b")}, says: "the volume vol-web of web is in eu-west-1a, and vol-db of db is in eu-west-1b"},
		"no subnet":                   {volumes: []hostVolume{in("web", "eu-west-1d")}, says: "no subnet is in eu-west-1d, where the volume vol-web of the host web is; they are in eu-west-1a, eu-west-1b, eu-west-1c"},
		"no type":                     {volumes: []hostVolume{in("web", "eu-west-1c")}, says: "instance.types: none of t4g.nano, t3.nano is offered in eu-west-1c, where the volume vol-web"},
		"nothing else that was wrong": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := hostsSurvey(t, pushConfig)
			s.volumes = c.volumes
			if len(c.volumes) == 0 {
				s.options.Network.Subnets = nil // which has been said
			}
			s.pin(c.list)
			if s.zone != c.zone || s.publicAddress != c.public {
				t.Errorf("zone %q, public %v", s.zone, s.publicAddress)
			}
			if got := zones(s.options.Network.Subnets); c.zone != "" && (got != c.zone || len(s.options.Network.Zones) != 1) {
				t.Errorf("subnets in %s, zones %q", got, s.options.Network.Zones)
			}
			var said string
			for _, p := range s.problems {
				said += p.Error()
			}
			if (said == "") != (c.says == "") || !strings.Contains(said, c.says) {
				t.Errorf("it says %q, want %q", said, c.says)
			}
		})
	}
}

// What a run would find wrong with a volume is said before: a problem where it
// could not use it at all, and else a note.
func TestUsable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change        func(*cloud.Volume)
		problem, note string
	}{
		"good":      {change: func(*cloud.Volume) {}},
		"at work":   {change: func(v *cloud.Volume) { v.State = "in-use" }},
		"failed":    {change: func(v *cloud.Volume) { v.State = "error" }, problem: "hosts.web: the state of its volume vol-web is error"},
		"restored":  {change: func(v *cloud.Volume) { v.From = "snap-1" }, problem: "was made from snap-1, and nobody has said that what is on it is the host's: mayfly volume adopt vol-web --host web --uuid UUID"},
		"adopted":   {change: func(v *cloud.Volume) { v.From, v.Tags[volume.TagAdopted] = "snap-1", "0c6e" }},
		"cut off":   {change: func(v *cloud.Volume) { v.Tags[volume.TagFormatting] = "0c6e" }, note: "the formatting of its volume vol-web was cut off"},
		"plaintext": {change: func(v *cloud.Volume) { v.Encrypted = false }, note: "its volume vol-web is not encrypted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, v := &survey{}, in("web", "eu-west-1a")
			c.change(v.now)
			s.usable(v)
			var problems []string
			for _, p := range s.problems {
				problems = append(problems, p.Error())
			}
			for _, x := range []struct {
				got  []string
				want string
			}{{problems, c.problem}, {s.notes, c.note}} {
				said := strings.Join(x.got, "\n")
				if (said == "") != (x.want == "") || !strings.Contains(said, x.want) {
					t.Errorf("it says %q, want %q", said, x.want)
				}
			}
		})
	}
}

// TestPrintHosts reads what plan and deploy say to a person.
func TestPrintHosts(t *testing.T) {
	t.Parallel()
	s := hostsSurvey(t, pushConfig)
	db, web := in("db", ""), in("web", "eu-west-1b")
	db.need.GiB, db.need.Type = 500, "st1"
	web.now.Tags[volume.TagFormatted], web.now.GiB, web.grow = "0c6e08e4-6f29-43b2-bc26-28478343fa05", 10, true
	s.volumes = []hostVolume{db, web}
	s.elastic["eipalloc-0123456789abcdef0"] = "203.0.113.9"
	s.pin(nil)
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSJiuN/a02ynrvN7q4MHjqj7f2FWzcbyiD5spRlCdGa"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &app{stdout: &out}
	a.printHosts(s)
	s.hostKeys[0].there, s.hostKeys[0].key = true, key
	a.printPush(s)
	const want = `Volumes
  db   creates one of 500 GiB, st1, encrypted, in eu-west-1b; the first run formats it
  web  vol-web, 10 GiB, gp3, in eu-west-1b, formatted; enlarges it to 20 GiB
Instances are only in eu-west-1b, where the volumes are.
Comes in: port 2222 from 203.0.113.0/24, 0.0.0.0/0, and the machine's own SSH server is off.
EVERYBODY ON THE INTERNET can connect to port 2222: only the hosts' keys keep them out. Name under listen.from where the hosts are.
Hosts find it by the Elastic IP 203.0.113.9 (eipalloc-0123456789abcdef0); backup.example.com, which each run sets in the hosted zone Z0123456789ABC and removes again; address.json in the store.
The host key ssm:/hosts/host-key is not there yet: deploy makes it.


Hosts know the server by the key SHA256:ZO1OFEsqTGfYgyga5qE/FpccY2Rt8jw8HlPzqnWfJWk. Each of them gets it once, in ~/.ssh/mayfly_known_hosts:
  hosts ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSJiuN/a02ynrvN7q4MHjqj7f2FWzcbyiD5spRlCdGa
  [203.0.113.9]:2222 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSJiuN/a02ynrvN7q4MHjqj7f2FWzcbyiD5spRlCdGa
  [backup.example.com]:2222 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSJiuN/a02ynrvN7q4MHjqj7f2FWzcbyiD5spRlCdGa
While the window is open, each pushes what it likes, here /etc and /home:
  db:
    rsync -a --delete --partial -e 'ssh -p 2222 -i ~/.ssh/id_ed25519 -o IdentitiesOnly=yes -o HostKeyAlias=hosts -o UserKnownHostsFile=~/.ssh/mayfly_known_hosts -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o BatchMode=yes' /etc /home db@backup.example.com:
  web:
    rsync -a --delete --partial -e 'ssh -p 2222 -i ~/.ssh/id_ed25519 -o IdentitiesOnly=yes -o HostKeyAlias=hosts -o UserKnownHostsFile=~/.ssh/mayfly_known_hosts -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o BatchMode=yes' /etc /home web@backup.example.com:
Or with mayfly there, which waits for the window, looks at the sources and goes on after cuts:
  mayfly init push --deployment hosts --host db --source /etc --source /home --address backup.example.com --port 2222 --host-key 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSJiuN/a02ynrvN7q4MHjqj7f2FWzcbyiD5spRlCdGa'
docs/hosts.md has the rest: cron, SFTP, restic, getting files back.

`
	if out.String() != want {
		t.Errorf("it says:\n%s", &out)
	}
	if got := knownAs("backup.example.com", 22); got != "backup.example.com" {
		t.Errorf("port 22 is %q", got)
	}
	words := s.words(cloud.Resource{Name: "Group"})
	if !strings.HasSuffix(words, ", only in eu-west-1b, where the volumes are") {
		t.Errorf("the group is %q", words)
	}
}

// The same volume has the same token, and any other has another.
func TestVolumeToken(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, parts := range [][]string{{"hosts", "web", "eu-west-1a", "gp3", "20"}, {"hosts", "web", "eu-west-1b", "gp3", "20"}, {"hosts", "web", "eu-west-1a", "gp3", "30"}, {"hostsweb", "", "eu-west-1a", "gp3", "20"}} {
		token := volumeToken(parts...)
		if seen[token] || token != volumeToken(parts...) || len(token) > 64 {
			t.Errorf("%q: %s", parts, token)
		}
		seen[token] = true
	}
}
