package push

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"mayfly/internal/gocryptfs"
	"mayfly/internal/remote"
)

// Print writes a shell script that does the same without mayfly, but for the
// waiting and the looking at sources: the exact commands, where r is the rsync
// that this machine has. The receiver is at host; "" stands for the address that
// is looked up.
func (c *Config) Print(w io.Writer, r *remote.Rsync, host string) error {
	place := Place{Host: host, Port: c.port()}
	if host == "" {
		place.Host = c.Address.Host
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("#!/bin/sh")
	line("# Pushes %s to %s. A source that is empty, or whose disk is missing, would", c.Host, c.Deployment)
	line("# empty the backup: mayfly push looks, this script does not.")
	line("set -eu")
	line("known=$(mktemp)")
	line("trap 'rm -f \"$known\"' EXIT")
	line("trap 'exit 1' HUP INT TERM")
	line("echo %s >\"$known\"", word(strings.TrimSpace(c.known())))
	if place.Host == "" {
		place.Host = hereAddress
		line("# where %s says", c.Address.where())
		line("address=${1:?usage: $0 ADDRESS}")
	}
	transfers := c.plains()
	if key, ok := c.CryptKey(); ok {
		transfers = c.printCrypt(line, key)
	}
	line("%s", words(c.sayArgs(place, hereKnown, "begin")))
	for _, t := range transfers {
		text := words(c.rsyncArgs(r, t, place, hereKnown, false))
		if t.dir != "" {
			text = "(cd \"$view\" && " + text + ")"
		}
		line("%s || [ $? = 24 ] # 24: files vanished meanwhile", text)
	}
	line("%s", words(c.sayArgs(place, hereKnown, "done")))
	text := strings.NewReplacer(hereKnown, `'"$known"'`, hereAddress, `'"$address"'`).Replace(b.String())
	_, err := io.WriteString(w, hereSent.ReplaceAllStringFunc(text, func(m string) string {
		return "$(sent " + strings.ReplaceAll(hereSent.FindStringSubmatch(m)[1], "\x03", "'") + ")"
	}))
	return err
}

// Stand-ins, within single quotes, for what the script finds out.
const (
	hereKnown   = "\x01known\x01"
	hereAddress = "\x01address\x01"
)

var hereSent = regexp.MustCompile("'\\./\x02(.*?)\x02'")

// printCrypt writes how the view comes and goes, and returns what is sent of it.
func (c *Config) printCrypt(line func(string, ...any), key gocryptfs.Key) []transfer {
	line("view=$(mktemp -d) control=$(mktemp -u)")
	line(`trap 'fusermount -u "$view"; rmdir "$view"; rm -f "$known"' EXIT`)
	mount := []string{"gocryptfs", "-reverse", "-q", "-config", key.Config, "-passfile", key.PasswordFile}
	var exclude []string
	for _, s := range c.Sources {
		exclude = append(exclude, ignore(s)...)
	}
	for _, own := range real(key.Config, key.PasswordFile) {
		exclude = append(exclude, gitSpecial.ReplaceAllString(own, `\$0`))
	}
	for _, e := range exclude {
		mount = append(mount, "-exclude-wildcard", e)
	}
	line(`%s -exclude-wildcard "$view" -ctlsock "$control" / "$view"`, words(mount))
	line("# A source has another name in the view, and is decrypted with files that")
	line("# stand beside it and in the directories above it.")
	line("sent() {")
	line(`	encrypted=$(printf '%%s\n' "$1" | gocryptfs-xray -encrypt-paths "$control")`)
	line("	p=.")
	line("	echo ./gocryptfs.diriv")
	line(`	echo "$encrypted" | tr / '\n' | while read -r part; do`)
	line("		p=$p/$part")
	line(`		case $part in gocryptfs.longname.*) echo "$p.name" ;; esac`)
	line(`		[ "$p" = "./$encrypted" ] || echo "$p/gocryptfs.diriv"`)
	line("	done")
	line(`	echo "./$encrypted"`)
	line("}")
	var list []transfer
	for _, s := range c.Sources {
		mark := strings.ReplaceAll(word(strings.TrimPrefix(string(s.Path), "/")), "'", "\x03")
		list = append(list, transfer{source: s, dir: "view", names: []string{"\x02" + mark + "\x02"}})
	}
	return list
}

// where says where the address is written down.
func (a Address) where() string {
	if a.Store != "" {
		return a.Store + "/address.json"
	}
	return "the parameter " + a.Parameter
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// word quotes for a POSIX shell.
func word(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func words(list []string) string {
	quoted := make([]string, len(list))
	for i, w := range list {
		quoted[i] = word(w)
	}
	return strings.Join(quoted, " ")
}
