//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mayfly/jobs/receive"
)

// restores has a person get files back while nothing runs: an instance is
// started, asked alone, and waited for until it has gone. What it answers is
// played here, by somebody who has another host key.
func (l *laptop) restores(config string) {
	t := l.t
	t.Helper()
	dir := filepath.Join(l.world.dir, "restored")
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"hosts/mail", "etc"}, "there is no such host in the config; there are db, web"},
		{[]string{"hosts/web", "etc", "--at", "2026-01-01"}, "there is no good snapshot of web"},
		{[]string{"hosts/web", "etc", "--all"}, "--all is about repositories"},
		{[]string{"hosts/web", "etc", "--json"}, "--json lists snapshots"},
		{[]string{"hosts/web", "etc", "--gocryptfs-config", "x"}, "the key is two files"},
		{[]string{"github/octo/small", "--overwrite"}, "--overwrite is about hosts that push"},
	} {
		if r := l.do(append([]string{"restore", "-c", config}, tt.args...)...); r.code != 2 || !strings.Contains(r.err, tt.says) {
			t.Errorf("%v: %s", tt.args, r)
		}
	}
	p := l.begin("restore", "-c", config, "hosts/web", "etc/nginx", "-o", dir)
	object := func(key string) string { return "s3://hosts-bucket/hosts/" + key }
	asked := func() (list []receive.Request) {
		r, _ := runAWS(moduleRoot(t), l.env(l.server, l.admin), "--endpoint-url", l.server, "s3", "cp", "--quiet", object("restores.json"), "-")
		var doc struct{ Requests []receive.Request }
		_ = json.Unmarshal([]byte(r.out), &doc) // it is not there yet
		return doc.Requests
	}
	var q receive.Request
	l.world.eventually(time.Minute, "the request is in the store", func() bool {
		list := asked()
		if len(list) == 1 {
			q = list[0]
		}
		return len(list) == 1
	})
	instance := l.group("hosts").Instances[0].InstanceId
	if q.Host != "web" || q.Snapshot != "" || q.Instance != instance || !strings.HasPrefix(q.Key, "ssh-ed25519 ") || !strings.Contains(q.By, ":user/you on ") || time.Until(q.Until) < 50*time.Minute {
		t.Errorf("%+v", q)
	}
	if ends := l.handEnd("hosts"); len(ends) != 1 || ends[0].DesiredCapacity != 0 {
		t.Errorf("what ends it: %+v", ends)
	}
	answer := func(state string) {
		t.Helper()
		file := filepath.Join(l.world.dir, "answer.json")
		text := fmt.Sprintf(`{"format": 1, "id": %q, "state": %q, "address": "127.0.0.1", "port": 1, "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPrb4qPCmkuMsTSnKHfurwgxiq0MwUFk9Kgb8fio+IoN"}`, q.ID, state)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		l.aws("s3", "cp", "--quiet", file, object("restores/"+q.ID+".json"))
	}
	answer(receive.Ready)
	l.world.eventually(time.Minute, "the request is taken back", func() bool { return len(asked()) == 0 })
	answer(receive.Over)
	l.aws("autoscaling", "terminate-instance-in-auto-scaling-group", "--instance-id", instance, "--should-decrement-desired-capacity")
	r := p.wait()
	if r.code != 1 {
		t.Errorf("restore: %s", r)
	}
	has(t, "restore", r.err, "Asked the group hosts for an instance", instance+" (", "The machine has ended.", "the host key in the store is not the one that deploy has published (/hosts/host-key.pub)")
	if a := l.handEnd("hosts"); len(a) > 0 {
		t.Errorf("what would have ended it is still there: %+v", a)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a folder was made, and nothing is in it")
	}
}
