package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/crypto/ssh"

	"mayfly/runner"
)

// printHosts says what there is and will be for hosts that push.
func (a *app) printHosts(s *survey) {
	if len(s.volumes) > 0 {
		fmt.Fprintln(a.stdout, "Volumes")
		w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		for _, v := range s.volumes {
			fmt.Fprintf(w, "  %s\t%s\n", v.need.Host, v.words(s.zone))
		}
		w.Flush()
		fmt.Fprintf(a.stdout, "Instances are only in %s, where the volumes are.\n", s.zone)
	}
	for _, j := range s.config.Jobs {
		needs := j.Config.Needs()
		for _, in := range needs.Ingress {
			fmt.Fprintf(a.stdout, "Comes in: port %d from %s, and the machine's own SSH server is off.\n", in.Port, strings.Join(in.From, ", "))
			if everybody(in.From) {
				fmt.Fprintf(a.stdout, "EVERYBODY ON THE INTERNET can connect to port %d: only the hosts' keys keep them out. Name under listen.from where the hosts are.\n", in.Port)
			}
		}
		if ways := s.ways(needs); len(ways) > 0 {
			fmt.Fprintf(a.stdout, "Hosts find it by %s.\n", strings.Join(ways, "; "))
		}
	}
	for _, k := range s.hostKeys {
		switch {
		case k.ref.Scheme != "ssm" && k.key == nil: // a note says why
		case !k.there:
			fmt.Fprintf(a.stdout, "The host key %s is not there yet: deploy makes it.\n", k.ref)
		case k.key == nil:
			fmt.Fprintf(a.stdout, "The public half of the host key is not at %s%s: deploy puts it there.\n", k.ref.Name, runner.PublicKeySuffix)
		default:
			fmt.Fprintf(a.stdout, "The host key %s is %s.\n", k.ref, ssh.FingerprintSHA256(k.key))
		}
	}
	if len(s.volumes)+len(s.hostKeys) > 0 {
		fmt.Fprintln(a.stdout)
	}
}

// words says what a volume is, and what becomes of it.
func (v hostVolume) words(zone string) string {
	if v.now == nil {
		return fmt.Sprintf("creates one of %d GiB, %s, encrypted, in %s; the first run formats it", v.need.GiB, v.need.Type, zone)
	}
	now := v.now
	said := fmt.Sprintf("%s, %d GiB, %s, in %s", now.ID, now.GiB, now.Type, now.Zone)
	switch content(*now) {
	case "blank":
		said += ", blank: the first run formats it"
	case "adopted":
		said += ", adopted"
	case "formatted":
		said += ", formatted"
	}
	if v.grow {
		said += fmt.Sprintf("; enlarges it to %d GiB", v.need.GiB)
	}
	return said
}

// everybody reports whether ranges are the whole Internet's.
func everybody(from []string) bool {
	return slices.Contains(from, "0.0.0.0/0") || slices.Contains(from, "::/0")
}

// ways are those by which hosts find the instance, in words.
func (s *survey) ways(needs runner.Needs) []string {
	var ways []string
	for _, id := range needs.ElasticIPs {
		ways = append(ways, "the Elastic IP "+strings.TrimSpace(s.elastic[id]+" ("+id+")"))
	}
	for _, r := range needs.Records {
		ways = append(ways, fmt.Sprintf("%s, which each run sets in the hosted zone %s and removes again", r.Name, r.Zone))
	}
	return append(ways, needs.Found...)
}

// printPush says, at the end of deploy, what a person does on each host.
func (a *app) printPush(s *survey) {
	name := string(s.config.Name)
	for _, j := range s.config.Jobs {
		needs := j.Config.Needs()
		var key ssh.PublicKey
		for _, k := range s.hostKeys {
			if slices.Contains(needs.HostKeys, k.ref) {
				key = k.key
			}
		}
		if len(needs.Ingress) == 0 || len(needs.Volumes) == 0 {
			continue
		}
		port := needs.Ingress[0].Port
		if key != nil {
			fmt.Fprintf(a.stdout, "\nHosts know the server by the key %s. Each of them gets it once, in ~/.ssh/mayfly_known_hosts:\n  %s %s\n", ssh.FingerprintSHA256(key), name, keyText(key))
			for _, address := range s.addresses(needs) {
				fmt.Fprintf(a.stdout, "  %s %s\n", knownAs(address, port), keyText(key))
			}
		}
		address := "ADDRESS"
		if list := s.addresses(needs); len(list) > 0 {
			address = list[len(list)-1]
		}
		fmt.Fprintf(a.stdout, "While the window is open, each pushes what it likes, here /etc and /home:\n")
		for _, v := range needs.Volumes {
			fmt.Fprintf(a.stdout, "  %s:\n    rsync -a --delete --partial -e '%s' /etc /home %s@%s:\n", v.Host, sshCommand(name, port), v.Host, address)
		}
		if address == "ADDRESS" {
			fmt.Fprintf(a.stdout, "ADDRESS is where the instance is: hosts find it by %s.\n", strings.Join(needs.Found, ", "))
		}
		if key != nil && len(needs.Volumes) > 0 {
			fmt.Fprintf(a.stdout, "Or with mayfly there, which waits for the window, looks at the sources and goes on after cuts:\n  mayfly init push --deployment %s --host %s --source /etc --source /home --address %s --port %d --host-key %s\n",
				name, needs.Volumes[0].Host, address, port, shellWord(keyText(key)))
		}
		fmt.Fprintf(a.stdout, "docs/hosts.md has the rest: cron, SFTP, restic, getting files back.\n\n")
	}
}

// addresses are those that do not change from run to run.
func (s *survey) addresses(needs runner.Needs) []string {
	var list []string
	for _, id := range needs.ElasticIPs {
		if ip := s.elastic[id]; ip != "" {
			list = append(list, ip)
		}
	}
	for _, r := range needs.Records {
		list = append(list, r.Name)
	}
	return list
}

// knownAs is how known_hosts names a server.
// https://man.openbsd.org/sshd.8#SSH_KNOWN_HOSTS_FILE_FORMAT
func knownAs(host string, port int) string {
	if port == 22 {
		return host
	}
	return fmt.Sprintf("[%s]:%d", host, port)
}

// sshCommand is ssh with options that trust the deployment's key and no other,
// whatever the address, use one key of the host's own, and ask nobody.
func sshCommand(deployment string, port int) string {
	return fmt.Sprintf("ssh -p %d -i ~/.ssh/id_ed25519 -o IdentitiesOnly=yes -o HostKeyAlias=%s -o UserKnownHostsFile=~/.ssh/mayfly_known_hosts"+
		" -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o BatchMode=yes", port, deployment)
}
