// Package userdata renders the user data of an instance: a script that arms
// the power-off before anything else, fetches mayfly and its config, starts
// the run, and when it cannot, says why, leaves the Auto Scaling group and
// switches the machine off.
//
// It is constant text for a POSIX shell. Values come in as quoted assignments
// in front of it, never into it.
package userdata

import (
	_ "embed" // the script
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxSize is what EC2 takes as user data, in bytes before base64.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
const MaxSize = 16384

var (
	//go:embed arm.sh
	armScript string
	//go:embed mute.sh
	muteScript string
	//go:embed sign.sh
	signScript string
	//go:embed boot.sh
	bootScript string
	//go:embed off.sh
	offScript string
)

const boundary = "=====mayfly====="

// sshUnits are those of SSH servers: Amazon Linux, Debian and Ubuntu call them
// differently, and Ubuntu starts its own by a socket.
const sshUnits = "ssh.socket ssh.service sshd.socket sshd.service"

// Render returns the user data: MIME parts for cloud-init, one or two that run
// early on every boot and one that runs late on the first. The error says which
// value cannot be right.
func Render(v Values) ([]byte, error) {
	if err := v.check(); err != nil {
		return nil, fmt.Errorf("render user data: %w", err)
	}
	arm := []value{
		{"root", ""},
		{"DEADLINE", strconv.Itoa(int(v.Deadline.Seconds()))},
		{"OFF", strings.TrimSpace(offScript)},
	}
	var b strings.Builder
	b.WriteString("Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\nMIME-Version: 1.0\n")
	part(&b, "text/cloud-boothook", arm, armScript)
	if v.NoSSH {
		part(&b, "text/cloud-boothook", []value{{"MUTE", sshUnits}}, muteScript)
	}
	part(&b, "text/x-shellscript", slices.Concat(arm, v.assignments()), signScript, bootScript)
	b.WriteString("--" + boundary + "--\n")
	if b.Len() > MaxSize {
		return nil, fmt.Errorf("render user data: it has %d bytes, EC2 takes %d: shorten the list of packages or the addresses in the environment", b.Len(), MaxSize)
	}
	return []byte(b.String()), nil
}

func part(b *strings.Builder, contentType string, values []value, scripts ...string) {
	b.WriteString("\n--" + boundary + "\nContent-Type: " + contentType + "; charset=\"us-ascii\"\n\n#!/bin/sh\n")
	for _, v := range values {
		b.WriteString(v.name + "=" + quote(v.text) + "\n")
	}
	for _, s := range scripts {
		b.WriteString(s)
	}
}

// A value is one assignment in front of the script.
type value struct{ name, text string }

// quote makes one word of s for a POSIX shell. Inside single quotes nothing is
// special but the quote itself.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

var errBytes = errors.New("has other characters than printable ASCII")

// plain says whether s may be a value: a line break could end the MIME part.
func plain(s string) error {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
		return errBytes
	}
	return nil
}
