// Mayfly runs the jobs of one YAML file on a cloud instance that then
// disappears, and on a person's own machine sets that up, starts it, and gets
// the data back.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // a static binary on a machine without zoneinfo still knows Europe/Berlin

	"mayfly/internal/ending"
	"mayfly/internal/sshd"
)

func main() {
	if sshd.IsHelper() { // a jail's, started by the receiver
		os.Exit(sshd.Helper())
	}
	// A run outlives whoever reads its output: writing to a closed pipe is an
	// error like any other, not the end.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	hostname, _ := os.Hostname() // a run id can do without
	a := &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		getenv: os.Getenv, now: time.Now, hostname: hostname,
		machine: ending.ThisMachine,
	}
	os.Exit(a.main(ctx, os.Args[1:]))
}
