//go:build e2evm

package vm

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"mayfly/userdata"
)

// debianSSH is a boothook of the test's: it installs something with the units
// of Debian's SSH server, and has systemd start it while it boots.
const debianSSH = `#!/bin/sh
cat >/lib/systemd/system/ssh.service <<'X'
[Unit]
Description=An SSH server
After=network.target
[Service]
ExecStart=/bin/sleep 1000000
[Install]
WantedBy=multi-user.target
Alias=sshd.service
X
ln -s /lib/systemd/system/ssh.service /etc/systemd/system/sshd.service
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -s /lib/systemd/system/ssh.service /etc/systemd/system/multi-user.target.wants/ssh.service
systemctl daemon-reload
systemctl --no-block start ssh.service
exit 0
`

// muted is user data for a machine that hosts push to, and that comes with an
// SSH server of its own.
func muted(t *testing.T, data []byte) []byte {
	t.Helper()
	with, err := userdata.Render(userdata.Values{
		Name: "vm", Store: userdata.Store{Bucket: bucket}, Config: strings.Repeat("c0", 32), Binaries: map[string]string{"amd64": strings.Repeat("a6", 32)},
		Deadline: time.Hour, NoSSH: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	const boundary = "\n--=====mayfly=====\n"
	parts := bytes.Split(with, []byte(boundary))
	at := bytes.Index(data, []byte(boundary+"Content-Type: text/x-shellscript"))
	if len(parts) != 4 || at < 0 { // what is before the first, arming, muting, booting
		t.Fatalf("%d parts, the script at %d", len(parts), at)
	}
	own := boundary + "Content-Type: text/cloud-boothook; charset=\"us-ascii\"\n\n"
	return bytes.Join([][]byte{data[:at], []byte(own + debianSSH), []byte(boundary), parts[2], data[at:]}, nil)
}

// No SSH server of the machine's own is there when hosts come, though systemd
// was about to start one, and nothing starts it later.
func TestNoSSH(t *testing.T) {
	scenario{
		mute: true,
		middle: do(`{
			for u in ssh.service sshd.service ssh.socket; do echo "$u is $(systemctl is-active $u), $(systemctl is-enabled $u)."; done
			systemctl start ssh.service && echo "it starts."
		} 2>&1 | sed 's/^/unit /' >/dev/console`),
		subjects: []string{"interrupted"},
		says:     []string{"unit ssh.service is inactive, masked.", "unit sshd.service is inactive, ", "unit ssh.socket is inactive, masked.", "ssh.service is masked"},
	}.live(t)
}
