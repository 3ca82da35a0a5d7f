// Package push sends a host's files to a receiver with the host's own ssh and
// rsync: it waits for the window, trusts one key and no other, goes on where it
// was cut off, and says done.
package push

import (
	"cmp"
	"time"

	"mayfly/internal/gocryptfs"
	"mayfly/internal/strictyaml"
	"mayfly/runner"
)

// A Config is a host's push.yaml.
type Config struct {
	Deployment runner.Name     `yaml:"deployment,required" doc:"the receiver's deployment; ssh knows its key by this name" example:"hosts"`
	Host       HostName        `yaml:"host,required" doc:"who this machine is in the receiver's config" example:"web"`
	HostKey    HostKey         `yaml:"host_key,required" doc:"the receiver's public key, which mayfly deploy prints; no other is trusted" example:"ssh-ed25519 AAAA..."`
	Key        Path            `yaml:"key,required" doc:"file with this machine's private key, whose public half is in the receiver's config" example:"/etc/mayfly/push_ed25519"`
	Address    Address         `yaml:"address,required" doc:"where the receiver is: a name or an IP address, or a mapping that says where it is written down" example:"backup.example.com"`
	Port       int             `yaml:"port" doc:"the receiver's TCP port (default 22)" min:"1" max:"65535" example:"2222"`
	Start      *Start          `yaml:"start" doc:"start the deployment first; this machine needs AWS credentials that may do so" example:"{region: eu-west-1}"`
	Wait       runner.Duration `yaml:"wait" doc:"for how long to try when the window is not open (default 30m)" example:"2h"`
	Sources    []Source        `yaml:"sources,required" doc:"the directories and files to push" example:"[/etc, {path: /home, exclude: [.cache]}]"`
	Delete     *bool           `yaml:"delete" doc:"delete at the receiver what is gone here (default true); snapshots have it still"`
	MaxDelete  int             `yaml:"max_delete" doc:"never delete more files than so many of one source (default 1000)" min:"1" max:"1000000000" example:"1000"`
	AppendOnly bool            `yaml:"append_only" doc:"the receiver's config says so of this host: send new files only, delete and overwrite nothing"`
	BWLimit    Rate            `yaml:"bwlimit" doc:"rsync's --bwlimit, a second: 500K, 10M" example:"10M"`
	Compress   bool            `yaml:"compress" doc:"compress on the way (rsync -z); for slow links"`
	Encrypt    *Encrypt        `yaml:"encrypt" doc:"encrypt names and contents before they leave this machine"`
}

// An Encrypt says how a host encrypts what it pushes.
type Encrypt struct {
	Gocryptfs *Gocryptfs `yaml:"gocryptfs,required" doc:"show the sources encrypted by gocryptfs and push that" example:"{config: /etc/mayfly/gocryptfs.conf, password_file: /etc/mayfly/gocryptfs.password}"`
}

// Gocryptfs is where the key is; both files never leave the host, and without
// both nothing that it has encrypted can be read again.
type Gocryptfs struct {
	Config       Path `yaml:"config,required" doc:"gocryptfs's config file, made by mayfly init push" example:"/etc/mayfly/gocryptfs.conf"`
	PasswordFile Path `yaml:"password_file,required" doc:"the file with its password" example:"/etc/mayfly/gocryptfs.password"`
}

// A Source is something to push.
type Source struct {
	Path          Path     `yaml:"path,required" doc:"a directory, or a file" example:"/home"`
	Exclude       []string `yaml:"exclude" doc:"patterns of what is left out: rsync's, with encrypt gitignore's; a leading / is the source itself" example:"[.cache, /*/Downloads, \"*.iso\"]"`
	Mounted       bool     `yaml:"mounted" doc:"it must be a mount point; else its disk is missing, and nothing is sent"`
	OneFileSystem bool     `yaml:"one_file_system" doc:"leave out what is mounted below it"`
	To            string   `yaml:"to" doc:"a directory at the receiver that takes its contents; its whole path by default" example:"documents"`
}

// UnmarshalText takes the path alone.
func (s *Source) UnmarshalText(b []byte) error { return s.Path.UnmarshalText(b) }

// Pattern is the form for the schema.
func (*Source) Pattern() string { return Path("").Pattern() }

// A Start says how the deployment is started.
type Start struct {
	Region runner.Region `yaml:"region,required" doc:"the deployment's region" example:"eu-west-1"`
}

// An Address says where the receiver is, or where that is written down.
type Address struct {
	Host      string        `yaml:"host" doc:"a name or an IP address" example:"backup.example.com"`
	Store     string        `yaml:"store" doc:"the receiver's store and job, where address.json is; this machine needs AWS credentials that may read it" example:"s3://hostsbucket/hosts"`
	Parameter string        `yaml:"parameter" doc:"the parameter of Systems Manager that holds it, likewise" example:"/hosts/address"`
	Region    runner.Region `yaml:"region" doc:"the region of store or parameter" example:"eu-west-1"`
}

// Pattern is the form for the schema.
func (*Address) Pattern() string { return addressForm.String() }

const (
	defaultWait      = 30 * time.Minute
	defaultMaxDelete = 1000
	defaultPort      = 22
)

// Parse reads a config that came from the file called name. All mistakes are
// reported at once.
func Parse(name string, src []byte) (*Config, error) {
	var c Config
	d := strictyaml.Decode(name, src, &c, strictyaml.Options{})
	for _, p := range c.problems(d.Has) {
		d.Add(p.path, p.what, p.fix)
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return &c, nil
}

// Schema is the config's JSON schema.
func Schema() []byte {
	return strictyaml.Schema(new(Config), "mayfly push", "What a host pushes to a receiver of mayfly.", strictyaml.Options{})
}

func (c *Config) wait() time.Duration { return cmp.Or(time.Duration(c.Wait), defaultWait) }
func (c *Config) port() int           { return cmp.Or(c.Port, defaultPort) }
func (c *Config) maxDelete() int      { return cmp.Or(c.MaxDelete, defaultMaxDelete) }
func (c *Config) deletes() bool       { return !c.AppendOnly && (c.Delete == nil || *c.Delete) }

// CryptKey is where the key is that encrypts; ok is false when nothing does.
func (c *Config) CryptKey() (k gocryptfs.Key, ok bool) {
	if c.Encrypt == nil || c.Encrypt.Gocryptfs == nil {
		return k, false
	}
	g := c.Encrypt.Gocryptfs
	return gocryptfs.Key{Config: string(g.Config), PasswordFile: string(g.PasswordFile)}, true
}
