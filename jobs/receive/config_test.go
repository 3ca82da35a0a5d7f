package receive_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mayfly/iam"
	"mayfly/jobs"
	"mayfly/jobs/receive"
	"mayfly/runner"
)

const (
	keyA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJYXIKL1fPgBdnZ6Dz6UuTQoQpDJDX4QzVJjNJkqMLM root@a"
	keyB = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl root@b"
)

// parse reads a config with one receive job, whose lines are given.
func parse(job string) (*runner.Config, error) {
	return runner.Parse("mayfly.yaml", []byte(`name: hosts
region: eu-west-1
store: s3://backups
schedule: {start: "0 1 * * *", deadline: 4h}
jobs:
  - name: servers
    receive:
`+job), runner.ParseOptions{Kinds: jobs.New, KindNames: jobs.Names()})
}

// lines are those of a good config, some of them replaced: "keep" -> "" leaves
// the key out.
func lines(change map[string]string) string {
	good := []struct{ key, value string }{
		{"window", "3h36m"}, {"keep", "20d"}, {"listen", "{port: 22, from: [203.0.113.0/24, \"2001:db8::/32\"]}"},
		{"address", "{route53: {zone: Z123, name: backup.example.com}}"},
		{"hosts", fmt.Sprintf("{a: {volume: vol-0123456789abcdef0, keys: [%q]}, b: {size: 20, keys: [%q], pull: true}}", keyA, keyB)},
	}
	var b strings.Builder
	for _, g := range good {
		v := g.value
		if c, ok := change[g.key]; ok {
			v = c
		}
		delete(change, g.key)
		if v != "" {
			fmt.Fprintf(&b, "      %s: %s\n", g.key, v)
		}
	}
	for k, v := range change {
		fmt.Fprintf(&b, "      %s: %s\n", k, v)
	}
	return b.String()
}

func TestConfig(t *testing.T) {
	t.Parallel()
	c, err := parse(lines(nil))
	if err != nil {
		t.Fatal(err)
	}
	n := c.Jobs[0].Config.Needs()
	if len(n.Volumes) != 2 || n.Volumes[0] != (runner.VolumeNeed{Host: "a", ID: "vol-0123456789abcdef0", Type: "gp3"}) || n.Volumes[1] != (runner.VolumeNeed{Host: "b", GiB: 20, Type: "gp3"}) {
		t.Errorf("volumes %+v", n.Volumes)
	}
	if len(n.Secrets) != 1 || n.Secrets[0].String() != "ssm:/hosts/host-key" || n.HostKeys[0] != n.Secrets[0] {
		t.Errorf("secrets %v, host keys %v", n.Secrets, n.HostKeys)
	}
	if len(n.Ingress) != 1 || n.Ingress[0].Port != 22 || strings.Join(n.Ingress[0].From, " ") != "203.0.113.0/24 2001:db8::/32" {
		t.Errorf("ingress %+v", n.Ingress)
	}
	if len(n.Records) != 1 || n.Records[0] != (runner.Record{Zone: "Z123", Name: "backup.example.com"}) {
		t.Errorf("records %+v", n.Records)
	}
	p := new(iam.Policy)
	p.Add(iam.Place{Deployment: "hosts", Bucket: "backups", Prefix: "servers", Job: "servers"}, n.Permissions...)
	if _, err := p.JSON(); err != nil {
		t.Error(err)
	}
}

// Every key is refused with its place and what would be right.
func TestRefused(t *testing.T) {
	t.Parallel()
	host := func(rest string) string { return "{a: {" + rest + "}}" }
	for name, x := range map[string]struct {
		change map[string]string
		says   []string
	}{
		"no window":          {map[string]string{"window": ""}, []string{"receive.window: missing"}},
		"short window":       {map[string]string{"window": "10s"}, []string{"receive.window: is too short for anybody to connect"}},
		"long window":        {map[string]string{"window": "5h"}, []string{"receive.window: is not shorter than the deadline, 4h"}},
		"no room":            {map[string]string{"window": "3h58m"}, []string{"leaves less than 6 min of the deadline, 4h"}},
		"short idle":         {map[string]string{"idle": "5s"}, []string{"receive.idle: is shorter"}},
		"no keep":            {map[string]string{"keep": ""}, []string{"receive.keep: missing"}},
		"keep nothing":       {map[string]string{"keep": "0d"}, []string{"receive.keep", "20d"}},
		"keep zero":          {map[string]string{"keep": "{last: 0}"}, []string{"receive.keep"}},
		"keep text":          {map[string]string{"keep": "long"}, []string{"receive.keep"}},
		"no listen":          {map[string]string{"listen": ""}, []string{"receive.listen: missing"}},
		"no from":            {map[string]string{"listen": "{port: 22}"}, []string{"receive.listen.from: missing"}},
		"empty from":         {map[string]string{"listen": "{port: 22, from: []}"}, []string{"receive.listen.from: is an empty list"}},
		"port":               {map[string]string{"listen": "{port: 70000, from: [0.0.0.0/0]}"}, []string{"receive.listen.port"}},
		"an address":         {map[string]string{"listen": "{port: 22, from: [203.0.113.7]}"}, []string{"write 203.0.113.7/32 for this address"}},
		"bits":               {map[string]string{"listen": "{port: 22, from: [203.0.113.7/24]}"}, []string{"write 203.0.113.0/24"}},
		"twice":              {map[string]string{"listen": "{port: 22, from: [0.0.0.0/0, 0.0.0.0/0]}"}, []string{"listen.from[1]: is there twice"}},
		"no address":         {map[string]string{"address": ""}, []string{"receive.address: missing"}},
		"empty address":      {map[string]string{"address": "{}"}, []string{"receive.address", "elastic_ip"}},
		"elastic ip":         {map[string]string{"address": "{elastic_ip: 203.0.113.7}"}, []string{"is no allocation id", "eipalloc-"}},
		"zone":               {map[string]string{"address": "{route53: {zone: example.com, name: b.example.com}}"}, []string{"route53.zone", "no id of a hosted zone"}},
		"name":               {map[string]string{"address": "{route53: {zone: Z1, name: backup}}"}, []string{"route53.name", "no whole DNS name"}},
		"url":                {map[string]string{"address": "{url: \"https://user:pass@dyn.example.com/\"}"}, []string{"address.url", "reference"}},
		"remove url":         {map[string]string{"address": "{store: true, remove_url: ssm:/a}"}, []string{"remove_url: there is no url"}},
		"parameter":          {map[string]string{"address": "{parameter: address}"}, []string{"address.parameter", "/hosts/address"}},
		"key in environment": {map[string]string{"host_key": "env:KEY"}, []string{"host_key: would be in the environment"}},
		"no hosts":           {map[string]string{"hosts": "{}"}, []string{"receive.hosts: is empty"}},
		"host name":          {map[string]string{"hosts": fmt.Sprintf("{A.b: {size: 1, keys: [%q]}}", keyA)}, []string{`"A.b" cannot be a host's name`}},
		"no volume":          {map[string]string{"hosts": host(fmt.Sprintf("keys: [%q]", keyA))}, []string{"hosts.a: has no volume"}},
		"volume and size":    {map[string]string{"hosts": host(fmt.Sprintf("size: 1, volume: vol-0123456789abcdef0, keys: [%q]", keyA))}, []string{"hosts.a.size: the volume is named already"}},
		"volume id":          {map[string]string{"hosts": host(fmt.Sprintf("volume: vol-x, keys: [%q]", keyA))}, []string{"hosts.a.volume", "no volume's id"}},
		"small st1":          {map[string]string{"hosts": host(fmt.Sprintf("size: 20, type: st1, keys: [%q]", keyA))}, []string{"from 125 GiB on"}},
		"type of a named":    {map[string]string{"hosts": host(fmt.Sprintf("volume: vol-0123456789abcdef0, type: gp3, keys: [%q]", keyA))}, []string{"hosts.a.type"}},
		"no keys":            {map[string]string{"hosts": host("size: 1")}, []string{"hosts.a.keys: missing"}},
		"private key":        {map[string]string{"hosts": host(`size: 1, keys: ["-----BEGIN OPENSSH PRIVATE KEY-----"]`)}, []string{"hosts.a.keys[0]", "is a private key", "make a new pair"}},
		"options":            {map[string]string{"hosts": host(fmt.Sprintf("size: 1, keys: ['command=\"x\" %s']", keyA))}, []string{"has options before the key"}},
		"rubbish":            {map[string]string{"hosts": host(`size: 1, keys: ["hello"]`)}, []string{"is no public key"}},
		"dsa":                {map[string]string{"hosts": host(`size: 1, keys: ["ssh-dss AAAAB3NzaC1kc3MAAACBAP"]`)}, []string{"hosts.a.keys[0]"}},
		"same key":           {map[string]string{"hosts": fmt.Sprintf("{a: {size: 1, keys: [%q]}, b: {size: 1, keys: [%q]}}", keyA, keyA)}, []string{"hosts.b.keys[0]: the host a has this key too"}},
		"same volume":        {map[string]string{"hosts": fmt.Sprintf("{a: {volume: vol-0123456789abcdef0, keys: [%q]}, b: {volume: vol-0123456789abcdef0, keys: [%q]}}", keyA, keyB)}, []string{"hosts.b.volume: is the host a's"}},
		"unknown":            {map[string]string{"hosts": host(fmt.Sprintf("size: 1, key: [%q]", keyA))}, []string{"hosts.a.key: unknown key", `did you mean "keys"?`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(lines(x.change))
			if err == nil {
				t.Fatal("taken")
			}
			for _, s := range x.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("it says\n%v\nwithout %q", err, s)
				}
			}
		})
	}
}

// A host's volume and snapshots are known by its name: a second job with the
// same host would delete what the first one keeps.
func TestHostOfTwoJobs(t *testing.T) {
	t.Parallel()
	second := "  - name: others\n    receive:\n"
	for hosts, says := range map[string]string{
		fmt.Sprintf("{b: {volume: vol-00000000000000001, keys: [%q]}}", keyA): "jobs[1].receive.hosts.b: jobs[0] has a host of this name too",
		fmt.Sprintf("{c: {size: 20, keys: [%q]}}", keyA):                      "",
	} {
		_, err := parse(lines(nil) + second + lines(map[string]string{"hosts": hosts, "keep": "1d"}))
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v", hosts, err)
		}
	}
}

// A secret that was pasted is not shown.
func TestHidesPrivateKey(t *testing.T) {
	t.Parallel()
	_, err := parse(lines(map[string]string{"hosts": `{a: {size: 1, keys: ["-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNzaC1rZXktdjEAAAAABG5vbmU"]}}`}))
	if err == nil || strings.Contains(err.Error(), "b3BlbnNzaC1rZXk") {
		t.Errorf("%v", err)
	}
}

// A deployment without a schedule has no deadline that a window could exceed.
func TestWithoutSchedule(t *testing.T) {
	t.Parallel()
	c := new(receive.Config)
	c.Join("hosts", 0)
	c.Window = runner.Duration(100 * time.Hour)
	for _, p := range c.Validate() {
		if p.Item == "window" {
			t.Errorf("%v", p)
		}
	}
}
