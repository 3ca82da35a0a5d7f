//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
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

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"mayfly/internal/awstest"
	"mayfly/internal/githubtest"
	"mayfly/internal/gittest"
	"mayfly/internal/s3test"
)

const (
	// A token with everything that some encoding spells differently.
	runToken  = "github_pat_11E2E/+secret=token&more?~end0123456789"
	runOwner  = "octo"
	runBucket = "backups"
	parameter = "/e2e/github-token"
)

// A world is what a whole run needs: a GitHub and an AWS on loopback, a place
// for the store, and an empty home.
type world struct {
	t      *testing.T
	dir    string
	github *githubtest.Server
	url    string // of github
	aws    *awstest.Server
	s3     string   // endpoint of the store's S3; "" without one
	s3dir  string   // where versitygw keeps the objects
	extra  []string // variables of a run on top of env's
}

func newWorld(t *testing.T) *world { return newWorldIn(t, t.TempDir()) }

func newWorldIn(t *testing.T, dir string) *world {
	t.Helper()
	w := &world{t: t, dir: dir}
	for _, d := range []string{"github", "home", "work"} {
		if err := os.Mkdir(filepath.Join(w.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.github = githubtest.New(githubtest.Options{Dir: filepath.Join(w.dir, "github"), Login: runOwner, Token: runToken})
	var err error
	if w.url, err = w.github.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.github.Close() })
	if w.aws, err = awstest.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.aws.Close() })
	w.aws.Topics = []string{awstest.TopicARN("e2e")}
	w.aws.Parameters[parameter] = runToken
	return w
}

// repo makes a bare repository "octo/NAME".
func (w *world) repo(name string, kind gittest.Kind) {
	w.t.Helper()
	if err := gittest.Repo(w.bare(name), kind); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) bare(name string) string { return w.github.Git.Dir(runOwner + "/" + name) }

// versity starts a versitygw with an empty bucket as the store's S3.
func (w *world) versity() *world {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	// Without a folder of its own for metadata it keeps the list of an upload's
	// parts in an extended attribute, which ext4 limits to about 4 kB.
	meta := filepath.Join(w.dir, "gateway-metadata")
	w.s3dir = filepath.Join(w.dir, "s3")
	for _, d := range []string{meta, w.s3dir} {
		if err := os.Mkdir(d, 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	c := exec.Command(filepath.Join(moduleRoot(w.t), ".e2e", "bin", "versitygw"),
		"--port", addr, "--access", awstest.AccessKey, "--secret", awstest.SecretKey, "--region", awstest.Region,
		"--quiet", "--keep-alive", "posix", "--sidecar", meta, w.s3dir)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		w.t.Fatalf("start versitygw: %v: run e2e/install.sh first", err)
	}
	w.t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		if w.t.Failed() {
			w.t.Logf("versitygw said:\n%s", &said)
		}
	})
	w.s3 = "http://" + addr
	w.eventually(10*time.Second, "versitygw listens", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	bucket := runBucket
	if _, err := w.client().CreateBucket(w.t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		w.t.Fatal(err)
	}
	return w
}

func (w *world) client() *s3.Client {
	return s3.New(s3test.Client(w.s3, awstest.AccessKey, awstest.SecretKey).Options(), func(o *s3.Options) { o.Region = awstest.Region })
}

// uploads lists the unfinished multipart uploads.
func (w *world) uploads() []string {
	w.t.Helper()
	bucket := runBucket
	out, err := w.client().ListMultipartUploads(w.t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		w.t.Fatal(err)
	}
	var keys []string
	for _, u := range out.Uploads {
		keys = append(keys, *u.Key)
	}
	return keys
}

// fileStore is the address of the directory that is the store.
func (w *world) fileStore() string { return "file://" + w.storeDir() }

func (w *world) storeDir() string { return filepath.Join(w.dir, "store") }

const s3Store = "s3://" + runBucket + "/deep"

// config is one that works; job holds more lines of the job, as "wiki: false".
func (w *world) config(store string, job ...string) string {
	text := fmt.Sprintf("name: e2e\nstore: %s\nnotify: {topic: %q}\njobs:\n  - name: github\n    github:\n      url: %s\n      owners: [me]\n      token: ssm:%s\n",
		store, awstest.TopicARN("e2e"), w.url, parameter)
	for _, line := range job {
		text += "      " + line + "\n"
	}
	return text
}

// env is the whole environment of a run.
func (w *world) env() []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(w.dir, "home"), "TMPDIR=" + filepath.Join(w.dir, "home"), "TZ=UTC"}
	for k, v := range w.aws.Env() {
		env = append(env, k+"="+v)
	}
	if w.s3 != "" {
		env = append(env, "AWS_ENDPOINT_URL_S3="+w.s3)
	}
	return append(env, w.extra...)
}

// A process is mayfly at work.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	began    time.Time
	out, err bytes.Buffer
	stop     chan struct{}
	watched  sync.WaitGroup
	argv     map[string]bool
	peak     int64
}

// A result is what is left of a process.
type result struct {
	code     int
	out, err string
	wall     time.Duration
	cpu      time.Duration
	peak     int64    // bytes of memory, the most there were
	argv     []string // of it and every process below it, NUL between arguments
}

// String is for messages of tests.
func (r result) String() string {
	return fmt.Sprintf("exit code %d after %s, cpu %s, peak %.1f MiB\nstdout:\n%s\nstderr:\n%s",
		r.code, r.wall.Round(time.Millisecond), r.cpu.Round(time.Millisecond), mib(r.peak), r.out, r.err)
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// mayflyBinary is the mayfly under test.
func mayflyBinary(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(moduleRoot(t), "bin", "mayfly")
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("%v: run this with make e2e, or make build first", err)
	}
	return bin
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

// run runs mayfly with the config to its end.
func (w *world) run(config string, args ...string) result {
	w.t.Helper()
	return w.start(config, args...).wait()
}

// start starts mayfly with the config in an empty folder.
func (w *world) start(config string, args ...string) *process {
	w.t.Helper()
	return w.startWith(nil, config, args...)
}

// startWith is start below another command, as strace.
func (w *world) startWith(under []string, config string, args ...string) *process {
	w.t.Helper()
	work := filepath.Join(w.dir, "work")
	if err := os.WriteFile(filepath.Join(work, "mayfly.yaml"), []byte(config), 0o644); err != nil {
		w.t.Fatal(err)
	}
	if len(args) == 0 {
		args = []string{"run"}
	}
	argv := slices.Concat(under, []string{mayflyBinary(w.t)}, args)
	p := &process{t: w.t, stop: make(chan struct{}), argv: map[string]bool{}}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = work, w.env(), &p.out, &p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
		}
	})
	p.watched.Go(p.watch)
	return p
}

// wait returns when mayfly has ended.
func (p *process) wait() result {
	p.t.Helper()
	late := time.AfterFunc(8*time.Minute, func() { p.cmd.Process.Kill() })
	err := p.cmd.Wait()
	wall := time.Since(p.began)
	late.Stop()
	close(p.stop)
	p.watched.Wait()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		p.t.Fatal(err)
	}
	s := p.cmd.ProcessState
	r := result{code: s.ExitCode(), out: p.out.String(), err: p.err.String(), wall: wall, cpu: s.UserTime() + s.SystemTime(), peak: p.peak}
	for a := range p.argv {
		r.argv = append(r.argv, a)
	}
	return r
}

// watch looks at the process and all below it until it has ended. Peak memory
// is VmHWM and not rusage's ru_maxrss: that one begins with the memory of this
// very process, which a child shares until its exec (exec_mmap in the kernel's
// fs/exec.c).
func (p *process) watch() {
	root := p.cmd.Process.Pid
	for n := 0; ; n++ {
		wait := 5 * time.Millisecond
		if n > 200 { // no short one: what it had most of memory is seen later, too
			wait = 25 * time.Millisecond
		}
		select {
		case <-p.stop:
			return
		case <-time.After(wait):
		}
		p.peak = max(p.peak, peakOf(root))
		if n%5 == 0 {
			for _, pid := range append(below(root), root) {
				if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && len(b) > 0 {
					p.argv[string(b)] = true
				}
			}
		}
	}
}

// peakOf is the most memory the process has had, or 0 when it is gone.
func peakOf(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 10, 64)
	return kib << 10
}

// below lists the descendants of a process.
func below(pid int) []int {
	var all []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		for _, word := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(append(all, child), below(child)...)
			}
		}
	}
	return all
}

// fetch copies the whole bucket into a new directory with the aws command.
func (w *world) fetch() string {
	w.t.Helper()
	to := filepath.Join(w.t.TempDir(), "fetched")
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(moduleRoot(w.t), ".e2e", "venv", "bin", "aws"),
		"s3", "cp", "--recursive", "--quiet", s3Store, to)
	c.Env = w.env()
	if out, err := c.CombinedOutput(); err != nil {
		w.t.Fatalf("aws s3 cp: %v: run e2e/install.sh first if it is missing\n%s", err, out)
	}
	return to
}

// segments maps "NAME" to the file of its only segment below a store's copy.
func (w *world) segments(dir string) map[string]string {
	w.t.Helper()
	found := map[string]string{}
	for _, f := range filesBelow(w.t, dir) {
		if !strings.HasSuffix(f, ".zip") {
			continue
		}
		rel, err := filepath.Rel(filepath.Join(dir, "github", runOwner), f)
		if err != nil {
			w.t.Fatal(err)
		}
		name, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
		if found[name] != "" {
			w.t.Errorf("%s has two segments", name)
		}
		found[name] = f
	}
	return found
}

// filesBelow lists the files below dir; none when it does not exist.
func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files = append(files, p)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

// reportText is report.txt of the only run below a store's copy.
func (w *world) reportText(dir string) string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "runs", "*", "report.txt"))
	if err != nil || len(files) != 1 {
		w.t.Fatalf("reports %v, error %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// eventually waits for something to become so.
func (w *world) eventually(limit time.Duration, what string, so func() bool) {
	w.t.Helper()
	for end := time.Now().Add(limit); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("after %s it is still not so that %s", limit, what)
		}
	}
}

// has checks that text holds each of the parts.
func has(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s does not say %q:\n%s", what, p, text)
		}
	}
}
