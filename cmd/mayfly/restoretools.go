package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"mayfly/internal/remote"
)

// tools are ssh and rsync, and the key that is made for one restore.
type tools struct {
	acls   bool   // rsync keeps ACLs and extended attributes
	dir    string // of the key and the known host; gone at the end
	public string // in the form of authorized_keys
	remote []string
	rsync  func(argv []string) rsyncSaid // of a test; nil: this machine's
	target string                        // "restore@address"
}

// findTools finds the programs, and makes the key.
func findTools(ctx context.Context) (*tools, error) {
	r, err := remote.FindModern(ctx)
	if err != nil {
		return nil, fmt.Errorf("files of hosts are fetched with ssh and rsync: %w", err)
	}
	t := &tools{acls: r.ACLs && r.Xattrs}
	if t.dir, err = os.MkdirTemp("", "mayfly-restore-"); err != nil {
		return nil, err
	}
	private, public, err := newKeyPair("mayfly restore")
	if err == nil {
		err = os.WriteFile(filepath.Join(t.dir, "key"), private, 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(t.dir))
	}
	t.public = keyText(public)
	return t, nil
}

func (t *tools) drop() { _ = os.RemoveAll(t.dir) }

// serve says where the instance is and by which key it is known. Nothing of the
// user's own configuration and known hosts is read or written.
func (t *tools) serve(name, key, address string, port int) error {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return fmt.Errorf("the run does not say how it is reached: %q", address)
	}
	known := filepath.Join(t.dir, "known_hosts")
	if err := os.WriteFile(known, []byte(remote.KnownHosts(name, key)), 0o600); err != nil {
		return err
	}
	t.target = "restore@" + ip.String()
	if ip.Is6() {
		t.target = "restore@[" + ip.String() + "]"
	}
	t.remote = remote.SSH{Alias: name, Port: port, Key: filepath.Join(t.dir, "key"), Known: known}.Args()
	return nil
}

// sayDone tells the run that nothing else is wanted.
func (t *tools) sayDone(ctx context.Context) error {
	if len(t.remote) == 0 {
		return nil // it was not called yet
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	host := strings.NewReplacer("[", "", "]", "").Replace(t.target)
	argv := append(append([]string{}, t.remote[1:]...), host, "done")
	return exec.CommandContext(ctx, "ssh", argv...).Run()
}

// sources are rsync's arguments for paths: none of them is a pattern.
func (t *tools) sources(paths []string) []string {
	if len(paths) == 0 {
		return []string{t.target + ":./"}
	}
	quote := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)
	list := []string{t.target + ":./" + quote.Replace(paths[0])}
	for _, p := range paths[1:] {
		list = append(list, ":./"+quote.Replace(p))
	}
	return list
}

// A said is what rsync has.
type rsyncSaid struct {
	code     int
	out, err string
}

// call runs rsync. ctx's end is a SIGTERM, so that it keeps what has come.
func (t *tools) call(ctx context.Context, show io.Writer, argv ...string) (rsyncSaid, error) {
	return t.start(ctx, show, append([]string{"-e", remote.Shell(t.remote), "-s"}, argv...)...)
}

// local copies from one folder here to another.
func (t *tools) local(ctx context.Context, argv ...string) (rsyncSaid, error) {
	return t.start(ctx, nil, argv...)
}

func (t *tools) start(ctx context.Context, show io.Writer, argv ...string) (rsyncSaid, error) {
	if t.rsync != nil {
		return t.rsync(argv), ctx.Err()
	}
	c := exec.CommandContext(ctx, "rsync", argv...)
	c.Env = append(os.Environ(), "LC_ALL=C", "RSYNC_RSH=", "RSYNC_PROTECT_ARGS=", "RSYNC_PARTIAL_DIR=")
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if show != nil {
		c.Stdout = io.MultiWriter(&out, show)
	}
	err := c.Run()
	if c.ProcessState == nil {
		return rsyncSaid{}, err
	}
	return rsyncSaid{c.ProcessState.ExitCode(), out.String(), errs.String()}, ctx.Err()
}
