//go:build e2evm

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"mayfly/internal/awstest"
	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/internal/imdstest"
	"mayfly/internal/s3test"
)

const (
	owner     = "octo"
	token     = "github_pat_11VM0secret"
	bucket    = "backups"
	parameter = "/vm/github-token"
	group     = "vm"
	instance  = "i-0a1b2c3d4e5f60718"
)

// A world is all that the machine can reach: an EC2 instance's metadata, an
// AWS, an S3 that checks signatures, and a GitHub.
type world struct {
	t      *testing.T
	dir    string
	imds   *imdstest.Server
	aws    *awstest.Server
	awsURL string
	s3     *front
	s3URL  string
	github *githubtest.Server
	gitURL string
	asked  first // of GitHub
	agent  agent
	middle chan struct{} // closed when the run is in its middle: it fetches a repository
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), middle: make(chan struct{})}
	w.startIMDS()
	w.startAWS()
	w.startS3()
	w.startGitHub()
	w.agent.url = w.serve(http.HandlerFunc(w.agent.serve), "", "")
	return w
}

// serve makes h reachable from the machine too, and returns its address.
func (w *world) serve(h http.Handler, cert, key string) string {
	w.t.Helper()
	l, err := net.Listen("tcp", imds+":0")
	if err != nil {
		w.t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	w.t.Cleanup(func() { s.Close() })
	if cert != "" {
		go s.ServeTLS(l, cert, key)
		return "https://" + l.Addr().String()
	}
	go s.Serve(l)
	return "http://" + l.Addr().String()
}

func (w *world) startIMDS() {
	w.t.Helper()
	var err error
	if w.imds, err = imdstest.Listen(imds + ":80"); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.imds.Close() })
	w.imds.Change(func(s *imdstest.State) {
		s.ID, s.Type, s.Arch, s.Role = instance, "t3.nano", "x86_64", "vm"
		s.Credentials.Token = "" // the gateway knows no temporary credentials
		s.Tags = map[string]string{"aws:autoscaling:groupName": group}
	})
}

func (w *world) startAWS() {
	w.t.Helper()
	var err error
	if w.aws, err = awstest.New(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.aws.Close() })
	w.aws.Topics = []string{awstest.TopicARN("vm")}
	w.aws.Parameters[parameter] = token
	w.awsURL = w.serve(w.aws, "", "")
}

// startS3 starts a versitygw with an empty bucket.
func (w *world) startS3() {
	w.t.Helper()
	objects, meta := filepath.Join(w.dir, "s3"), filepath.Join(w.dir, "gateway-metadata")
	for _, d := range []string{objects, meta} {
		if err := os.Mkdir(d, 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	const addr = "127.0.0.1:9000"
	gateway := exec.Command(filepath.Join(moduleRoot(w.t), ".e2e", "bin", "versitygw"),
		"--port", addr, "--access", awstest.AccessKey, "--secret", awstest.SecretKey, "--region", awstest.Region,
		"--quiet", "--keep-alive", "posix", "--sidecar", meta, objects)
	gateway.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	gateway.Stdout, gateway.Stderr = &said, &said
	if err := gateway.Start(); err != nil {
		w.t.Fatalf("start versitygw: %v: run e2e/install.sh first", err)
	}
	w.t.Cleanup(func() {
		gateway.Process.Kill()
		gateway.Wait()
		if w.t.Failed() {
			w.t.Logf("versitygw said:\n%s", &said)
		}
	})
	w.s3 = newFront(addr)
	w.s3URL = w.serve(w.s3, "", "")
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(end) {
			w.t.Fatalf("versitygw does not listen: %v", err)
		}
	}
	name := bucket
	if _, err := w.client().CreateBucket(w.t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) client() *s3.Client {
	return s3.New(s3test.Client(w.s3URL, awstest.AccessKey, awstest.SecretKey).Options(), func(o *s3.Options) { o.Region = awstest.Region })
}

// startGitHub starts a GitHub with two repositories, by https and with a
// certificate that the image trusts.
func (w *world) startGitHub() {
	w.t.Helper()
	w.github = githubtest.New(githubtest.Options{Dir: filepath.Join(w.dir, "github"), Login: owner, Token: token})
	if err := gittest.Repo(w.github.Git.Dir(owner+"/hello"), gittest.Normal); err != nil {
		w.t.Fatal(err)
	}
	if err := gittest.Big(w.github.Git.Dir(owner+"/photos"), 4<<20, 1); err != nil {
		w.t.Fatal(err)
	}
	image := os.Getenv("MAYFLY_VM_IMAGE")
	github := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.now()
		w.github.ServeHTTP(rw, r)
	})
	w.gitURL = w.serve(github, filepath.Join(image, "tls.crt"), filepath.Join(image, "tls.key"))
}

// stall makes the run stay in its middle, and says on w.middle that it is.
func (w *world) stall() {
	var once sync.Once
	w.github.Git.Fail(owner+"/photos", gittest.Fault{
		Step: gittest.Pack, Before: func() { once.Do(func() { close(w.middle) }) }, Stall: &gittest.Stall{After: 100_000},
	})
}

// config is the deployment's.
func (w *world) config(deadline time.Duration) string {
	return fmt.Sprintf(`name: vm
region: %s
store: s3://%s/deep
group: %s
notify: {topic: %q}
schedule: {start: "0 17 * * FRI", deadline: %s}
instance: {types: [t3.nano]}
jobs:
  - name: github
    github: {url: %q, owners: [me], token: "ssm:%s"}
`, awstest.Region, bucket, group, awstest.TopicARN("vm"), deadline, w.gitURL, parameter)
}

// env is the environment of mayfly on the machine of a person who prepares the
// instance.
func (w *world) env() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=" + awstest.AccessKey, "AWS_SECRET_ACCESS_KEY=" + awstest.SecretKey,
		"AWS_ENDPOINT_URL=" + w.awsURL, "AWS_ENDPOINT_URL_S3=" + w.s3URL,
	}
}

// objects lists the keys in the bucket by what is on the gateway's disk: it
// may be down.
func (w *world) objects() (keys []string) {
	w.t.Helper()
	root := filepath.Join(w.dir, "s3", bucket)
	err := filepath.WalkDir(root, func(p string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			keys = append(keys, strings.TrimPrefix(p, root+"/"))
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return keys
}

// object returns the only one whose key has this beginning and end.
func (w *world) object(prefix, suffix string) (key string, content []byte) {
	w.t.Helper()
	for _, k := range w.objects() {
		if strings.HasPrefix(k, prefix) && strings.HasSuffix(k, suffix) {
			if key != "" {
				w.t.Fatalf("%s and %s are both %s…%s", key, k, prefix, suffix)
			}
			key = k
		}
	}
	if key == "" {
		return "", nil
	}
	content, err := os.ReadFile(filepath.Join(w.dir, "s3", bucket, key))
	if err != nil {
		w.t.Fatal(err)
	}
	return key, content
}

// admin is the key of the only object of that kind that user data names.
func (w *world) admin(kind string) string {
	w.t.Helper()
	key, _ := w.object("deep/admin/"+kind, "")
	if key == "" {
		w.t.Fatalf("there is no deep/admin/%s…", kind)
	}
	return key
}

// put writes an object, over the old one if there is any.
func (w *world) put(key string, content []byte) {
	w.t.Helper()
	name := bucket
	_, err := w.client().PutObject(w.t.Context(), &s3.PutObjectInput{Bucket: &name, Key: &key, Body: bytes.NewReader(content)})
	if err != nil {
		w.t.Fatal(err)
	}
}

// remove deletes an object.
func (w *world) remove(key string) {
	w.t.Helper()
	name := bucket
	if _, err := w.client().DeleteObject(w.t.Context(), &s3.DeleteObjectInput{Bucket: &name, Key: &key}); err != nil {
		w.t.Fatal(err)
	}
}

// An agent is what the test does inside the machine, once each.
type agent struct {
	url  string
	mu   sync.Mutex
	what string
}

func (a *agent) do(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.what = what
}

func (a *agent) serve(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, _ = io.WriteString(w, a.what)
	a.what = ""
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, serr := os.Stat(filepath.Join(dir, "go.mod")); serr == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			err = errors.New("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal(err)
	return ""
}

// mayfly runs the binary under test on this side.
func (w *world) mayfly(config string, args ...string) []byte {
	w.t.Helper()
	name := filepath.Join(w.dir, "mayfly.yaml")
	if err := os.WriteFile(name, []byte(config), 0o644); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(moduleRoot(w.t), "bin", "mayfly"), append(args, "--config", name)...)
	c.Dir, c.Env = w.dir, w.env()
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		w.t.Fatalf("mayfly %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}
