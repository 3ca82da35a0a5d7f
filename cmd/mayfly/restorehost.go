package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/cloud"
	"mayfly/internal/store"
	"mayfly/jobs/receive"
	"mayfly/runner"
)

// A hostOptions is what mayfly restore is asked for of a host that pushes.
type hostOptions struct {
	output    string
	overwrite bool
	raw       bool
	json      bool
	// The files of gocryptfs's key.
	config, password string
}

func (o *hostOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&o.output, "output", "o", "", "of a host: the `DIR` for its files, new or empty")
	f.BoolVar(&o.overwrite, "overwrite", false, "of a host: DIR may have files, which are replaced")
	f.BoolVar(&o.raw, "raw", false, "of a host that encrypts: the files as they are stored")
	f.StringVar(&o.config, "gocryptfs-config", "", "of a host that encrypts: its gocryptfs.conf, `FILE`")
	f.StringVar(&o.password, "password-file", "", "of a host that encrypts: the `FILE` with its password")
	f.BoolVar(&o.json, "json", false, "of a host: print its snapshots as JSON; fields are added over time, never renamed")
}

// given names a flag that is about hosts only.
func (o hostOptions) given() string {
	switch {
	case o.output != "":
		return "--output"
	case o.overwrite:
		return "--overwrite"
	case o.raw:
		return "--raw"
	case o.json:
		return "--json"
	case o.config != "":
		return "--gocryptfs-config"
	case o.password != "":
		return "--password-file"
	}
	return ""
}

// A hostRestore is a restore of a host's files.
type hostRestore struct {
	app    *app
	o      restoreOptions
	config *runner.Config
	src    []byte
	job    runner.JobSpec
	spec   *receive.Config
	host   string
	paths  []string // relative to the host's directory; none: all of it
	aws    services
	st     store.Store
	who    cloud.Caller
}

// hostWanted finds out whether a path is below a job to which hosts push; nil:
// it is not, or the config says nothing of that.
func (a *app) hostWanted(ctx context.Context, o restoreOptions, args []string) *hostRestore {
	if o.store != "" {
		return nil
	}
	if a.config == "-" { // it is read again when it is about something else
		b, err := io.ReadAll(io.LimitReader(a.stdin, 16<<20))
		if err != nil {
			return nil
		}
		a.stdin = bytes.NewReader(b)
		defer func() { a.stdin = bytes.NewReader(b) }()
	}
	name, src, err := a.readConfig(ctx)
	if err != nil {
		return nil
	}
	c, err := runner.Parse(name, src, a.parseOptions())
	if err != nil {
		return nil
	}
	for _, j := range c.Jobs {
		spec, ok := j.Config.(*receive.Config)
		rest, below := strings.CutPrefix(strings.TrimSuffix(args[0], "/")+"/", string(j.Prefix)+"/")
		if !ok || !below {
			continue
		}
		r := &hostRestore{app: a, o: o, config: c, src: src, job: j, spec: spec}
		host, inside, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
		r.host = host
		if inside != "" {
			r.paths = append(r.paths, inside)
		}
		r.paths = append(r.paths, args[1:]...)
		return r
	}
	return nil
}

func (r *hostRestore) run(ctx context.Context) error {
	bad := func(format string, a ...any) error {
		return usageError(fmt.Errorf("restore %s/%s: "+format, append([]any{r.job.Prefix, r.host}, a...)...))
	}
	if err := r.check(); err != nil {
		return bad("%w", err)
	}
	listing := len(r.paths) == 0 && r.o.host.output == ""
	if listing && (r.o.host.overwrite || r.o.host.raw || r.o.at != "") {
		return bad("name paths, or a folder for all of it with -o DIR; without both its snapshots are listed")
	}
	if r.o.host.json && !listing {
		return bad("--json lists snapshots: leave paths and -o out")
	}
	w := newWorld(r.config, r.app.getenv)
	var err error
	if r.aws, err = w.services(ctx); err != nil {
		return usageError(err)
	}
	if r.who, err = r.aws.Caller(ctx); err != nil {
		return usageError(err)
	}
	if r.st, err = w.store(ctx); err != nil {
		return err
	}
	all, err := r.aws.ec2.Snapshots(ctx, tagKey, string(r.config.Name))
	if err != nil {
		return err
	}
	list := snapshotsOf(all, r.host)
	if listing {
		return r.list(ctx, list)
	}
	snap, err := r.choose(ctx, all, list)
	if err != nil {
		return bad("%w", err)
	}
	tools, err := findTools(ctx)
	if err != nil {
		return bad("%w", err)
	}
	if r.o.host.output == "" {
		r.o.host.output = r.host
	}
	made, err := r.destination()
	if err != nil {
		tools.drop()
		return bad("%w", err)
	}
	d, err := r.decryption()
	if err == nil {
		err = r.fetch(ctx, snap, tools, d)
	} else {
		tools.drop()
		err = bad("%w", err)
	}
	d.drop()
	if made && err != nil {
		_ = os.Remove(r.o.host.output) // if nothing came
	}
	return interrupted(ctx, err)
}

// check finds what cannot be meant.
func (r *hostRestore) check() error {
	hosts := r.hosts()
	if o := r.o.host; (o.config == "") != (o.password == "") {
		return errors.New("the key is two files, --gocryptfs-config and --password-file: name both")
	} else if o.raw && o.config != "" {
		return errors.New("--raw decrypts nothing: leave it out, or the key")
	}
	if r.host == "" {
		return fmt.Errorf("which host? %s", strings.Join(hosts, ", "))
	}
	if !slices.Contains(hosts, r.host) {
		return fmt.Errorf("there is no such host in the config; there are %s", strings.Join(hosts, ", "))
	}
	for flag, given := range map[string]bool{"--wiki": r.o.wiki, "--checkout": r.o.checkout, "--all": r.o.all, "--push-to": r.o.pushTo != ""} {
		if given {
			return fmt.Errorf("%s is about repositories: leave it out", flag)
		}
	}
	for i, p := range r.paths {
		clean := path.Clean("/" + p)[1:]
		if strings.ContainsAny(p, "\x00\n\r") || slices.Contains(strings.Split(p, "/"), "..") {
			return fmt.Errorf("%q is no path below the host's directory", p)
		}
		if clean == "" {
			r.paths = nil // it is all of it
			if r.o.host.output == "" {
				r.o.host.output = r.host
			}
			return nil
		}
		r.paths[i] = clean
	}
	return nil
}

func (r *hostRestore) hosts() []string {
	var list []string
	for name := range r.spec.Hosts {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// destination makes the folder, unless it is there and empty.
func (r *hostRestore) destination() (made bool, err error) {
	dir, err := filepath.Abs(r.o.host.output) // rsync takes web:x for a machine
	if err != nil {
		return false, err
	}
	r.o.host.output = dir
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return true, os.MkdirAll(dir, 0o755)
	case err != nil:
		return false, err
	case len(entries) > 0 && !r.o.host.overwrite:
		return false, fmt.Errorf("%s is not empty (%s): name another folder with -o, or --overwrite, which replaces files of the same names, deletes none, and goes on where a restore was cut off", dir, entries[0].Name())
	}
	return false, nil
}

// fetch gets the files, and puts away what was opened for that.
func (r *hostRestore) fetch(ctx context.Context, snap *cloud.Snapshot, tools *tools, d *decryption) error {
	defer tools.drop()
	s := &restoreSession{hostRestore: r, tools: tools, id: newRequestID(r.app.now()), decryption: d, get: r.paths, into: r.o.host.output}
	if d != nil {
		var err error
		if s.get, err = d.names(ctx, r.paths); err != nil {
			return err
		}
		s.into = d.stored
	}
	s.request = receive.Request{ID: s.id, Host: r.host, Key: tools.public, By: r.who.ARN + " on " + r.app.hostname}
	if snap != nil {
		s.request.Snapshot = snap.ID
	}
	err := s.begin(ctx)
	if err == nil {
		err = s.work(ctx)
	}
	last := s.end(ctx)
	if err != nil && last != nil {
		r.app.say("mayfly: %v", last)
		return err
	}
	return errors.Join(err, last)
}

func newRequestID(now time.Time) string {
	return strings.ToLower(now.UTC().Format("20060102t150405z")) + "-" + randomLetters(16)
}
