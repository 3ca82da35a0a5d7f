//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pushPolicy is what docs/push.md gives a host with credentials.
func pushPolicy(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join(moduleRoot(t), "docs", "push.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, policy, _ := strings.Cut(string(doc), "```json\n")
	policy, _, _ = strings.Cut(policy, "```")
	return motoReadable(t, []byte(policy))
}

// pushes is what a host of a deployment does that has AWS credentials: it finds
// the receiver by the store or the parameter, and starts the deployment.
func (l *laptop) pushes() {
	t := l.t
	t.Helper()
	_, public := l.parameter("/hosts/host-key.pub")
	file := filepath.Join(l.world.dir, "push.yaml")
	host := l.user("web", pushPolicy(t))
	push := func(address string) result {
		t.Helper()
		text := fmt.Sprintf("deployment: hosts\nhost: web\nhost_key: %s\nkey: %s\naddress: %s\nstart: {region: %s}\nsources: [%s]\n",
			public, filepath.Join(l.world.dir, "host0"), address, motoRegion, filepath.Join(l.world.dir, "work"))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		env := l.env(l.proxy, host)
		env["MAYFLY_PUSH_DIR"] = filepath.Join(l.world.dir, "push")
		return l.command(env, mayflyBinary(t), "push", "-c", file, "--wait", "2s")
	}
	inStore := fmt.Sprintf("{store: s3://hosts-bucket/hosts, region: %s}", motoRegion)
	r := push(inStore)
	if r.code != 1 || !strings.Contains(r.err, "Asked hosts for an instance.") || !strings.Contains(r.err+r.out, "the window is not open") {
		t.Errorf("the first push: %s", r)
	}
	if n := l.group("hosts").DesiredCapacity; n != 1 {
		t.Errorf("the group wants %d instances", n)
	}
	if ends := l.handEnd("hosts"); len(ends) != 1 || time.Until(ends[0].StartTime) > 3*time.Hour || ends[0].DesiredCapacity != 0 {
		t.Errorf("what ends it: %+v", ends)
	}
	// It is open, as far as the store says.
	open := fmt.Sprintf(`{"format": 1, "deployment": "hosts", "state": "open", "host": "127.0.0.1", "port": 1, "until": %q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	object := filepath.Join(l.world.dir, "address.json")
	if err := os.WriteFile(object, []byte(open), 0o644); err != nil {
		t.Fatal(err)
	}
	l.aws("s3", "cp", "--quiet", object, "s3://hosts-bucket/hosts/address.json")
	l.aws("ssm", "put-parameter", "--type", "String", "--name", "/hosts/address", "--value", strings.Replace(open, "127.0.0.1", "127.0.0.9", 1))
	for address, want := range map[string]string{inStore: "connect to host 127.0.0.1 port 1", "{parameter: /hosts/address, region: " + motoRegion + "}": "connect to host 127.0.0.9 port 1"} {
		r = push(address)
		if r.code != 1 || !strings.Contains(r.err, "hosts runs already.") || !strings.Contains(r.out+r.err, want) {
			t.Errorf("%s: %s", address, r)
		}
	}
	l.aws("s3", "rm", "--quiet", "s3://hosts-bucket/hosts/address.json")
	l.aws("ssm", "delete-parameter", "--name", "/hosts/address")
	l.aws("autoscaling", "delete-scheduled-action", "--auto-scaling-group-name", "hosts", "--scheduled-action-name", "mayfly-start-end")
	l.aws("autoscaling", "set-desired-capacity", "--auto-scaling-group-name", "hosts", "--desired-capacity", "0")
}
