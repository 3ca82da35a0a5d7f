package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mayfly/internal/s3test"
)

const commandConfig = `name: weekly
region: eu-west-1
store: s3://backups/deep
notify: {email: [you@example.com]}
jobs:
  - name: dump
    command:
      script: s3://scripts/a/dump.sh
      args: ["MODE"]
      artifacts: out
      secrets: {TOKEN: "ssm:/weekly/token"}
`

// TestCommandPolicyIsWhatIsUsed is TestPolicyIsWhatIsUsed for a command.
func TestCommandPolicyIsWhatIsUsed(t *testing.T) {
	t.Parallel()
	d := newDeployed(t)
	d.env["PATH"], d.env["TMPDIR"] = "/usr/local/bin:/usr/bin:/bin", t.TempDir()
	at := time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC)
	n := 0
	expect := func(scenario, mode string, want int) {
		t.Helper()
		at, n = at.Add(time.Hour), n+1
		key := fmt.Sprintf("deep/admin/config-%d.yaml", n)
		d.store.SetObject("backups", key, []byte(strings.Replace(commandConfig, "MODE", mode, 1)))
		if code, said := d.run(at, "s3://backups/"+key); code != want {
			t.Fatalf("%s: exit code %d, want %d:\n%s", scenario, code, want, said)
		}
	}
	expect("there is no script", "small", exitFailed)
	d.store.SetObject("scripts", "a/dump.sh", []byte(`#!/bin/sh -e
[ "$TOKEN" = `+ownerToken+` ]
case $1 in
small) echo one > out/one.txt ;;
large) head -c 12000000 /dev/urandom > out/large.bin ;;
esac
`))
	expect("a small file", "small", exitComplete)
	expect("a large file", "large", exitComplete)
	put, part := false, false
	d.setFault(func(r *s3test.Request) s3test.Fault {
		dump := strings.HasPrefix(r.Key, "deep/dump/")
		switch {
		case dump && r.Op == "PutObject" && !put, dump && r.Op == "CreateMultipartUpload" && !part:
			put, part = put || r.Op == "PutObject", part || r.Op != "PutObject"
			return s3test.Fault{ResetAfter: true}
		case dump && r.Op == "UploadPart":
			return s3test.Fault{Status: 403, Code: "AccessDenied"}
		}
		return s3test.Fault{}
	})
	expect("a lost reply", "small", exitComplete)
	expect("an upload that fails", "large", exitFailed)
	d.setFault(nil)
	if code, said := d.run(at, "s3://backups/deep/admin/config-absent.yaml"); code != exitUsage {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	d.leave()
	d.judge("s3://backups/deep/admin/config-2.yaml")
}
