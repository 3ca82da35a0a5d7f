package main

import (
	"fmt"
	"os"
	osuser "os/user"
	"strconv"
	"strings"

	"mayfly/internal/gocryptfs"
)

// command is mayfly push with the config that was written, by its whole path.
func (n newPush) command(options string, word func(string) string) string {
	program, err := os.Executable()
	if err != nil {
		program = "mayfly"
	}
	return word(program) + " push" + options + " -c " + word(n.output)
}

// cronWord is a word of a crontab's command, where a percent sign ends it
// (crontab(5)).
func cronWord(s string) string { return strings.ReplaceAll(shellWord(s), "%", `\%`) }

// unitWord is a word of a unit's command line, which has specifiers, variables
// and quotes of its own (systemd.service(5), "Command lines").
func unitWord(s string) string {
	if shellWord(s) != s {
		s = strconv.Quote(s)
	}
	return strings.NewReplacer("%", "%%", "$", "$$").Replace(s)
}

// units are the files by which systemd pushes every night.
func (n newPush) units() map[string]string {
	user := ""
	if u, err := osuser.Current(); err == nil && u.Uid != "0" {
		user = "User=" + u.Username + "\n"
	}
	return map[string]string{
		"mayfly-push.service": `[Unit]
Description=Push this machine's files to ` + n.deployment + `
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
` + user + `ExecStart=` + n.command("", unitWord) + `
Nice=10
IOSchedulingClass=idle
`,
		"mayfly-push.timer": `[Unit]
Description=Push this machine's files to ` + n.deployment + ` every night

[Timer]
OnCalendar=*-*-* ` + n.at + `:00

[Install]
WantedBy=timers.target
`,
	}
}

// afterInitPush says what is left to do.
func (a *app) afterInitPush(n newPush, crypt gocryptfs.Key, public string) {
	flag := ""
	if n.output != a.pushConfig() {
		flag = " -c " + shellWord(n.output)
	}
	say := func(format string, args ...any) { fmt.Fprintf(a.stdout, format+"\n", args...) }
	say("Wrote %s.", n.output)
	if n.encrypt != "" {
		say(`
KEEP A COPY of these two files away from this machine, on paper if need be. When
they are lost nobody can read the backup, and nobody can make them again:
  %s
  %s`, crypt.Config, crypt.PasswordFile)
	}
	say(`
1. This machine's public key, for the receiver's config, then mayfly deploy there:
     %s:
       keys: [%q]

2. Try it while the window is open (mayfly start opens one):
     mayfly push%s
`, n.host, public, flag)
	if n.systemd != "" {
		say("3. Every night at %s, by the two files in %s:\n     systemctl daemon-reload && systemctl enable --now mayfly-push.timer\n", n.at, n.systemd)
	} else {
		hour, minute, _ := strings.Cut(n.at, ":")
		say("3. Every night at %s: a line for cron,\n     %s %s * * * %s\n   or with systemd (--systemd DIR writes them) two files:\n", n.at,
			number(minute), number(hour), n.command(" -q", cronWord))
		for _, name := range []string{"mayfly-push.service", "mayfly-push.timer"} {
			say("     /etc/systemd/system/%s\n       %s\n", name, strings.ReplaceAll(strings.TrimSpace(n.units()[name]), "\n", "\n       "))
		}
		say("   and: systemctl enable --now mayfly-push.timer\n")
	}
	say("Next: mayfly push --print%s shows what it will do", flag)
}

// number is one without a leading zero.
func number(s string) string {
	if s = strings.TrimLeft(s, "0"); s == "" {
		return "0"
	}
	return s
}
