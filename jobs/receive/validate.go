package receive

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"mayfly/runner"
)

// A Prefix is a range of addresses.
type Prefix struct{ netip.Prefix }

// Pattern is the form for the schema, looser than the check.
func (Prefix) Pattern() string { return `^[0-9a-fA-F:.]+/[0-9]{1,3}$` }

// UnmarshalText takes CIDR notation without bits beyond the prefix.
func (p *Prefix) UnmarshalText(b []byte) error {
	found, err := netip.ParsePrefix(string(b))
	if err != nil {
		if a, err := netip.ParseAddr(string(b)); err == nil {
			return fmt.Errorf("is no range: write %s/%d for this address alone", a, a.BitLen())
		}
		return fmt.Errorf("is no range of addresses: write it like 203.0.113.0/24, or 198.51.100.7/32 for one")
	}
	if found != found.Masked() {
		return fmt.Errorf("has bits beyond its length: write %s", found.Masked())
	}
	*p = Prefix{found}
	return nil
}

var (
	hostForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	volumeForm = regexp.MustCompile(`^vol-([0-9a-f]{8}|[0-9a-f]{17})$`)
	eipForm    = regexp.MustCompile(`^eipalloc-([0-9a-f]{8}|[0-9a-f]{17})$`)
	zoneForm   = regexp.MustCompile(`^Z[A-Z0-9]{1,31}$`)
	nameForm   = regexp.MustCompile(`^([a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?\.)+[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.?$`)
	paramForm  = regexp.MustCompile(`^/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,14}$`)
)

// dnsName is a name as DNS compares it.
func dnsName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

// A complaint takes down what is wrong.
type complaint func(key, reason, fix string)

// Validate returns all mistakes at once.
func (c *Config) Validate() []runner.Problem {
	var ps []runner.Problem
	bad := func(key, reason, fix string) {
		ps = append(ps, runner.Problem{Item: key, Reason: reason, Fix: fix})
	}
	c.checkTimes(bad)
	c.Address.check(bad)
	if s := c.hostKey().Scheme; !c.HostKey.IsZero() && s != "ssm" && s != "file" && s != "secretsmanager" {
		bad("host_key", "would be in the environment of a process", "keep it in Systems Manager, like ssm:/hosts/host-key")
	}
	seen := map[Prefix]bool{}
	for i, p := range c.Listen.From {
		if seen[p] {
			bad(fmt.Sprintf("listen.from[%d]", i), "is there twice", "remove one")
		}
		seen[p] = true
	}
	c.checkHosts(bad)
	return ps
}

func (c *Config) checkTimes(bad complaint) {
	window := time.Duration(c.Window)
	switch {
	case window > 0 && window < shortest:
		bad("window", "is too short for anybody to connect", "write at least 1m")
	case window == 0:
		bad("window", "leaves no time", "write it like 3h36m")
	case c.deadline > 0 && window >= c.deadline:
		bad("window", fmt.Sprintf("is not shorter than the deadline, %s", runner.Duration(c.deadline)), "shorten it, or extend schedule.deadline")
	case c.deadline > 0 && window+around > c.deadline:
		bad("window", fmt.Sprintf("leaves less than %s of the deadline, %s, to mount volumes before it and to take snapshots after it", runner.FormatDuration(around), runner.Duration(c.deadline)),
			"shorten it, or extend schedule.deadline")
	}
	if c.Idle != 0 && time.Duration(c.Idle) < shortest {
		bad("idle", "is shorter than what a host may need between two transfers", "write at least 1m")
	}
	if c.Drill != nil && time.Duration(c.Drill.Every) < aDay {
		bad("drill.every", "is less than a day", "write it like 30d")
	}
	if c.Keep.Last == 0 && c.Keep.Within <= 0 {
		bad("keep", "keeps nothing", "write it like 20d, or {last: 7, within: 30d}")
	}
}

func (a Address) check(bad complaint) {
	if a == (Address{}) {
		bad("address", "says of no way in which hosts find the instance", "write one of elastic_ip, route53, url, or store: true when all hosts have credentials for the store")
	}
	if a.ElasticIP != "" && !eipForm.MatchString(a.ElasticIP) {
		bad("address.elastic_ip", fmt.Sprintf("%q is no allocation id", a.ElasticIP), "write it like eipalloc-0123456789abcdef0; aws ec2 describe-addresses lists them")
	}
	if r := a.Route53; r != nil {
		if r.Zone != "" && !zoneForm.MatchString(r.Zone) {
			bad("address.route53.zone", fmt.Sprintf("%q is no id of a hosted zone", r.Zone), "write it like Z0123456789ABC; aws route53 list-hosted-zones lists them")
		}
		if r.Name != "" && (!nameForm.MatchString(r.Name) || len(r.Name) > 253) {
			bad("address.route53.name", fmt.Sprintf("%q is no whole DNS name", r.Name), "write it like backup.example.com")
		}
	}
	if a.Parameter != "" && !paramForm.MatchString(a.Parameter) {
		bad("address.parameter", fmt.Sprintf("%q is no parameter's name", a.Parameter), "write it like /hosts/address")
	}
	if !a.RemoveURL.IsZero() && a.URL.IsZero() {
		bad("address.remove_url", "there is no url that it would undo", "add url, or remove it")
	}
}

// checkHosts also looks for what two of them share.
func (c *Config) checkHosts(bad complaint) {
	if len(c.Hosts) == 0 {
		bad("hosts", "is empty", "add the hosts that push")
	}
	keys, volumes := map[string]string{}, map[string]string{}
	for _, name := range c.names() {
		h, at := c.Hosts[name], "hosts."+name
		if !hostForm.MatchString(name) {
			bad(at, fmt.Sprintf("%q cannot be a host's name here", name), "use up to 63 lower-case letters, digits and hyphens")
		}
		switch {
		case h.Volume == "" && h.Size == 0:
			bad(at, "has no volume", "add volume: vol-..., or size: 20 for one that deploy creates")
		case h.Volume != "" && h.Size != 0:
			bad(at+".size", "the volume is named already", "keep volume, or size for one that deploy creates")
		case h.Volume != "" && !volumeForm.MatchString(h.Volume):
			bad(at+".volume", fmt.Sprintf("%q is no volume's id", h.Volume), "write it like vol-0123456789abcdef0")
		case h.Volume != "" && volumes[h.Volume] != "":
			bad(at+".volume", "is the host "+volumes[h.Volume]+"'s", "give each host a volume of its own")
		case h.Volume != "":
			volumes[h.Volume] = name
		}
		if h.Type != "" && h.Volume != "" {
			bad(at+".type", "is about a volume that size creates, and this one is named", "remove it")
		}
		if (h.Type == "st1" || h.Type == "sc1") && h.Size > 0 && h.Size < 125 {
			bad(at+".size", "EBS makes volumes of the type "+h.Type+" from 125 GiB on", "write size: 125 or more, or another type")
		}
		if h.Size > 16384 && h.Type != "" && h.Type != "gp3" {
			bad(at+".size", "EBS makes volumes of the type "+h.Type+" up to 16384 GiB", "write less, or type: gp3")
		}
		for i, k := range h.Keys {
			if k.PublicKey == nil {
				continue // which has been said
			}
			wire := string(k.Marshal())
			switch other := keys[wire]; {
			case other == name:
				bad(fmt.Sprintf("%s.keys[%d]", at, i), "is there twice", "remove one")
			case other != "":
				bad(fmt.Sprintf("%s.keys[%d]", at, i), fmt.Sprintf("the host %s has this key too (%s), by which a host is known", other, ssh.FingerprintSHA256(k)), "give each host a key of its own")
			}
			keys[wire] = name
		}
	}
}
