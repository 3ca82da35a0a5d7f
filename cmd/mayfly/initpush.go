package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"mayfly/internal/gocryptfs"
	"mayfly/push"
)

// A newPush is what a person says to get a first push.yaml.
type newPush struct {
	deployment, host, hostKey, address, key, encrypt, start string
	port                                                    int
	sources                                                 []string
	output                                                  string
	at, systemd                                             string
}

func newInitPushCmd(a *app) *cobra.Command {
	var n newPush
	c := &cobra.Command{
		Use:   "push",
		Short: "Write a config for this machine, which pushes to a receiver",
		Long: `Push writes push.yaml for this machine, makes its key if there is none, and says
what to do with the public half, and how the push is called every night. What
--deployment, --host-key, --address and --port are, mayfly deploy has printed.

With --encrypt gocryptfs it also makes the key by which names and contents are
encrypted before they leave this machine. Keep a copy of its two files elsewhere:
without them nobody can read the backup.`,
		Example: `  mayfly init push --deployment hosts --host web --source /etc --source /home \
    --address backup.example.com --port 2222 --host-key "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPrb4qPCmkuMsTSnKHfurwgxiq0MwUFk9Kgb8fio+IoN"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n.output = cmp.Or(n.output, a.pushConfig())
			return a.initPush(cmd.Context(), n)
		},
	}
	f := c.Flags()
	f.StringVar(&n.deployment, "deployment", "", "`NAME` of the receiver's deployment")
	f.StringVar(&n.host, "host", "", "`NAME` of this machine in the receiver's config (default the machine's)")
	f.StringVar(&n.hostKey, "host-key", "", "the receiver's public `KEY`")
	f.StringVar(&n.address, "address", "", "where the receiver is: `HOST`, or with AWS credentials s3://BUCKET/JOB or a parameter like /hosts/address, and --region")
	f.StringVar(&n.start, "region", "", "AWS `REGION` of the bucket or the parameter")
	f.IntVar(&n.port, "port", 22, "the receiver's TCP `PORT`")
	f.StringVar(&n.key, "key", "", "`FILE` with this machine's private key; made if it is not there (default push_ed25519 beside the config)")
	f.StringArrayVar(&n.sources, "source", nil, "a `DIRECTORY` to push; may be repeated")
	f.StringVar(&n.encrypt, "encrypt", "", "gocryptfs: encrypt names and contents before they leave this machine")
	f.StringVarP(&n.output, "output", "o", "", "`FILE` to write (default "+a.pushConfig()+")")
	f.StringVar(&n.at, "at", "01:05", "the `TIME` of this machine's clock at which it pushes every night, some minutes after the window's start")
	f.StringVar(&n.systemd, "systemd", "", "write mayfly-push.service and mayfly-push.timer into `DIR`, like /etc/systemd/system, instead of printing them")
	return c
}

func (a *app) initPush(ctx context.Context, n newPush) error {
	if !clockForm.MatchString(n.at) {
		return usageError(fmt.Errorf("init push: --at %s: write a time of day like 01:05", n.at))
	}
	n.host = cmp.Or(n.host, strings.ToLower(strings.SplitN(a.hostname, ".", 2)[0]))
	for _, missing := range []struct{ value, flag, what string }{
		{n.deployment, "--deployment", "what is the receiver's deployment called"},
		{n.hostKey, "--host-key", "by which key is the receiver known? mayfly deploy has printed it"},
		{n.address, "--address", "where is the receiver"},
		{strings.Join(n.sources, ""), "--source", "what is pushed"},
	} {
		if missing.value == "" {
			return usageError(fmt.Errorf("init push: %s: add %s", strings.TrimSuffix(missing.what, "?"), missing.flag))
		}
	}
	if n.encrypt != "" && n.encrypt != "gocryptfs" {
		return usageError(fmt.Errorf("init push: --encrypt %s: only gocryptfs is known", n.encrypt))
	}
	output, err := filepath.Abs(n.output)
	if err != nil {
		return usageError(fmt.Errorf("init push: %w", err))
	}
	n.output = output
	dir := filepath.Dir(output)
	n.key = cmp.Or(n.key, filepath.Join(dir, "push_ed25519"))
	crypt := gocryptfs.Key{Config: filepath.Join(dir, "gocryptfs.conf"), PasswordFile: filepath.Join(dir, "gocryptfs.password")}
	text := n.text(crypt)
	if _, err := push.Parse(n.output, []byte(text)); err != nil {
		return usageError(fmt.Errorf("init push: this would not do:\n%w", err))
	}
	if _, err := os.Lstat(output); err == nil {
		return usageError(fmt.Errorf("write config: %s exists and is kept: name another file with --output", n.output))
	}
	if st, err := os.Stat(cmp.Or(n.systemd, ".")); err != nil || !st.IsDir() {
		return usageError(fmt.Errorf("init push: --systemd %s is no directory", n.systemd))
	}
	if _, err := exec.LookPath("gocryptfs"); n.encrypt != "" && err != nil {
		return usageError(fmt.Errorf("init push: %w", gocryptfs.ErrMissing))
	}
	units := n.units()
	for name := range units {
		if _, err := os.Lstat(filepath.Join(n.systemd, name)); n.systemd != "" && err == nil {
			return usageError(fmt.Errorf("init push: %s exists and is kept: name another directory with --systemd", filepath.Join(n.systemd, name)))
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return usageError(fmt.Errorf("init push: %w", err))
	}
	public, err := hostsOwnKey(n.key, n.host)
	if err != nil {
		return usageError(err)
	}
	if n.encrypt != "" {
		if err := a.cryptKey(ctx, crypt); err != nil {
			return usageError(err)
		}
	}
	if err := createNew(n.output, text); err != nil {
		return usageError(err)
	}
	if n.systemd != "" {
		for name, text := range units {
			if err := createNew(filepath.Join(n.systemd, name), text); err != nil {
				return usageError(err)
			}
		}
	}
	a.afterInitPush(n, crypt, public)
	return nil
}

var clockForm = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)

// cryptKey makes the key that encrypts, unless it is there.
func (a *app) cryptKey(ctx context.Context, k gocryptfs.Key) error {
	if _, err := os.Stat(k.Config); err == nil {
		return k.Check()
	}
	return gocryptfs.Make(ctx, k)
}

// hostsOwnKey returns the public half of the key in a file, which is made if it
// is not there.
func hostsOwnKey(file, comment string) (string, error) {
	b, err := os.ReadFile(file)
	if err == nil {
		signer, err := ssh.ParsePrivateKey(b)
		if err != nil {
			return "", fmt.Errorf("read the key in %s: %w: name another file with --key, one without a passphrase", file, err)
		}
		return authorized(signer.PublicKey(), comment), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the key: %w", err)
	}
	private, key, err := newKeyPair(comment)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	_, err = f.Write(private)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("make a key: %w", err), os.Remove(file))
	}
	line := authorized(key, comment)
	return line, os.WriteFile(file+".pub", []byte(line+"\n"), 0o644)
}

func authorized(key ssh.PublicKey, comment string) string { return keyText(key) + " " + comment }

// text is the config, with comments that say what else there is.
func (n newPush) text(crypt gocryptfs.Key) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# What this machine pushes, by mayfly push. mayfly schema push prints the schema.")
	line("deployment: %s", yamlText(n.deployment))
	line("host: %s", yamlText(n.host))
	line("# The receiver's key: no other machine gets anything.")
	line("host_key: %s", yamlText(n.hostKey))
	line("# This machine's key; its public half is in the receiver's config.")
	line("key: %s", yamlText(n.key))
	switch {
	case strings.HasPrefix(n.address, "s3://"):
		line("address: {store: %s, region: %s}", yamlText(n.address), yamlText(n.start))
	case strings.HasPrefix(n.address, "/"):
		line("address: {parameter: %s, region: %s}", yamlText(n.address), yamlText(n.start))
	default:
		line("address: %s", yamlText(n.address))
	}
	line("port: %d", n.port)
	line("# Start the deployment first; this machine needs AWS credentials for that.")
	line("# start: {region: eu-west-1}")
	line("# For how long to try when the window is not open yet.")
	line("wait: 1h")
	line("sources:")
	for _, s := range n.sources {
		line("  - %s", yamlText(s))
	}
	line("  # - {path: /home, exclude: [.cache, \"*.iso\"], mounted: true}")
	line("# What is gone here is deleted there, unless it is more files than this; the")
	line("# snapshots have it still.")
	line("max_delete: 1000")
	line("# bwlimit: 10M")
	if n.encrypt != "" {
		line("# Both files never leave this machine. Without a copy of them, kept elsewhere,")
		line("# nobody can read the backup.")
		line("encrypt: {gocryptfs: {config: %s, password_file: %s}}", yamlText(crypt.Config), yamlText(crypt.PasswordFile))
	}
	return b.String()
}
