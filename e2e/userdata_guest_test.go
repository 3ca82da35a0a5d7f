//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/mail"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"mayfly/internal/awstest"
	"mayfly/internal/imdstest"
	"mayfly/internal/s3test"
	"mayfly/userdata"
)

const (
	guestID   = "i-0123456789abcdef0"
	guestYAML = "name: e2e\n"
	guestProg = "#!/bin/sh\necho mayfly\n"
	nobody    = 65534
)

// A guest runs rendered user data the way cloud-init does, on this machine, but
// as nobody, below a directory that stands for the root, with a PATH that holds
// no program that could end a machine: systemctl, systemd-run and the package
// managers only write down how they were called. Waiting moves a clock of its
// own instead of taking time.
type guest struct {
	*world
	meta   *imdstest.Server
	shell  []string
	root   string
	values userdata.Values

	mu      sync.Mutex
	fault   func(service, path string) int // HTTP status to answer with; 0: pass on
	secrets []string
	bad     []string // requests whose signature is wrong
}

// newGuest has credentials as a role has them, with a session token, and an S3
// that takes any.
func newGuest(t *testing.T, shell ...string) *guest {
	t.Helper()
	w := newWorld(t)
	srv := s3test.New(runBucket)
	t.Cleanup(srv.Close)
	w.s3 = srv.URL()
	return w.guest("session/token+with=everything", shell)
}

func (w *world) guest(token string, shell []string) *guest {
	t := w.t
	t.Helper()
	if len(shell) == 0 {
		shell = []string{"dash"}
	}
	g := &guest{world: w, shell: shell}
	g.aws.AddGroup(awstest.Group{Name: "e2e", Max: 1, Desired: 1, Instances: []string{guestID}, Suspended: []string{"ReplaceUnhealthy", "AZRebalance"}})
	var err error
	if g.meta, err = imdstest.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.meta.Close() })
	g.meta.Change(func(s *imdstest.State) {
		s.ID = guestID
		s.Credentials.Token = token
		g.secrets = []string{s.Credentials.SecretKey, "session/token"}
	})
	g.makeRoot()
	g.values = userdata.Values{
		Name: "e2e", Region: awstest.Region, Store: userdata.Store{Bucket: runBucket, Prefix: "p/it's (a)=b"},
		Config: sum(guestYAML), Binaries: map[string]string{"amd64": sum(guestProg), "arm64": sum(guestProg)},
		TopicName: "e2e", Deadline: time.Hour,
		Environment: map[string]string{
			"AWS_ENDPOINT_URL_S3":               g.gate("s3", g.s3),
			"AWS_ENDPOINT_URL":                  g.gate("", g.aws.URL),
			"AWS_EC2_METADATA_SERVICE_ENDPOINT": g.meta.URL,
		},
	}
	for key, body := range map[string]string{
		userdata.ConfigKey(sum(guestYAML)):          guestYAML,
		userdata.BinaryKey("amd64", sum(guestProg)): guestProg, userdata.BinaryKey("arm64", sum(guestProg)): guestProg,
	} {
		g.put(key, body)
	}
	return g
}

func sum(s string) string {
	b := sha256.Sum256([]byte(s))
	return hex.EncodeToString(b[:])
}

func (g *guest) put(key, body string) {
	g.t.Helper()
	_, err := g.client().PutObject(g.t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(runBucket), Key: aws.String(g.key(key)), Body: strings.NewReader(body),
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) remove(key string) {
	g.t.Helper()
	if _, err := g.client().DeleteObject(g.t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(runBucket), Key: aws.String(g.key(key))}); err != nil {
		g.t.Fatal(err)
	}
}

// unlink takes a program away.
func (g *guest) unlink(name string) {
	g.t.Helper()
	if err := os.Remove(filepath.Join(g.root, name)); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) key(key string) string { return "p/it's (a)=b/" + key }

// gate stands before a service: it checks every signature with the SDK's
// signer, and answers in the service's place when there is a fault.
func (g *guest) gate(service, target string) string {
	g.t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		g.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
	}, ErrorLog: log.New(io.Discard, "", 0)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		fault := g.fault
		g.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		g.checkSignature(r, body)
		if fault != nil {
			if status := fault(service, r.URL.Path+"?"+string(body)); status != 0 {
				w.WriteHeader(status)
				io.WriteString(w, "<Error>\n<Code>InternalError</Code></Error>")
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	g.t.Cleanup(srv.Close)
	return srv.URL
}

// checkSignature signs what came in once more and compares.
func (g *guest) checkSignature(r *http.Request, body []byte) {
	service := "s3"
	if r.Method == "POST" {
		service = "sns"
		if bytes.Contains(body, []byte("AutoScaling")) {
			service = "autoscaling"
		}
	}
	at, _ := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	again, err := http.NewRequest(r.Method, "http://"+r.Host+r.URL.EscapedPath(), nil)
	if err != nil {
		g.t.Error(err)
		return
	}
	hash := sum(string(body))
	again.Header.Set("X-Amz-Content-Sha256", hash)
	creds := aws.Credentials{AccessKeyID: awstest.AccessKey, SecretAccessKey: awstest.SecretKey, SessionToken: r.Header.Get("X-Amz-Security-Token")}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	if err := signer.SignHTTP(g.t.Context(), creds, again, hash, service, awstest.Region, at); err != nil {
		g.t.Error(err)
		return
	}
	if want, got := again.Header.Get("Authorization"), r.Header.Get("Authorization"); got != want {
		g.mu.Lock()
		g.bad = append(g.bad, got+" is not "+want)
		g.mu.Unlock()
	}
}

// tools are what the script may find on any of the systems.
const tools = "cat chmod cp date grep head mkdir od rm sed sha256sum tail tee timeout tr uname"

func (g *guest) makeRoot() {
	g.t.Helper()
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { os.RemoveAll(dir) })
	g.root = dir
	for _, d := range []string{"bin", "run", "dev", "var/lib"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			g.t.Fatal(err)
		}
	}
	for _, tool := range strings.Fields(tools) {
		target, err := exec.LookPath(tool)
		if g.shell[0] == "busybox" {
			target, err = exec.LookPath("busybox")
		}
		if err == nil {
			err = os.Symlink(target, filepath.Join(dir, "bin", tool))
		}
		if err != nil {
			g.t.Fatal(err)
		}
	}
	for _, s := range []string{"systemctl", "systemd-run", "apt-get"} {
		g.stub(s, "")
	}
	g.stub("dpkg-query", `case $3 in there) echo 'install ok installed' ;; *) exit 1 ;; esac`)
	g.stub("journalctl", `printf 'its \303\251 last\nwords\033[0m\n'`)
	curl, err := exec.LookPath("curl")
	if err != nil {
		g.t.Fatal(err)
	}
	g.stub("curl", "exec "+curl+` "$@"`)
	g.write("clock", "0\n")
	g.write("calls", "")
	g.write("dev/console", "")
	err = filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chmod(dir, 0o755), chown(p))
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

func chown(file string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return os.Lchown(file, nobody, nobody)
}

// stub is a program that writes down its arguments and then does what body
// says.
func (g *guest) stub(name, body string) {
	g.t.Helper()
	file := filepath.Join(g.root, "bin", name)
	// Never through the link to the true program.
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		g.t.Fatal(err)
	}
	text := "#!/bin/sh\necho \"" + name + " $*\" >>" + g.root + "/calls\n" + body + "\n"
	if err := errors.Join(createNew(file, text), chown(file)); err != nil {
		g.t.Fatal(err)
	}
}

func createNew(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func (g *guest) write(name, text string) {
	g.t.Helper()
	file := filepath.Join(g.root, name)
	if err := errors.Join(os.WriteFile(file, []byte(text), 0o644), chown(file)); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) read(name string) string {
	b, err := os.ReadFile(filepath.Join(g.root, name))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return string(b)
}

// script is one part of the user data, with the root and the clock replaced.
func (g *guest) script(kind string) string {
	g.t.Helper()
	data, err := userdata.Render(g.values)
	if err != nil {
		g.t.Fatal(err)
	}
	text := part(g.t, data, kind)
	for old, replacement := range map[string]string{
		"\nroot=''\n": "\nroot='" + g.root + `'
sleep() { echo $(($(cat "$root/clock") + $1)) >"$root/clock"; }
date() { case $1 in +%s) echo $(($(command date +%s) + $(cat "$root/clock"))) ;; *) command date "$@" ;; esac; }
`,
		"/proc/sysrq-trigger": g.root + "/sysrq",
	} {
		if strings.Count(text, old) != 1 {
			g.t.Fatalf("%q is in the %s %d times", old, kind, strings.Count(text, old))
		}
		text = strings.Replace(text, old, replacement, 1)
	}
	return text
}

// part is what cloud-init takes out of user data as being of that kind.
func part(t *testing.T, data []byte, kind string) string {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextPart()
		if err != nil {
			t.Fatalf("no part %s: %v", kind, err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.Header.Get("Content-Type"), kind) {
			return string(b)
		}
	}
}

// hook runs the part that arms the power-off, boot the one that starts the run.
func (g *guest) hook(env ...string) (int, string) {
	return g.exec("text/cloud-boothook", append([]string{"INSTANCE_ID=" + guestID}, env...))
}

func (g *guest) boot(args ...string) (int, string) { return g.exec("text/x-shellscript", nil, args...) }

func (g *guest) exec(kind string, env []string, args ...string) (int, string) {
	g.t.Helper()
	return g.run(g.script(kind), env, args...)
}

// run runs a script as the guest.
func (g *guest) run(script string, env []string, args ...string) (int, string) {
	g.t.Helper()
	g.write("part", script)
	shell, err := exec.LookPath(g.shell[0])
	if err != nil {
		g.t.Fatal(err)
	}
	cmd := exec.CommandContext(g.t.Context(), shell, slices.Concat(g.shell[1:], []string{g.root + "/part"}, args)...)
	cmd.Dir = g.root
	cmd.Env = append([]string{"PATH=" + g.root + "/bin"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		g.t.Fatal(err)
	}
	g.checkSecrets(string(out))
	return cmd.ProcessState.ExitCode(), string(out)
}

// checkSecrets looks for credentials where they must not be, and for requests
// that were signed wrongly.
func (g *guest) checkSecrets(out string) {
	g.t.Helper()
	shown := out + g.read("calls") + g.read("dev/console")
	for _, m := range g.aws.Messages() {
		shown += m.Body
	}
	for _, s := range append(g.secrets, "Signature=") {
		if strings.Contains(shown, s) {
			g.t.Errorf("%q is shown:\n%s", s, shown)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range g.bad {
		g.t.Errorf("signature: %s", b)
	}
}

func (g *guest) clock() time.Duration {
	var err error
	for range 50 { // a sleep that is just writing has emptied it first
		var n int
		if n, err = strconv.Atoi(strings.TrimSpace(g.read("clock"))); err == nil {
			return time.Duration(n) * time.Second
		}
		time.Sleep(20 * time.Millisecond)
	}
	g.t.Fatal(err)
	return 0
}
