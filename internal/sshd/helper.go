package sshd

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"mayfly/internal/jail"
	"mayfly/internal/sftpd"
)

// IsHelper reports whether this process was started by a server to build a
// jail. Then main does nothing but Helper.
func IsHelper() bool { return jail.IsHelper() }

// Helper builds a jail, or serves SFTP inside of one, and returns the exit
// status.
func Helper() int { return jail.Helper(serveSFTP) }

func serveSFTP(task []byte) error {
	var o sftpd.Options
	if err := json.Unmarshal(task, &o); err != nil {
		return err
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() {
		<-end
		os.Exit(128 + int(syscall.SIGTERM))
	}()
	changed, err := sftpd.Serve(stdio{}, jail.Dir, o)
	switch {
	case err == nil && changed:
		os.Exit(statusChanged)
	case errors.Is(err, syscall.ENOSPC):
		fmt.Fprintln(os.Stderr, "mayfly:", err)
		os.Exit(statusFull)
	}
	return err
}

// statusChanged is how an SFTP jail says that the session has gone well and has
// changed something. The client gets 0.
const statusChanged = 77

// statusFull says that the disk is full, as rsync's exit status does.
const statusFull = 11

// stdio is standard input and output as one.
type stdio struct{}

func (stdio) Read(b []byte) (int, error)  { return os.Stdin.Read(b) }
func (stdio) Write(b []byte) (int, error) { return os.Stdout.Write(b) }
func (stdio) Close() error                { return os.Stdin.Close() }
