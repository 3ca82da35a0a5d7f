package main

import (
	"fmt"
	"os"

	"mayfly/internal/gocryptfs"
)

// afterInitPush says what is left to do.
func (a *app) afterInitPush(n newPush, crypt gocryptfs.Key, public string) {
	program, err := os.Executable()
	if err != nil {
		program = "mayfly"
	}
	command, flag := "mayfly push", ""
	if n.output != a.pushConfig() {
		flag = " -c " + shellWord(n.output)
	}
	fmt.Fprintf(a.stdout, "Wrote %s.\n", n.output)
	if n.encrypt != "" {
		fmt.Fprintf(a.stdout, `
KEEP A COPY of these two files away from this machine, on paper if need be. When
they are lost nobody can read the backup, and nobody can make them again:
  %s
  %s
`, crypt.Config, crypt.PasswordFile)
	}
	fmt.Fprintf(a.stdout, `
1. This machine's public key, for the receiver's config, then mayfly deploy there:
     %s:
       keys: [%q]

2. Try it while the window is open (mayfly start opens one):
     %s%s

3. Every night, five minutes after the window's start. With systemd, two files:

     /etc/systemd/system/mayfly-push.service
       [Unit]
       Description=Push this machine's files to %s
       Wants=network-online.target
       After=network-online.target
       [Service]
       Type=oneshot
       ExecStart=%s push%s
       Nice=10
       IOSchedulingClass=idle

     /etc/systemd/system/mayfly-push.timer
       [Unit]
       Description=Push this machine's files to %s every night
       [Timer]
       OnCalendar=*-*-* 01:05:00
       Persistent=false
       [Install]
       WantedBy=timers.target

   and: systemctl enable --now mayfly-push.timer. Or a line for cron:

     5 1 * * * %s push -q%s

`, n.host, public, command, flag, n.deployment, program, flag, n.deployment, program, flag)
	fmt.Fprintf(a.stdout, "Next: %s --print%s shows what it will do\n", command, flag)
}
