package receive

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"golang.org/x/crypto/ssh"

	"mayfly/internal/secret"
	"mayfly/internal/sshd"
	"mayfly/runner"
)

// A Key is a host's public key, in the form of authorized_keys, without
// options.
type Key struct {
	ssh.PublicKey
	Comment string
}

// Pattern is the form for the schema.
func (Key) Pattern() string {
	return `^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh.com|sk-ecdsa-sha2-nistp256@openssh.com) [A-Za-z0-9+/=]+( .*)?$`
}

// Sensitive marks that a text which is no Key may well be a secret.
func (*Key) Sensitive() {}

var privateKey = regexp.MustCompile(`PRIVATE KEY|PuTTY-User-Key-File`)

// UnmarshalText refuses whatever sshd would read otherwise: options are not
// ignored.
func (k *Key) UnmarshalText(b []byte) error {
	if privateKey.Match(b) {
		return errors.New("is a private key, which belongs on the host alone: write the public one, from the file that ends in .pub, and make a new pair, since this one is in a file now")
	}
	key, comment, options, rest, err := ssh.ParseAuthorizedKey(b)
	switch {
	case err != nil:
		return errors.New("is no public key: write the line from ~/.ssh/id_ed25519.pub")
	case len(options) > 0:
		return errors.New("has options before the key, which are not taken: what a host may do, pull and append_only say")
	case len(rest) > 0:
		return errors.New("has more than one line: write each key as an entry of its own")
	}
	if err := sshd.CheckKey(key); err != nil {
		return err
	}
	*k = Key{key, comment}
	return nil
}

// Keep says which snapshots of a host stay: those of a time, or the last ones
// and those of a time.
type Keep struct {
	Last   int             `yaml:"last" doc:"so many of the newest good snapshots of each host stay" min:"1" max:"10000" example:"7"`
	Within runner.Duration `yaml:"within" doc:"snapshots of so long stay" example:"30d"`
}

// Pattern is the form for the schema.
func (*Keep) Pattern() string { return runner.Duration(0).Pattern() }

// UnmarshalText takes the time alone.
func (k *Keep) UnmarshalText(b []byte) error { return k.Within.UnmarshalText(b) }

// Listen is where the server is reached.
type Listen struct {
	Port int      `yaml:"port,required" doc:"the TCP port; 22 takes the place of the machine's own SSH server, which is off" min:"1" max:"65535" example:"22"`
	From []Prefix `yaml:"from,required" doc:"the addresses that may connect, in CIDR notation; 0.0.0.0/0 is everybody" example:"[203.0.113.0/24]"`
}

func (l Listen) ranges() []string {
	var list []string
	for _, p := range l.From {
		list = append(list, p.String())
	}
	return list
}

// Address says how hosts find the instance; several ways may stand side by
// side.
type Address struct {
	ElasticIP string     `yaml:"elastic_ip" doc:"allocation id of an Elastic IP of your own, which the instance has from the window's opening to its own end" example:"eipalloc-0123456789abcdef0"`
	Route53   *Route53   `yaml:"route53" doc:"a name in a hosted zone of your own, which is set when the window opens and removed when it closes" example:"{zone: Z0123456789ABC, name: backup.example.com}"`
	URL       secret.Ref `yaml:"url" doc:"where the update address of a dynamic DNS service is kept; {ip}, {ipv4} and {ipv6} in it stand for the instance's" example:"ssm:/hosts/dyndns"`
	RemoveURL secret.Ref `yaml:"remove_url" doc:"where the address is kept that is called when the window has closed" example:"ssm:/hosts/dyndns-remove"`
	Parameter string     `yaml:"parameter" doc:"for hosts with credentials: an ordinary parameter of Systems Manager that holds the address" example:"/hosts/address"`
	Store     bool       `yaml:"store" doc:"for hosts with credentials: they read PREFIX/address.json in the store, which is written in any case"`
}

// Route53 is a name in a hosted zone.
type Route53 struct {
	Zone string `yaml:"zone,required" doc:"id of the public hosted zone" example:"Z0123456789ABC"`
	Name string `yaml:"name,required" doc:"the whole name" example:"backup.example.com"`
}

func (r *Route53) record() runner.Record { return runner.Record{Zone: r.Zone, Name: dnsName(r.Name)} }

// parseHostKey takes OpenSSH's form, without a passphrase.
func parseHostKey(v secret.Value) (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey([]byte(v.Reveal() + "\n"))
	if locked := (*ssh.PassphraseMissingError)(nil); errors.As(err, &locked) {
		return nil, errors.New("it is locked by a passphrase, which nobody could type: make one without, ssh-keygen -t ed25519 -N ''")
	}
	if err != nil {
		return nil, errors.New("it is no private key in OpenSSH's form: make one with ssh-keygen -t ed25519 -N ''")
	}
	if t := signer.PublicKey().Type(); t != ssh.KeyAlgoED25519 {
		return nil, fmt.Errorf("its type is %s: make one with ssh-keygen -t ed25519 -N ''", strconv.Quote(t))
	}
	return signer, nil
}
