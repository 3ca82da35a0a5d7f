//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/cloud"
)

// A laptop is a person's own machine in front of an AWS that checks every
// request against the policy that the documentation gives.
type laptop struct {
	*moto
	t        *testing.T
	person   map[string]string // credentials
	binaries string            // directory
	calls    *callLog
}

func newLaptop(t *testing.T) *laptop {
	t.Helper()
	m := newMoto(t)
	policy, err := os.ReadFile(filepath.Join(moduleRoot(t), "docs", "deployer-policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	l := &laptop{moto: m, t: t, binaries: t.TempDir(), calls: &callLog{actions: map[string]bool{}}}
	l.person = m.user("you", motoReadable(t, policy))
	m.admin = m.user("admin", `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}`)
	m.enforce()
	m.seen = l.calls.seen
	b, err := os.ReadFile(mayflyBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.binaries, "mayfly-linux-amd64"), b, 0o755); err != nil {
		t.Fatal(err)
	}
	return l
}

// motoReadable is a policy without conditions, with the resources that moto
// takes for most services, and with the action that moto has for HEAD of a
// bucket where AWS has s3:ListBucket.
func motoReadable(t *testing.T, policy []byte) string {
	t.Helper()
	var p struct {
		Version   string
		Statement []map[string]any
	}
	if err := json.Unmarshal(policy, &p); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Statement {
		delete(s, "Condition")
		s["Resource"] = "*"
		if list, ok := s["Action"].([]any); ok && slices.Contains(list, any("s3:ListBucket")) {
			s["Action"] = append(list, "s3:HeadBucket")
		}
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A callLog holds which actions AWS was asked for.
type callLog struct {
	mu      sync.Mutex
	actions map[string]bool
}

func (c *callLog) seen(r *http.Request, answered bool) bool {
	if answered {
		return true
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return true
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	if action := actionOf(r, b); action != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.actions[action] = true
	}
	return true
}

// actionOf is the IAM action that a request is for, "" for what is not known.
func actionOf(r *http.Request, body []byte) string {
	// Credential=KEY/DATE/REGION/SERVICE/aws4_request
	service := ""
	if _, rest, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		if f := strings.Split(rest, "/"); len(f) > 3 {
			service = f[3]
		}
	}
	if _, action, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		return service + ":" + action
	}
	if service == "route53" && r.Method == http.MethodGet {
		return "route53:GetHostedZone"
	}
	if service != "s3" {
		form, _ := url.ParseQuery(string(body))
		return service + ":" + form.Get("Action")
	}
	q := r.URL.Query()
	switch {
	case q.Has("uploads") && r.Method == http.MethodGet:
		return "s3:ListBucketMultipartUploads"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return "s3:AbortMultipartUpload"
	case r.Method == http.MethodPut || r.Method == http.MethodPost:
		return "s3:PutObject"
	case strings.Count(strings.Trim(r.URL.Path, "/"), "/") == 0:
		return "s3:ListBucket"
	}
	return "s3:GetObject"
}

// deployment writes a config and returns its file.
func (l *laptop) deployment(name string, lines ...string) string {
	l.t.Helper()
	text := fmt.Sprintf(`name: %s
region: %s
store: s3://%[1]s-bucket
notify: {email: [you@example.com]}
schedule: {start: "0 17 * * FRI", timezone: Europe/Berlin, deadline: 2h}
instance: {types: [t3.nano, t3.micro]}
jobs:
  - name: github
    github: {url: %[3]s, owners: [me], token: "ssm:/%[1]s/token", include: ["*/small"]}
`, name, motoRegion, l.world.url)
	for _, line := range lines {
		key, _, _ := strings.Cut(line, ":")
		if key == "jobs" {
			text, _, _ = strings.Cut(text, "jobs:")
		}
		kept := slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(had string) bool { return strings.HasPrefix(had, key+":") })
		text = line + "\n" + strings.Join(kept, "")
	}
	file := filepath.Join(l.world.dir, "work", name+".yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
	return file
}

func (l *laptop) environment() map[string]string {
	env := l.env(l.proxy, l.person)
	env["GITHUB_TOKEN"] = runToken
	return env
}

// do runs mayfly as the person.
func (l *laptop) do(args ...string) result {
	l.t.Helper()
	return l.command(l.environment(), mayflyBinary(l.t), args...)
}

// deploy deploys, and fails the test when that does not succeed.
func (l *laptop) deploy(name, config string) result {
	l.t.Helper()
	r := l.do("deploy", "--yes", "-c", config, "--binaries", l.binaries, "--secret", "ssm:/"+name+"/token=env:GITHUB_TOKEN")
	if r.code != 0 {
		l.t.Fatalf("deploy: %s", r)
	}
	return r
}

// begin starts mayfly as the person.
func (l *laptop) begin(args ...string) *running {
	l.t.Helper()
	p := &running{t: l.t, cmd: exec.Command(mayflyBinary(l.t), args...)}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errs
	p.cmd.Env = []string{}
	for k, v := range l.environment() {
		p.cmd.Env = append(p.cmd.Env, k+"="+v)
	}
	if err := p.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { p.cmd.Process.Kill() })
	return p
}

// running is mayfly at work.
type running struct {
	t         *testing.T
	cmd       *exec.Cmd
	out, errs transcript
}

func (p *running) wait() result {
	p.t.Helper()
	timer := time.AfterFunc(2*time.Minute, func() { p.cmd.Process.Kill() })
	defer timer.Stop()
	p.cmd.Wait()
	return result{code: p.cmd.ProcessState.ExitCode(), out: p.out.String(), err: p.errs.String()}
}

// outputs are those of a deployment's stack, and the stack's state and when it
// was last changed.
func (l *laptop) outputs(name string) (outputs map[string]string, status, changed string) {
	l.t.Helper()
	var d struct {
		Stacks []struct {
			StackStatus, LastUpdatedTime string
			Parameters                   []struct{ ParameterKey, ParameterValue string }
			Outputs                      []struct{ OutputKey, OutputValue string }
		}
	}
	l.answer(&d, "cloudformation", "describe-stacks", "--stack-name", name)
	if len(d.Stacks) != 1 {
		l.t.Fatalf("%d stacks named %s", len(d.Stacks), name)
	}
	outputs = map[string]string{}
	for _, o := range d.Stacks[0].Outputs {
		outputs[o.OutputKey] = o.OutputValue
	}
	for _, p := range d.Stacks[0].Parameters {
		outputs[p.ParameterKey] = p.ParameterValue
	}
	return outputs, d.Stacks[0].StackStatus, d.Stacks[0].LastUpdatedTime
}

// schedule is what the group does by itself.
func (l *laptop) schedule(name string) []string {
	l.t.Helper()
	var d struct {
		ScheduledUpdateGroupActions []struct {
			Recurrence, TimeZone string
			DesiredCapacity      int
			MinSize              *int
		}
	}
	l.answer(&d, "autoscaling", "describe-scheduled-actions", "--auto-scaling-group-name", name)
	var list []string
	for _, a := range d.ScheduledUpdateGroupActions {
		if a.MinSize != nil && *a.MinSize > 0 {
			l.t.Errorf("a scheduled action sets the minimum to %d", *a.MinSize)
		}
		if a.Recurrence != "" {
			list = append(list, fmt.Sprintf("%d at %s %s", a.DesiredCapacity, a.Recurrence, a.TimeZone))
		}
	}
	slices.Sort(list)
	return list
}

// A motoGroup is an Auto Scaling group as moto has it.
type motoGroup struct {
	DesiredCapacity, MinSize, MaxSize int
	Instances                         []struct{ InstanceId string }
	SuspendedProcesses                []struct{ ProcessName string }
}

func (l *laptop) group(name string) motoGroup {
	l.t.Helper()
	var d struct{ AutoScalingGroups []motoGroup }
	l.answer(&d, "autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", name)
	if len(d.AutoScalingGroups) != 1 {
		l.t.Fatalf("%d groups named %s", len(d.AutoScalingGroups), name)
	}
	return d.AutoScalingGroups[0]
}

// whole checks that a deployment of a job with a token is as it should be.
func (l *laptop) whole(name string) {
	l.t.Helper()
	l.standing(name)
	if got := strings.TrimSpace(string(l.aws("ssm", "get-parameter", "--name", "/"+name+"/token", "--with-decryption", "--query", "Parameter.[Type,Value]", "--output", "text"))); got != "SecureString\t"+runToken {
		l.t.Errorf("%s: the secret is %s", name, got)
	}
}

// standing checks that a deployment is as it should be, whatever its jobs are.
func (l *laptop) standing(name string) {
	l.t.Helper()
	out, status, _ := l.outputs(name)
	if !strings.HasSuffix(status, "_COMPLETE") || strings.Contains(status, "ROLLBACK") || out["Armed"] != "true" {
		l.t.Errorf("%s: stack %s, %v", name, status, out)
	}
	var suspended []string
	g := l.group(name)
	for _, p := range g.SuspendedProcesses {
		suspended = append(suspended, p.ProcessName)
	}
	slices.Sort(suspended)
	if !slices.Equal(suspended, []string{"AZRebalance", "ReplaceUnhealthy"}) || g.MinSize != 0 || g.MaxSize != 1 {
		l.t.Errorf("%s: suspended %v, group %+v", name, suspended, g)
	}
	if got := l.schedule(name); len(got) != 2 {
		l.t.Errorf("%s: schedule %v", name, got)
	}
	var keys struct{ Contents []struct{ Key string } }
	l.answer(&keys, "s3api", "list-objects-v2", "--bucket", name+"-bucket", "--prefix", "admin/")
	var programs, configs int
	for _, k := range keys.Contents {
		if strings.HasPrefix(k.Key, "admin/mayfly-") {
			programs++
		}
		if strings.HasPrefix(k.Key, "admin/config-") {
			configs++
		}
	}
	if programs == 0 || configs == 0 {
		l.t.Errorf("%s: in the store %v", name, keys.Contents)
	}
}

// instancePart does what the instance of a deployment does once it has booted:
// the run under its role, and leaving its group. The machine's name is the
// instance's, as the run's id is on one.
func (l *laptop) instancePart(name, config string) result {
	l.t.Helper()
	instance, role := l.assumed(name, config)
	r := l.command(l.env(l.proxy, role), "unshare", "--uts", "sh", "-c", `hostname "$1"; shift; exec "$@"`, "sh", instance,
		filepath.Join(l.binaries, "mayfly-linux-amd64"), "run", "-c", config)
	l.leaves(name, instance, role)
	return r
}

// assumed is the instance that a deployment's group has, and the credentials
// that it finds there.
func (l *laptop) assumed(name, config string) (instance string, credentials map[string]string) {
	l.t.Helper()
	out, _, _ := l.outputs(name)
	role := out["RoleArn"][strings.LastIndex(out["RoleArn"], "/")+1:]
	// The policy that the stack gave it, as moto can read it.
	policy := l.do("iam", "--policy", "--account", motoAccount, "-c", config).out
	l.aws("iam", "put-role-policy", "--role-name", role, "--policy-name", "mayfly", "--policy-document", motoReadable(l.t, []byte(policy)))
	// EC2 takes the role for an instance; here the administrator does.
	l.aws("iam", "update-assume-role-policy", "--role-name", role, "--policy-document",
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}`)
	var assumed struct {
		Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken string }
	}
	instance = l.group(name).Instances[0].InstanceId
	l.answer(&assumed, "sts", "assume-role", "--role-arn", out["RoleArn"], "--role-session-name", instance)
	c := assumed.Credentials
	return instance, map[string]string{"AWS_ACCESS_KEY_ID": c.AccessKeyId, "AWS_SECRET_ACCESS_KEY": c.SecretAccessKey, "AWS_SESSION_TOKEN": c.SessionToken}
}

// leaves ends an instance as it does itself.
func (l *laptop) leaves(name, instance string, role map[string]string) {
	l.t.Helper()
	env := l.env(l.proxy, role)
	aws, err := cloud.Load(l.t.Context(), cloud.Options{Region: motoRegion, Getenv: func(name string) string { return env[name] }})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := aws.LeaveGroup(l.t.Context(), instance, name); err != nil {
		l.t.Errorf("leave the group: %v", err)
	}
}
