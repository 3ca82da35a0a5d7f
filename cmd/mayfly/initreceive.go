package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly/runner"
)

// A receiver is what a person says of hosts that push.
type receiver struct {
	hosts, keys, addresses, ranges []string
	port                           int
	window, keep                   string
	parsed                         []startedHost
	address                        []string // of the config, as text
	deadline                       string
}

type startedHost struct {
	name, size string
	keys       []string
}

func newInitReceiveCmd(a *app) *cobra.Command {
	var s starter
	var r receiver
	c := &cobra.Command{
		Use:   "receive",
		Short: "Write a config for servers that push over rsync and SFTP",
		Long: `Receive writes a config for an instance that opens a window in which servers push
their backups, each with its own key to its own volume.

--address says how the servers find the instance, whose address is another one
every time; it may be repeated:

  eipalloc-0123456789abcdef0             an Elastic IP of yours
  backup.example.com@Z0123456789ABC      a name in a Route 53 zone of yours
  ssm:/hosts/dyndns                      where the update URL of a dynamic DNS service is kept
  /hosts/address                         a parameter, for servers with AWS credentials
  store                                  a file in the bucket, for servers with AWS credentials`,
		Example: `  mayfly init receive --host web=20 --key web=web.pub --host db=100 --key db=db.pub \
    --from 203.0.113.0/24 --address backup.example.com@Z0123456789ABC \
    --store s3://hostsbucket --region eu-west-1 --email you@example.com --start "0 1 * * *"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.initOutput(cmd, &s); err != nil {
				return err
			}
			if err := r.read(); err != nil {
				return usageError(fmt.Errorf("init receive: %w", err))
			}
			if !strings.HasPrefix(s.store, "s3://") {
				return usageError(errors.New("init receive: servers push to an instance, which needs a bucket for its reports: add --store s3://BUCKET"))
			}
			s.receive = &r
			return a.initConfig("receive", s)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&r.hosts, "host", nil, "a server's `NAME[=GIB]`, and the size of the volume that deploy creates for it (default 20); may be repeated")
	f.StringArrayVar(&r.keys, "key", nil, "`NAME=FILE` with a server's public key, its ~/.ssh/id_ed25519.pub; may be repeated")
	f.StringArrayVar(&r.addresses, "address", nil, "how servers find the instance, see above: an `ADDRESS`; may be repeated")
	f.StringArrayVar(&r.ranges, "from", nil, "the addresses of the servers, as `CIDR`, like 203.0.113.0/24; may be repeated")
	f.IntVar(&r.port, "port", 22, "the TCP `PORT` that they connect to")
	f.StringVar(&r.window, "window", "2h", "how long they can push, a `TIME`")
	f.StringVar(&r.keep, "keep", "30d", "how long snapshots are kept, a `TIME`")
	s.flags(f, "hosts-backup")
	f.StringVar(&s.store, "store", "", "where reports go: s3://BUCKET")
	s.scheduleFlags(f, "when the window opens, in `CRON`'s five fields, like \"0 1 * * *\"")
	return c
}

var (
	recordForm = regexp.MustCompile(`^([^@\s]+)@(Z[A-Z0-9]+)$`)
	gibForm    = regexp.MustCompile(`^[1-9][0-9]{0,4}$`)
)

// read makes of the flags what the config says. Keys are read from their files
// here; the rest is checked as every config is.
func (r *receiver) read() error {
	switch {
	case len(r.hosts) == 0:
		return errors.New("which servers push? add --host NAME for each, or --host NAME=GIB")
	case len(r.ranges) == 0:
		return errors.New("from where do they connect? add --from with their addresses, like 203.0.113.0/24, or 198.51.100.7/32 for one")
	case len(r.addresses) == 0:
		return errors.New("how do they find the instance? add --address; mayfly init receive --help has its forms")
	}
	for _, h := range r.hosts {
		name, size, sized := strings.Cut(h, "=")
		if !sized {
			size = "20"
		}
		if !hostForm.MatchString(name) || !gibForm.MatchString(size) {
			return fmt.Errorf("--host %s: write a name of lower-case letters, digits and hyphens, and a size in GiB: web=20", h)
		}
		if slices.ContainsFunc(r.parsed, func(o startedHost) bool { return o.name == name }) {
			return fmt.Errorf("--host %s: it is there twice", name)
		}
		r.parsed = append(r.parsed, startedHost{name: name, size: size})
	}
	for _, k := range r.keys {
		name, file, ok := strings.Cut(k, "=")
		i := slices.IndexFunc(r.parsed, func(h startedHost) bool { return h.name == name })
		if !ok || i < 0 {
			return fmt.Errorf("--key %s: write it like web=FILE, with the name of a --host", k)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("--key %s: %w", name, err)
		}
		r.parsed[i].keys = append(r.parsed[i].keys, strings.TrimSpace(string(b)))
	}
	for _, h := range r.parsed {
		if len(h.keys) == 0 {
			return fmt.Errorf("by which key is %s known? add --key %[1]s=FILE, a copy of the ~/.ssh/id_ed25519.pub there; ssh-keygen -t ed25519 on %[1]s makes one", h.name)
		}
	}
	for _, a := range r.addresses {
		switch m := recordForm.FindStringSubmatch(a); {
		case m != nil:
			r.address = append(r.address, fmt.Sprintf("route53: {zone: %s, name: %s}", m[2], yamlText(m[1])))
		case strings.HasPrefix(a, "eipalloc-"):
			r.address = append(r.address, "elastic_ip: "+yamlText(a))
		case strings.HasPrefix(a, "ssm:"), strings.HasPrefix(a, "secretsmanager:"):
			r.address = append(r.address, "url: "+yamlText(a))
		case strings.HasPrefix(a, "/"):
			r.address = append(r.address, "parameter: "+yamlText(a))
		case a == "store":
			r.address = append(r.address, "store: true")
		default:
			return fmt.Errorf("--address %s: it has none of the forms that mayfly init receive --help shows", a)
		}
	}
	var window, keep runner.Duration
	if err := window.UnmarshalText([]byte(r.window)); err != nil {
		return fmt.Errorf("--window %s: %w", r.window, err)
	}
	if err := keep.UnmarshalText([]byte(r.keep)); err != nil {
		return fmt.Errorf("--keep %s: %w", r.keep, err)
	}
	r.deadline = runner.Duration(time.Duration(window) + 30*time.Minute).String()
	return nil
}

// job writes the job of hosts that push.
func (r *receiver) job(line func(string, ...any)) {
	var ranges []string
	for _, c := range r.ranges {
		ranges = append(ranges, yamlText(c))
	}
	line("  - name: hosts")
	line("    receive:")
	line("      # How long servers can push, at most. It closes when all have.")
	line("      window: %s", r.window)
	line("      # How long snapshots are kept; or {last: 7, within: 30d}. The newest good")
	line("      # one of each host always stays.")
	line("      keep: %s", r.keep)
	line("      # Nothing but this comes in; the machine's own SSH server is off.")
	line("      listen: {port: %d, from: [%s]}", r.port, strings.Join(ranges, ", "))
	line("      # How servers find the instance; set when the window opens, removed when it")
	line("      # closes.")
	line("      address: {%s}", strings.Join(r.address, ", "))
	line("      # A host that sends nothing for so long after a complete transfer is done.")
	line("      # idle: 15m")
	line("      hosts:")
	for i, h := range r.parsed {
		line("        %s:", yamlText(h.name))
		if i == 0 {
			line("          # GiB of the volume that deploy creates, and enlarges when you write")
			line("          # more; or volume: vol-0123456789abcdef0 for one of your own.")
		}
		line("          size: %s", h.size)
		if i == 0 {
			line("          # type: st1             # gp3 by default")
			line("          # pull: true            # it may read its files back")
			line("          # append_only: true     # it may neither delete nor overwrite")
		}
		line("          keys:")
		for _, k := range h.keys {
			line("            - %s", yamlText(k))
		}
	}
}
