// Package remote knows the ssh and rsync of this machine: what they can do, and
// how they are called so that they trust one key and touch nothing of the user's.
package remote

import (
	"cmp"
	"os"
	"strconv"
	"strings"
)

// An SSH is how a receiver is reached.
type SSH struct {
	Alias string // by which the receiver's key is known, whatever its address
	Port  int
	Key   string // file with the private key
	Known string // file with the receiver's key, see KnownHosts
	Null  string // the file that is always empty; "" is that of this system
}

// Args is the command line of a stock ssh, without the receiver's name: it
// trusts the receiver's key and no other, offers one key, asks nobody, reads no
// config and writes no file of the user's, and notices within two minutes that
// the link is dead. https://man.openbsd.org/ssh_config.5
func (s SSH) Args() []string {
	null := cmp.Or(s.Null, os.DevNull)
	args := []string{"ssh", "-F", null, "-p", strconv.Itoa(s.Port), "-i", percent(s.Key)}
	for _, o := range []string{
		"IdentitiesOnly=yes", "IdentityAgent=none", "HostKeyAlias=" + s.Alias,
		`UserKnownHostsFile="` + percent(s.Known) + `"`, "GlobalKnownHostsFile=" + null,
		"StrictHostKeyChecking=yes", "UpdateHostKeys=no", "CheckHostIP=no", "BatchMode=yes",
		"ConnectTimeout=20", "ServerAliveInterval=15", "ServerAliveCountMax=8",
	} {
		args = append(args, "-o", o)
	}
	return args
}

// KnownHosts is what the file Known holds, for a key in the form of
// authorized_keys.
func KnownHosts(alias, key string) string { return alias + " " + key + "\n" }

// percent keeps ssh from expanding tokens in a path.
func percent(path string) string { return strings.ReplaceAll(path, "%", "%%") }

// Shell joins words for rsync's -e, which splits at blanks, knows quotes, and
// takes a doubled quote within quotes for the quote itself (do_cmd in rsync's
// main.c).
func Shell(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if strings.ContainsAny(w, " \t'\"") {
			w = "'" + strings.ReplaceAll(w, "'", "''") + "'"
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}
