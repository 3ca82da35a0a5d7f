//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"mayfly/internal/cloud"
)

const (
	motoAccount = "123456789012" // moto's default
	motoRegion  = "eu-west-1"
	// othersBucket is closed to everybody here, as another account's is.
	othersBucket = "others-bucket"
)

// A moto is a moto server with IAM enforced, and in it all that a deployment
// needs. mayfly reaches it through a proxy that can make things go wrong.
type moto struct {
	t      *testing.T
	world  *world
	server string // moto's own address
	proxy  string
	admin  map[string]string // credentials, as environment
	role   map[string]string
	queue  string // that the topic's messages go to

	mu    sync.Mutex
	fault *motoFault
	got   []string // messages
	// seen is told of every request, before and after moto answers it; false
	// drops it. nil: nobody is.
	seen func(r *http.Request, answered bool) bool
}

// A motoFault is what goes wrong between mayfly and moto.
type motoFault struct {
	refusePart bool // the second part of every upload
	loseReply  bool // to the first request that begins an upload
}

func (m *moto) topic() string { return "arn:aws:sns:" + motoRegion + ":" + motoAccount + ":moto" }

func newMoto(t *testing.T) *moto {
	t.Helper()
	m := &moto{t: t, world: newWorld(t), admin: map[string]string{"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example"}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, port, _ := strings.Cut(address, ":")
	c := exec.Command(m.venv("python3"), filepath.Join(moduleRoot(t), "e2e", "motoserver.py"), "-H", "127.0.0.1", "-p", port)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		t.Fatalf("start moto_server: %v: run e2e/install.sh first", err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		if t.Failed() {
			t.Logf("moto said:\n%s", said.String()[max(0, said.Len()-8000):])
		}
	})
	m.server = "http://" + address
	m.world.eventually(time.Minute, "moto answers", func() bool {
		resp, err := http.Get(m.server + "/moto-api/data.json")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})
	to, err := url.Parse(m.server)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(to)
	pass.ErrorLog = log.New(io.Discard, "", 0) // of clients that gave up
	pass.ModifyResponse = func(resp *http.Response) error {
		// moto's of an object that came in parts is not that of the object.
		resp.Header.Del("X-Amz-Checksum-Crc32c")
		return begunNow(resp)
	}
	front := httptest.NewServer(m.faulty(pass))
	t.Cleanup(front.Close)
	m.proxy = front.URL
	return m
}

var initiated = regexp.MustCompile(`<Initiated>[^<]*</Initiated>`)

// begunNow corrects moto's lists of unfinished uploads, all of which it has
// begun in 2010.
func begunNow(resp *http.Response) error {
	if q := resp.Request.URL.Query(); resp.Request.Method != http.MethodGet || !q.Has("uploads") {
		return nil
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Format("<Initiated>2006-01-02T15:04:05.000Z</Initiated>")
	b = initiated.ReplaceAll(b, []byte(now))
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	resp.Header.Set("Content-Length", strconv.Itoa(len(b)))
	return nil
}

func (m *moto) venv(tool string) string {
	return filepath.Join(moduleRoot(m.t), ".e2e", "venv", "bin", tool)
}

// faulty puts the faults in front of moto. The Host header, which is signed,
// passes through.
func (m *moto) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		m.mu.Lock()
		f := m.fault
		refuse := f != nil && f.refusePart && q.Get("partNumber") == "2"
		lose := f != nil && f.loseReply && r.Method == http.MethodPost && q.Has("uploads")
		if lose {
			f.loseReply = false
		}
		seen := m.seen
		m.mu.Unlock()
		if seen != nil {
			if !seen(r, false) {
				panic(http.ErrAbortHandler)
			}
			defer seen(r, true)
		}
		switch {
		case r.Method == http.MethodHead && strings.Trim(r.URL.Path, "/") == othersBucket:
			w.WriteHeader(http.StatusForbidden) // moto looks at no owner
		case refuse:
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, "<Error><Code>InvalidRequest</Code><Message>refused by the test</Message></Error>")
		case lose:
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (m *moto) setFault(f *motoFault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = nil
	if f != nil {
		c := *f
		m.fault = &c
	}
}

// prepare makes what the deployment needs, and has IAM enforced from then on.
func (m *moto) prepare() {
	m.t.Helper()
	m.aws("s3api", "create-bucket", "--bucket", runBucket, "--create-bucket-configuration", "LocationConstraint="+motoRegion)
	m.aws("ssm", "put-parameter", "--name", "/moto/token", "--type", "SecureString", "--value", runToken)
	m.aws("secretsmanager", "create-secret", "--name", "moto-token", "--secret-string", runToken)
	m.aws("sns", "create-topic", "--name", "moto")
	var queue struct{ QueueUrl string }
	m.answer(&queue, "sqs", "create-queue", "--queue-name", "moto")
	m.queue = queue.QueueUrl
	m.aws("sns", "subscribe", "--topic-arn", m.topic(), "--protocol", "sqs", "--notification-endpoint", "arn:aws:sqs:"+motoRegion+":"+motoAccount+":moto")
	m.aws("autoscaling", "create-launch-configuration", "--launch-configuration-name", "moto", "--image-id", "ami-12c6146b", "--instance-type", "t3.nano")
	m.aws("autoscaling", "create-auto-scaling-group", "--auto-scaling-group-name", "moto", "--launch-configuration-name", "moto",
		"--min-size", "0", "--max-size", "1", "--desired-capacity", "1", "--availability-zones", motoRegion+"a")

	trust := m.mayfly("iam", "--trust", "--account", motoAccount, "-c", m.config("s3://"+runBucket)).out
	m.aws("iam", "create-role", "--role-name", "moto", "--assume-role-policy-document", trust)
	var assumed struct {
		Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken string }
	}
	m.answer(&assumed, "sts", "assume-role", "--role-arn", "arn:aws:iam::"+motoAccount+":role/moto", "--role-session-name", "i-0abc")
	c := assumed.Credentials
	m.role = map[string]string{"AWS_ACCESS_KEY_ID": c.AccessKeyId, "AWS_SECRET_ACCESS_KEY": c.SecretAccessKey, "AWS_SESSION_TOKEN": c.SessionToken}
	m.admin = m.user("admin", `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}`)
	m.enforce()
}

// user makes a user with a policy, and returns its credentials.
func (m *moto) user(name, policy string) map[string]string {
	m.t.Helper()
	m.aws("iam", "create-user", "--user-name", name)
	m.aws("iam", "put-user-policy", "--user-name", name, "--policy-name", "all", "--policy-document", policy)
	var key struct {
		AccessKey struct{ AccessKeyId, SecretAccessKey string }
	}
	m.answer(&key, "iam", "create-access-key", "--user-name", name)
	return map[string]string{"AWS_ACCESS_KEY_ID": key.AccessKey.AccessKeyId, "AWS_SECRET_ACCESS_KEY": key.AccessKey.SecretAccessKey}
}

// enforce has moto check every request from now on.
func (m *moto) enforce() {
	m.t.Helper()
	resp, err := http.Post(m.server+"/moto-api/reset-auth", "text/plain", strings.NewReader("0"))
	if err != nil || resp.StatusCode != http.StatusOK {
		m.t.Fatalf("have IAM enforced: %v, %v", resp, err)
	}
	resp.Body.Close()
}

// env is the whole environment of a process with some credentials.
func (m *moto) env(endpoint string, credentials map[string]string) map[string]string {
	env := map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": filepath.Join(m.world.dir, "home"), "TZ": "UTC",
		"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": motoRegion, "AWS_DEFAULT_REGION": motoRegion, "AWS_EC2_METADATA_DISABLED": "true",
	}
	maps.Copy(env, credentials)
	return env
}

// askEC2 asks as the administrator, past the proxy; it is what suites use that ask
// very often, since the aws command takes a tenth of a second of a processor.
func (m *moto) askEC2() *ec2.Client {
	return ec2.New(ec2.Options{
		Region: motoRegion, BaseEndpoint: &m.server,
		Credentials: credentials.NewStaticCredentialsProvider(m.admin["AWS_ACCESS_KEY_ID"], m.admin["AWS_SECRET_ACCESS_KEY"], m.admin["AWS_SESSION_TOKEN"]),
	})
}

// aws runs the aws command as the administrator, past the proxy.
func (m *moto) aws(args ...string) []byte {
	m.t.Helper()
	// The command asks AWS's own SQS where only the environment names another.
	r, err := runAWS(moduleRoot(m.t), m.env(m.server, m.admin), append([]string{"--endpoint-url", m.server}, args...)...)
	if err != nil || r.code != 0 {
		m.t.Fatalf("aws %s: %v: %s", strings.Join(args, " "), err, r)
	}
	return []byte(r.out)
}

// answer decodes what the aws command says.
func (m *moto) answer(v any, args ...string) {
	m.t.Helper()
	out := m.aws(append(args, "--output", "json")...)
	if len(bytes.TrimSpace(out)) == 0 {
		return // nothing there
	}
	if err := json.Unmarshal(out, v); err != nil {
		m.t.Fatalf("aws %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// mayfly runs the binary as the role, through the proxy.
func (m *moto) mayfly(args ...string) result {
	m.t.Helper()
	return m.command(m.env(m.proxy, m.role), mayflyBinary(m.t), args...)
}

func (m *moto) command(env map[string]string, name string, args ...string) result {
	m.t.Helper()
	var out, errs bytes.Buffer
	c := exec.CommandContext(m.t.Context(), name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.Stdout, c.Stderr = &out, &errs
	c.Env = []string{}
	for k, v := range env {
		c.Env = append(c.Env, k+"="+v)
	}
	err := c.Run()
	if c.ProcessState == nil {
		m.t.Fatalf("run %s: %v: run e2e/install.sh first if it is missing", name, err)
	}
	return result{code: c.ProcessState.ExitCode(), out: out.String(), err: errs.String()}
}

// config writes the deployment's config and returns its file.
func (m *moto) config(store string) string {
	m.t.Helper()
	text := fmt.Sprintf(`name: moto
region: %s
store: %s
notify: {email: [you@example.com], metrics: true}
jobs:
  - name: github
    github: {url: %s, owners: [me], token: "ssm:/moto/token", include: ["*/small"]}
  - name: again
    github: {url: %[3]s, owners: [me], token: "secretsmanager:moto-token", include: [%s]}
`, motoRegion, store, m.world.url, m.include())
	file := filepath.Join(m.world.dir, "work", "moto.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	return file
}

// include selects the large repository where an upload in parts is needed:
// what moto makes of one that succeeds has a wrong checksum.
func (m *moto) include() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault != nil {
		return `"*/large"`
	}
	return `"*/small"`
}

// run does a run as the role.
func (m *moto) run(store string) result {
	m.t.Helper()
	return m.mayfly("run", "-c", m.config(store))
}

// messages are all that the topic has sent so far.
func (m *moto) messages() []string {
	m.t.Helper()
	for {
		var out struct {
			Messages []struct{ Body, ReceiptHandle string }
		}
		m.answer(&out, "sqs", "receive-message", "--queue-url", m.queue, "--max-number-of-messages", "10")
		if len(out.Messages) == 0 {
			return slices.Clone(m.got)
		}
		for _, msg := range out.Messages {
			var n struct{ Subject, Message string }
			if err := json.Unmarshal([]byte(msg.Body), &n); err != nil {
				m.t.Fatal(err)
			}
			m.got = append(m.got, n.Subject+"\n\n"+n.Message)
			m.aws("sqs", "delete-message", "--queue-url", m.queue, "--receipt-handle", msg.ReceiptHandle)
		}
	}
}

// leave lets the role's instance leave the group that it is put in first.
func (m *moto) leave(t *testing.T) error {
	t.Helper()
	m.aws("autoscaling", "set-desired-capacity", "--auto-scaling-group-name", "moto", "--desired-capacity", "1")
	var out struct {
		AutoScalingInstances []struct{ InstanceId string }
	}
	m.answer(&out, "autoscaling", "describe-auto-scaling-instances")
	if len(out.AutoScalingInstances) != 1 {
		t.Fatalf("the group has %d instances", len(out.AutoScalingInstances))
	}
	env := m.env(m.proxy, m.role)
	c, err := cloud.Load(t.Context(), cloud.Options{Region: motoRegion, Getenv: func(name string) string { return env[name] }})
	if err != nil {
		t.Fatal(err)
	}
	return c.LeaveGroup(t.Context(), out.AutoScalingInstances[0].InstanceId, "moto")
}

// A motoPolicy is the computed policy, as moto understands it: it takes the
// resource of every call but S3's for "*", and a statement with a condition
// for a denial. What resources and conditions do is tested with the policy
// itself, next to the code.
type motoPolicy struct {
	m         *moto
	Version   string
	Statement []map[string]any
}

// policy asks mayfly for the policy and takes one action out of it.
func (m *moto) policy(store, less string) *motoPolicy {
	m.t.Helper()
	return m.policyFor(m.config(store), less)
}

// policyFor is what mayfly itself computes for a config, without an action.
func (m *moto) policyFor(config, less string) *motoPolicy {
	m.t.Helper()
	r := m.mayfly("iam", "--policy", "--account", motoAccount, "-c", config)
	p := &motoPolicy{m: m}
	if err := json.Unmarshal([]byte(r.out), p); err != nil {
		m.t.Fatalf("mayfly iam: %v: %s", err, r)
	}
	p.Statement = slices.DeleteFunc(p.Statement, func(s map[string]any) bool { return s["Action"] == less })
	for _, s := range p.Statement {
		delete(s, "Condition")
		if action, ok := s["Action"].(string); !ok {
			m.t.Fatalf("statement %v has several actions: this test takes them away one by one", s["Sid"])
		} else if !strings.HasPrefix(action, "s3:") {
			s["Resource"] = "*"
		}
	}
	return p
}

func (p *motoPolicy) actions() []string {
	var all []string
	for _, s := range p.Statement {
		all = append(all, s["Action"].(string))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// put gives the policy to the role.
func (p *motoPolicy) put() {
	p.m.t.Helper()
	doc, err := json.Marshal(map[string]any{"Version": p.Version, "Statement": p.Statement})
	if err != nil {
		p.m.t.Fatal(err)
	}
	p.m.aws("iam", "put-role-policy", "--role-name", "moto", "--policy-name", "mayfly", "--policy-document", string(doc))
}
