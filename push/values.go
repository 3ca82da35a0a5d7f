package push

import (
	"errors"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

var (
	hostForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	addressForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$|^[0-9a-fA-F:.]+$`)
	rateForm    = regexp.MustCompile(`^[1-9][0-9]{0,8}([kKmMgG](i?[bB])?)?$`)
	storeForm   = regexp.MustCompile(`^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)+$`)
	paramForm   = regexp.MustCompile(`^/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`)
	toForm      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
)

// A HostName is a host's name in the receiver's config.
type HostName string

// Pattern is the form for the schema.
func (HostName) Pattern() string { return hostForm.String() }

// UnmarshalText takes what the receiver's config takes.
func (n *HostName) UnmarshalText(b []byte) error {
	if !hostForm.Match(b) {
		return errors.New("is no name of a host: write the one in the receiver's config, of lower-case letters, digits and hyphens")
	}
	*n = HostName(b)
	return nil
}

// A HostKey is the receiver's public key.
type HostKey struct{ ssh.PublicKey }

// Pattern is the form for the schema.
func (HostKey) Pattern() string { return `^(ssh-|ecdsa-)[a-z0-9-]+ [A-Za-z0-9+/=]+( .*)?$` }

// Sensitive marks that a text which is no key may well be a secret.
func (*HostKey) Sensitive() {}

// UnmarshalText takes a line of a .pub file.
func (k *HostKey) UnmarshalText(b []byte) error {
	if strings.Contains(string(b), "PRIVATE KEY") {
		return errors.New("is a private key, which is not needed here: write the public one that mayfly deploy prints")
	}
	key, _, options, rest, err := ssh.ParseAuthorizedKey(b)
	switch {
	case err != nil:
		return errors.New("is no public key: write what mayfly deploy prints, or aws ssm get-parameter --name /NAME/host-key.pub: ssh-ed25519 AAAA and so on")
	case len(options) > 0:
		return errors.New("has something before the key: leave the name away, and begin with ssh-ed25519")
	case len(rest) > 0:
		return errors.New("has more than one line: write the one key")
	}
	k.PublicKey = key
	return nil
}

// text is the key as in known_hosts, behind the name.
func (k HostKey) text() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.PublicKey)))
}

// A Path is a whole path, without links in it that this package has resolved.
type Path string

// Pattern is the form for the schema.
func (Path) Pattern() string { return `^/` }

// UnmarshalText takes whole paths.
func (p *Path) UnmarshalText(b []byte) error {
	s := string(b)
	switch {
	case strings.HasPrefix(s, "~"):
		return errors.New("begins with ~, which nobody expands here: write the whole path")
	case !path.IsAbs(s):
		return errors.New("is no whole path: begin with /")
	case strings.ContainsAny(s, "\x00\n\r"):
		return errors.New("has a control character: rename it, or push the directory above it")
	}
	*p = Path(path.Clean(s))
	return nil
}

// A Rate is a value of rsync's --bwlimit.
type Rate string

// Pattern is the form for the schema.
func (Rate) Pattern() string { return rateForm.String() }

// UnmarshalText takes what rsync takes.
func (r *Rate) UnmarshalText(b []byte) error {
	if !rateForm.Match(b) {
		return errors.New("is no rate: write how much a second, like 500K or 10M")
	}
	*r = Rate(b)
	return nil
}

// kib is the rate in KiB a second, 1 at least.
func (r Rate) kib() int64 {
	digits := strings.TrimRight(string(r), "kKmMgGibB")
	n, _ := strconv.ParseInt(digits, 10, 64)
	unit := strings.ToLower(strings.TrimPrefix(string(r), digits))
	base := int64(1024)
	if strings.HasSuffix(unit, "b") && !strings.HasSuffix(unit, "ib") {
		base = 1000
	}
	factor := int64(1024) // without a unit it is KiB
	if unit != "" {
		factor = 1
		for range strings.IndexByte("kmg", unit[0]) + 1 {
			factor *= base
		}
	}
	return max(1, n*factor/1024)
}

// UnmarshalText takes the host alone.
func (a *Address) UnmarshalText(b []byte) error {
	if err := checkHost(string(b)); err != nil {
		return err
	}
	a.Host = string(b)
	return nil
}

func checkHost(s string) error {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	if strings.Contains(s, "://") || !addressForm.MatchString(s) || len(s) > 253 {
		return errors.New("is neither a name nor an IP address: write it like backup.example.com, and port: beside it")
	}
	return nil
}
