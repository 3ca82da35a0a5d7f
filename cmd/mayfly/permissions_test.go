package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/iam"
	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/internal/iamtest"
	"mayfly/internal/s3test"
)

// A witness takes down what the role would have been asked for.
type witness struct {
	mu   sync.Mutex
	seen []iamtest.Request
}

func (w *witness) saw(r iamtest.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, r)
}

// s3 takes down a request to the store. For an object that is not there S3
// also asks whether the caller may list its key.
func (w *witness) s3(srv *s3test.Server, r *s3test.Request) {
	const arn = "arn:aws:s3:::"
	object := arn + r.Bucket + "/" + r.Key
	context := map[string]string{}
	for _, h := range []string{"If-None-Match", "If-Match"} {
		if v := r.Header.Get(h); v != "" {
			context["s3:"+strings.ToLower(h)] = v
		}
	}
	switch r.Op {
	case "GetObject", "HeadObject":
		w.saw(iamtest.Request{Action: "s3:GetObject", Resource: object})
		if _, there := srv.Object(r.Bucket, r.Key); !there {
			w.saw(iamtest.Request{Action: "s3:ListBucket", Resource: arn + r.Bucket, Context: map[string]string{"s3:prefix": r.Key}})
		}
	case "PutObject", "CompleteMultipartUpload":
		context["s3:ObjectCreationOperation"] = "true"
		w.saw(iamtest.Request{Action: "s3:PutObject", Resource: object, Context: context})
	case "CreateMultipartUpload", "UploadPart":
		w.saw(iamtest.Request{Action: "s3:PutObject", Resource: object, Context: map[string]string{"s3:ObjectCreationOperation": "false"}})
	case "ListObjectsV2":
		w.saw(iamtest.Request{Action: "s3:ListBucket", Resource: arn + r.Bucket, Context: map[string]string{"s3:prefix": r.Query.Get("prefix")}})
	case "ListMultipartUploads":
		w.saw(iamtest.Request{Action: "s3:ListBucketMultipartUploads", Resource: arn + r.Bucket})
	default:
		w.saw(iamtest.Request{Action: "s3:" + r.Op, Resource: object})
	}
}

// aws takes down a call of another service and passes it on.
func (w *witness) aws(srv *awstest.Server) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		const here = awstest.Region + ":" + awstest.Account + ":"
		var in struct{ Name, SecretId string }
		_ = json.Unmarshal(body, &in)
		form, _ := url.ParseQuery(string(body))
		switch target := r.Header.Get("X-Amz-Target"); {
		case target == "AmazonSSM.GetParameter":
			w.saw(iamtest.Request{Action: "ssm:GetParameter", Resource: "arn:aws:ssm:" + here + "parameter" + in.Name})
		case target == "secretsmanager.GetSecretValue":
			w.saw(iamtest.Request{Action: "secretsmanager:GetSecretValue", Resource: "arn:aws:secretsmanager:" + here + "secret:" + in.SecretId + "-AbCdEf"})
		case form.Get("Action") == "Publish":
			w.saw(iamtest.Request{Action: "sns:Publish", Resource: form.Get("TopicArn")})
		case form.Get("Action") == "TerminateInstanceInAutoScalingGroup":
			w.saw(iamtest.Request{Action: "autoscaling:TerminateInstanceInAutoScalingGroup", Resource: awstest.GroupARN("weekly")})
		case form.Get("Action") == "GetCallerIdentity": // needs no permission
		default:
			w.saw(iamtest.Request{Action: "unknown:" + target + form.Get("Action")})
		}
		srv.ServeHTTP(rw, r)
	})
}

const ownerToken = "github_pat_permissions"

// A deployed is a config in S3 with all that it needs, and a witness.
type deployed struct {
	t       *testing.T
	witness witness
	store   *s3test.Server
	aws     *awstest.Server
	repos   string
	env     map[string]string

	mu    sync.Mutex
	fault func(*s3test.Request) s3test.Fault
}

const deployedConfig = `name: weekly
region: eu-west-1
store: s3://backups/deep
notify: {email: [you@example.com]}
jobs:
  - name: github
    github: {url: URL, owners: [octo], token: "ssm:/weekly/token"}
  - name: again
    github: {url: URL, owners: [octo], token: "secretsmanager:weekly", include: ["octo/large*"]}
`

func newDeployed(t *testing.T) *deployed {
	t.Helper()
	d := &deployed{t: t, repos: t.TempDir(), store: s3test.New("backups", "scripts")}
	t.Cleanup(d.store.Close)
	d.store.Fault = func(r *s3test.Request) s3test.Fault {
		d.witness.s3(d.store, r)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.fault == nil {
			return s3test.Fault{}
		}
		return d.fault(r)
	}
	var err error
	if d.aws, err = awstest.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.aws.Close() })
	d.aws.Topics = []string{awstest.TopicARN("weekly")}
	d.aws.Parameters["/weekly/token"] = ownerToken
	d.aws.Secrets["weekly"] = ownerToken
	d.aws.AddGroup(awstest.Group{Name: "weekly", Desired: 1, Max: 1, Instances: []string{"i-0abc"}})
	front := httptest.NewServer(d.witness.aws(d.aws))
	t.Cleanup(front.Close)

	d.repo("small", 0)
	d.repo("large", 5<<20+100_000) // more than one part
	github := githubtest.New(githubtest.Options{Dir: d.repos, Login: "octo", Token: ownerToken, PerPage: 1})
	address, err := github.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { github.Close() })
	d.store.SetObject("backups", "deep/admin/config-0123.yaml", []byte(strings.ReplaceAll(deployedConfig, "URL", address)))
	d.env = d.aws.Env()
	for name := range d.env {
		if strings.HasPrefix(name, "AWS_ENDPOINT_URL") {
			d.env[name] = front.URL
		}
	}
	d.env["AWS_ENDPOINT_URL_AUTO_SCALING"] = front.URL
	d.env["AWS_ENDPOINT_URL_S3"] = d.store.URL()
	d.env["GOMEMLIMIT"] = "off" // this process is not the program
	return d
}

// repo makes octo/NAME, with so many bytes that do not compress.
func (d *deployed) repo(name string, size int64) {
	d.t.Helper()
	dir := filepath.Join(d.repos, "octo", name+".git")
	err := os.MkdirAll(filepath.Dir(dir), 0o755)
	switch {
	case err != nil:
	case size > 0:
		err = gittest.Big(dir, size, 1)
	default:
		err = gittest.Repo(dir, gittest.Normal)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// run runs the config at the given time, which names the run.
func (d *deployed) run(at time.Time, config string) (code int, said string) {
	var out bytes.Buffer
	a := &app{
		stdin: strings.NewReader(""), stdout: &out, stderr: &out, hostname: "i-0abc",
		getenv: func(name string) string { return d.env[name] }, now: func() time.Time { return at },
	}
	return a.main(d.t.Context(), []string{"run", "--quiet", "-c", config}), out.String()
}

func (d *deployed) setFault(f func(*s3test.Request) s3test.Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// TestPolicyIsWhatIsUsed runs a deployment through what can happen to it, and
// finds every request allowed, and every statement of the policy needed by one.
func TestPolicyIsWhatIsUsed(t *testing.T) {
	t.Parallel()
	d := newDeployed(t)
	const config = "s3://backups/deep/admin/config-0123.yaml"
	at := time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC)
	expect := func(scenario string, want int, config string) {
		t.Helper()
		at = at.Add(time.Hour)
		if code, said := d.run(at, config); code != want {
			t.Fatalf("%s: exit code %d, want %d:\n%s", scenario, code, want, said)
		}
	}
	expect("the config is missing", exitUsage, "s3://backups/deep/admin/config-4567.yaml")
	expect("the first run", exitComplete, config)

	d.repo("larger", 12<<20)
	lost := false
	d.setFault(func(r *s3test.Request) s3test.Fault {
		switch {
		case r.Op == "CreateMultipartUpload" && !lost:
			lost = true
			return s3test.Fault{ResetAfter: true}
		case r.Op == "UploadPart":
			return s3test.Fault{Status: 403, Code: "AccessDenied"}
		}
		return s3test.Fault{}
	})
	expect("a listing that has changed, a lost reply, and uploads that fail", exitPartial, config)

	d.leave()
	d.judge(config)
}

// leave is what an instance does last.
func (d *deployed) leave() {
	d.t.Helper()
	c, err := cloud.Load(d.t.Context(), cloud.Options{Region: awstest.Region, Getenv: func(name string) string { return d.env[name] }})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := c.LeaveGroup(d.t.Context(), "i-0abc", "weekly"); err != nil {
		d.t.Fatal(err)
	}
}

// judge compares what was seen with the policy.
func (d *deployed) judge(config string) {
	t := d.t
	a := &app{config: config, stderr: io.Discard, getenv: func(name string) string { return d.env[name] }, now: time.Now}
	parsed, err := a.loadConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := permissions(parsed, iam.Place{Region: awstest.Region, Account: awstest.Account}).JSON()
	if err != nil {
		t.Fatal(err)
	}
	policy, err := iamtest.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	d.witness.mu.Lock()
	seen := d.witness.seen
	d.witness.mu.Unlock()
	for _, r := range seen {
		if policy.Allows(r) == "" {
			t.Errorf("not allowed: %s on %s with %v", r.Action, r.Resource, r.Context)
		}
	}
	for _, sid := range policy.Sids() {
		less, needed := policy.Without(sid), false
		for _, r := range seen {
			needed = needed || less.Allows(r) == ""
		}
		if !needed {
			t.Errorf("nothing that happened needs the statement %s", sid)
		}
	}
}
