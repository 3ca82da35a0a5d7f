//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"mayfly/internal/sshd"
)

// keys makes a key pair for the server and each host in dir.
func keys(dir string) error {
	for i := -1; i < hosts; i++ {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, name(i))).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
		if i >= 0 {
			if err := os.MkdirAll(filepath.Join(dir, "to", name(i)), 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

func name(i int) string {
	if i < 0 {
		return "server"
	}
	return fmt.Sprintf("host%d", i)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// reach fills in how hosts get there, and waits until they do.
func (c *contender) reach(dir, port string, to func(i int) string) error {
	public, err := os.ReadFile(filepath.Join(dir, "server.pub"))
	if err != nil {
		return err
	}
	known := filepath.Join(dir, "known")
	if err := os.WriteFile(known, fmt.Appendf(nil, "[127.0.0.1]:%s %s", port, public), 0o644); err != nil {
		return err
	}
	for i := range hosts {
		c.dirs = append(c.dirs, filepath.Join(dir, "to", name(i)))
		c.ssh = append(c.ssh, fmt.Sprintf("ssh -F none -p %s -i %s -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=%s", port, filepath.Join(dir, name(i)), known))
		c.to = append(c.to, "root@127.0.0.1:"+to(i))
	}
	for range 100 {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			return conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New(c.name + " does not listen")
}

// plain is OpenSSH's server, as it comes.
func plain(dir string) (*contender, error) {
	dir = filepath.Join(dir, "openssh")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.MkdirAll("/run/sshd", 0o755)); err != nil {
		return nil, err
	}
	if err := keys(dir); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	authorized := ""
	for i := range hosts {
		b, err := os.ReadFile(filepath.Join(dir, name(i)+".pub"))
		if err != nil {
			return nil, err
		}
		authorized += string(b)
	}
	conf := filepath.Join(dir, "sshd_config")
	text := strings.Join([]string{"ListenAddress 127.0.0.1", "Port " + port, "HostKey " + filepath.Join(dir, "server"), "AuthorizedKeysFile " + filepath.Join(dir, "authorized"),
		"StrictModes no", "PermitRootLogin yes", "UsePAM no", "PidFile none", "PasswordAuthentication no", "MaxStartups 100"}, "\n") + "\n"
	if err := errors.Join(os.WriteFile(conf, []byte(text), 0o644), os.WriteFile(filepath.Join(dir, "authorized"), []byte(authorized), 0o600)); err != nil {
		return nil, err
	}
	c := &contender{name: "OpenSSH"}
	if c.cmd, err = start("/usr/sbin/sshd", "-D", "-e", "-q", "-f", conf); err != nil {
		return nil, err
	}
	return c, c.reach(dir, port, func(i int) string { return filepath.Join(dir, "to", name(i)) + "/" })
}

// ours is mayfly's server, in a process of its own.
func ours(dir string) (*contender, error) {
	dir = filepath.Join(dir, "mayfly")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := keys(dir); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "port"), []byte(port), 0o644); err != nil {
		return nil, err
	}
	c := &contender{name: "mayfly"}
	if c.cmd, err = start("/proc/self/exe", "-serve", dir); err != nil {
		return nil, err
	}
	return c, c.reach(dir, port, func(int) string { return "" })
}

// serve is the process of ours.
func serve(dir string) error {
	debug.SetMemoryLimit(48 << 20) // as mayfly's main does
	b, err := os.ReadFile(filepath.Join(dir, "server"))
	if err != nil {
		return err
	}
	key, err := ssh.ParsePrivateKey(b)
	if err != nil {
		return err
	}
	config := sshd.Config{HostKey: key}
	for i := range hosts {
		public, err := os.ReadFile(filepath.Join(dir, name(i)+".pub"))
		if err != nil {
			return err
		}
		k, _, _, _, err := ssh.ParseAuthorizedKey(public)
		if err != nil {
			return err
		}
		config.Hosts = append(config.Hosts, sshd.Host{Name: name(i), Keys: []ssh.PublicKey{k}, Dir: filepath.Join(dir, "to", name(i))})
	}
	s, err := sshd.New(config)
	if err != nil {
		return err
	}
	port, err := os.ReadFile(filepath.Join(dir, "port"))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+string(port))
	if err != nil {
		return err
	}
	return s.Serve(l)
}
