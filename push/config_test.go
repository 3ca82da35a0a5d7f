package push

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the schema")

const good = `deployment: hosts
host: web
host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPrb4qPCmkuMsTSnKHfurwgxiq0MwUFk9Kgb8fio+IoN
key: /etc/mayfly/push_ed25519
address: backup.example.com
`

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		good + "sources: [/etc, /home]\n",
		good + "sources: [{path: /, one_file_system: true}, /home]\nport: 2222\nwait: 2h\nstart: {region: eu-west-1}\nbwlimit: 10M\ncompress: true\n",
		strings.Replace(good, "backup.example.com", "{store: s3://hostsbucket/hosts, region: eu-west-1}", 1) + "sources: [{path: /srv, to: srv2, exclude: [/x, '*.iso'], mounted: true}]\ndelete: false\n",
		strings.Replace(good, "backup.example.com", "{parameter: /hosts/address, region: eu-west-1}", 1) + "sources: [/etc]\nappend_only: true\n",
		strings.Replace(good, "backup.example.com", "'2001:db8::1'", 1) + "sources: [/etc]\nencrypt: {gocryptfs: {config: /a, password_file: /b}}\n",
	} {
		if _, err := Parse("push.yaml", []byte(text)); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
}

// Every key with a value that would not do is refused, in its place and with
// what would be right; and all at once.
func TestConfigRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"deployment: Hosts", "deployment: "},
		{"host: WEB", "host: is no name of a host"},
		{"host_key: hosts ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPrb4qPCmkuMsTSnKHfurwgxiq0MwUFk9Kgb8fio+IoN", "host_key: has something before the key"},
		{"host_key: SHA256:abc", "host_key: is no public key"},
		{"host_key: '-----BEGIN OPENSSH PRIVATE KEY-----'", "host_key: is a private key"},
		{"key: ~/.ssh/id_ed25519", "begins with ~"},
		{"key: id_ed25519", "is no whole path"},
		{"address: ssh://x", "address: is neither a name nor an IP address"},
		{"address: backup.example.com:2222", "and port: beside it"},
		{"address: {store: s3://b/hosts}", "the region is missing"},
		{"address: {store: s3://bucket/hosts, parameter: /x, region: eu-west-1}", "more than one thing"},
		{"address: {store: bucket, region: eu-west-1}", "address.store: is no place of address.json"},
		{"address: {parameter: x, region: eu-west-1}", "address.parameter: is no name"},
		{"address: {host: x, region: eu-west-1}", "address.region: an address is in no region"},
		{"port: 0", "port: "},
		{"port: 70000", "port: "},
		{"start: {region: nowhere!}", "start.region: "},
		{"start: true", "start: "},
		{"wait: 0s", "wait: is no time"},
		{"wait: soon", "wait: "},
		{"sources: []", "sources: "},
		{"sources: [etc]", "sources[0]: is no whole path"},
		{"sources: [/etc, /etc]", "sources[1]: it is there twice"},
		{"sources: [/etc/mayfly/push_ed25519]", "sources[0]: is a key, which never leaves"},
		{"sources: [/]", "/ has /proc and /sys below it"},
		{"sources: [/etc, {path: /srv, to: etc}]", "go to the same directory, etc"},
		{"sources: [{path: /, one_file_system: true}, {path: /srv, to: srv2}]", "sources[1]: it and sources[0]: / takes the whole directory"},
		{"sources: [{path: /srv, to: a/b}]", "sources[0].to: is no name of a directory"},
		{"sources: [{path: /srv, exclude: ['']}]", "sources[0].exclude[0]: is empty"},
		{"sources: [{path: /srv, exclude: ['!x']}]", "sources[0].exclude[0]: is no pattern"},
		{"sources: [{exclude: [x]}]", "sources[0].path"},
		{"sources: [{path: /srv, mount: true}]", "known here: path, exclude, mounted"},
		{"max_delete: 0", "max_delete: "},
		{"delete: false\nmax_delete: 5", "max_delete: nothing is deleted"},
		{"append_only: true\ndelete: true", "delete: an append_only host can delete nothing"},
		{"append_only: true\nencrypt: {gocryptfs: {config: /a, password_file: /b}}", "append_only: an encrypted file"},
		{"bwlimit: fast", "bwlimit: is no rate"},
		{"compress: 9", "compress: "},
		{"encrypt: gocryptfs", "encrypt: "},
		{"encrypt: {gocryptfs: {config: /a}}", "password_file"},
		{"encrypt: {gocryptfs: {config: /a, password_file: /b}}\nsources: [{path: /a, to: x}]", "sources[0].to: what is encrypted keeps its path"},
		{"encrypt: {gocryptfs: {config: /a, password_file: /b}}\nsources: [{path: /a, one_file_system: true}]", "one_file_system: gocryptfs shows all as one"},
		{"colour: red", "colour: unknown key"},
	} {
		text := ""
		for line := range strings.Lines(good + "sources: [/etc]\n") {
			key, _, _ := strings.Cut(line, ":")
			if !strings.HasPrefix(c.text, key+":") && !strings.Contains(c.text, "\n"+key+":") {
				text += line
			}
		}
		_, err := Parse("push.yaml", []byte(text+c.text+"\n"))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
	_, err := Parse("push.yaml", []byte("deployment: x y\nport: -1\n"))
	if err == nil || strings.Count(err.Error(), "push.yaml:") < 3 {
		t.Errorf("not all at once: %v", err)
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	const file = "../docs/push.schema.json"
	if *update {
		if err := os.WriteFile(file, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(want, Schema()) {
		t.Errorf("%s is not the schema (go test ./push -update): %v", file, err)
	}
}
