// Package receive lets hosts push their backups over rsync and SFTP: each with
// its own key to its own EBS volume, while a window is open, and takes snapshots
// of the volumes when it has closed.
package receive

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"mayfly/iam"
	"mayfly/internal/secret"
	"mayfly/internal/volume"
	"mayfly/runner"
)

// A Config is the `receive:` mapping of a job.
type Config struct {
	Window   runner.Duration `yaml:"window,required" doc:"how long hosts can push, at most" example:"3h36m"`
	Idle     runner.Duration `yaml:"idle" doc:"a host whose transfer is complete, and which then sends nothing for so long, counts as done without saying so (default 15m)" example:"15m"`
	Keep     Keep            `yaml:"keep,required" doc:"how long snapshots are kept: for so long, or a mapping; the newest good one of a host always stays" example:"20d"`
	Listen   Listen          `yaml:"listen,required" doc:"where hosts can connect" example:"{port: 22, from: [203.0.113.0/24]}"`
	Address  Address         `yaml:"address,required" doc:"how hosts find the instance, whose address is another one every time" example:"{route53: {zone: Z123, name: backup.example.com}}"`
	HostKey  secret.Ref      `yaml:"host_key" doc:"where the server's private key is kept (ed25519, OpenSSH's form); ssm:/NAME/host-key by default, which deploy makes" example:"ssm:/hosts/host-key"`
	WarnFull int             `yaml:"warn_full" doc:"the report warns of a volume that is fuller than so many percent (default 85)" min:"1" max:"100" example:"85"`
	Drill    *Drill          `yaml:"drill" doc:"how often files of a snapshot are drawn at random and held against the volume: weekly, monthly, or a mapping" example:"monthly"`
	Hosts    map[string]Host `yaml:"hosts,required" doc:"who can push, by name" example:"{web: {volume: vol-0123456789abcdef0, keys: [\"ssh-ed25519 AAAA... root@web\"]}}"`

	deployment string
	deadline   time.Duration
}

// A Host is one machine that pushes.
type Host struct {
	Volume     string `yaml:"volume" doc:"the id of its volume, which mayfly volume create or adopt has made the deployment's" example:"vol-0123456789abcdef0"`
	Size       int    `yaml:"size" doc:"instead of volume: deploy creates one of so many GiB, encrypted, in the deployment's zone" min:"1" max:"65536" example:"20"`
	Type       string `yaml:"type" doc:"EBS type of the volume that size creates (default gp3)" enum:"gp3,gp2,st1,sc1"`
	Keys       []Key  `yaml:"keys,required" doc:"the public keys by which it is known, as in ~/.ssh/id_ed25519.pub" example:"[\"ssh-ed25519 AAAA... root@web\"]"`
	Pull       bool   `yaml:"pull" doc:"it may read its files back, too; without, it may only push"`
	AppendOnly bool   `yaml:"append_only" doc:"it may add files, and neither delete nor overwrite what is there"`
}

var (
	_ runner.JobConfig = (*Config)(nil)
	_ runner.Member    = (*Config)(nil)
)

const (
	defaultIdle = 15 * time.Minute
	defaultFull = 85
	// shortest is what a window and idle have at least.
	shortest = time.Minute
	// around is what a run needs besides the window: to attach, check and
	// mount before it, to stop, unmount, snapshot, detach and report after it.
	around = 6 * time.Minute
)

// Join implements runner.Member.
func (c *Config) Join(deployment string, deadline time.Duration) {
	c.deployment, c.deadline = deployment, deadline
}

// names are the hosts' in order.
func (c *Config) names() []string { return slices.Sorted(maps.Keys(c.Hosts)) }

func (c *Config) idle() time.Duration {
	return cmp.Or(time.Duration(c.Idle), defaultIdle)
}

func (c *Config) warnFull() int { return cmp.Or(c.WarnFull, defaultFull) }

// hostKey is where the private key is.
func (c *Config) hostKey() secret.Ref {
	if c.HostKey.IsZero() {
		return secret.Ref{Scheme: "ssm", Name: "/" + c.deployment + "/host-key"}
	}
	return c.HostKey
}

// Needs implements runner.JobConfig.
func (c *Config) Needs() runner.Needs {
	n := runner.Needs{
		Packages: append([]string{"rsync"}, volume.Packages()...),
		Ingress:  []runner.Ingress{{Port: c.Listen.Port, From: c.Listen.ranges()}},
		Secrets:  []secret.Ref{c.hostKey()},
		HostKeys: []secret.Ref{c.hostKey()},
	}
	for _, name := range c.names() {
		h := c.Hosts[name]
		n.Volumes = append(n.Volumes, runner.VolumeNeed{Host: name, ID: h.Volume, GiB: h.Size, Type: cmp.Or(h.Type, "gp3")})
	}
	n.Permissions = append(iam.UseVolumes(volume.TagFormatting, volume.TagFormatted),
		iam.Read("{job}ReadAddress", addressFile, requestsFile, answersDir+"*"), iam.List("{job}FindAddress", addressFile, requestsFile, answersDir+"*"))
	n.Permissions = append(n.Permissions, iam.Write("{job}TellAddress", addressFile, answersDir+"*")...)
	n.Permissions = append(n.Permissions, iam.UseTemporaryVolumes()...)
	if c.Drill != nil {
		n.Permissions = append(n.Permissions, iam.Read("{job}ReadDrills", drillsFile), iam.List("{job}FindDrills", drillsFile))
		n.Permissions = append(n.Permissions, iam.Write("{job}TellDrills", drillsFile)...)
	}
	a := c.Address
	if a.ElasticIP != "" {
		n.ElasticIPs = []string{a.ElasticIP}
		n.Permissions = append(n.Permissions, iam.UseAddress(a.ElasticIP)...)
	}
	if a.Route53 != nil {
		n.Records = []runner.Record{a.Route53.record()}
		n.Permissions = append(n.Permissions, iam.SetRecords(a.Route53.Zone, a.Route53.record().Name)...)
	}
	n.Found = a.otherwise()
	if a.Parameter != "" {
		n.Parameters = []string{a.Parameter}
		n.Permissions = append(n.Permissions, iam.WriteParameter(a.Parameter))
	}
	for _, r := range []secret.Ref{a.URL, a.RemoveURL} {
		if !r.IsZero() {
			n.Secrets = append(n.Secrets, r)
		}
	}
	return n
}

// New implements runner.JobConfig.
func (c *Config) New(env runner.Env) (runner.Job, error) {
	key, err := env.Secret(c.hostKey())
	if err != nil {
		return nil, err
	}
	signer, err := parseHostKey(key)
	if err != nil {
		return nil, fmt.Errorf("host key %s: %w", c.hostKey(), err)
	}
	return &job{config: c, env: env, hostKey: signer, system: system(env)}, nil
}
