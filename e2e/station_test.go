//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/imdstest"
	"mayfly/internal/volume"
)

// envInside says in a test's own process that it is in its own namespaces.
const envInside = "MAYFLY_E2E_INSIDE"

// inside runs the test again in network and mount namespaces of its own, where
// a server may listen everywhere, hosts have networks of their own, and nothing
// stays mounted. It returns true there.
func inside(t *testing.T) bool {
	t.Helper()
	needRoot(t)
	if os.Getenv(envInside) == t.Name() {
		for _, line := range []string{"ip link set lo up", "mkdir -p /run/netns", "mount -t tmpfs none /run/netns", "mount -t tmpfs none /mnt"} {
			if out, err := exec.Command("sh", "-ec", line).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", line, err, out)
			}
		}
		return true
	}
	limit := 8 * time.Minute
	if os.Getenv("MAYFLY_E2E_ALL") != "" {
		limit = 25 * time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit+time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--propagation", "private", os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.count=1", fmt.Sprintf("-test.timeout=%s", limit))
	c.Env = append(os.Environ(), envInside+"="+t.Name())
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}

// A station is a receiver with all there is around it: moto's EC2 with devices
// behind its volumes, metadata, a deployment, and hosts in networks of their own.
type station struct {
	t        *testing.T
	m        *moto
	ebs      *ebs
	imds     *imdstest.Server
	dir      string
	instance string
	role     map[string]string
	hosts    map[string]*far
	window   string
	idle     string
	keep     string
	address  string
	more     string // lines of the job
	known    string // file
	deployed string // the config's file, where mayfly deploy has taken it; "" where it is made anew
}

const stationPort = 2222

// A far is a host.
type far struct {
	s       *station
	name    string
	ns      string // its network namespace
	server  string // the server's address, as it sees it
	key     string // file
	dir     string
	volume  string
	options string // more of the config's mapping
}

// newStation makes one. MiB is the size of each host's volume.
func newStation(t *testing.T, mib int64, hosts ...string) *station {
	t.Helper()
	return newStationOf(t, mib, func(*station) {}, hosts...)
}

// newStationOf makes one that is prepared further, before its policy is
// computed and IAM enforced.
func newStationOf(t *testing.T, mib int64, prepare func(*station), hosts ...string) *station {
	t.Helper()
	m := newMoto(t)
	s := &station{t: t, m: m, dir: m.world.dir, hosts: map[string]*far{}, window: "10m", idle: "10m", keep: "20d", address: "{store: true}"}
	s.ebs = newEBS(t, m, filepath.Join(s.dir, "ebs"))
	var err error
	if s.imds, err = imdstest.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.imds.Close() })
	s.newInstance()
	s.hostKey()
	for i, name := range hosts {
		s.host(name, i+1, mib)
	}
	prepare(s)
	s.role = m.user("instance", motoReadable(t, s.policy()))
	m.admin = m.user("admin", `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}`)
	m.enforce()
	return s
}

// newInstance is a launch: metadata speaks of it from now on.
func (s *station) newInstance() {
	s.t.Helper()
	s.instance = s.m.instanceOf(s.t, "hosts")
	s.imds.Change(func(st *imdstest.State) { st.ID, st.Zone = s.instance, motoRegion+"a" })
}

// hostKey makes the deployment's, as deploy does.
func (s *station) hostKey() {
	s.t.Helper()
	file := filepath.Join(s.dir, "host-key")
	s.sh(`ssh-keygen -q -t ed25519 -N "" -C mayfly-hosts -f "$1"`, file)
	s.m.aws("ssm", "put-parameter", "--name", "/hosts/host-key", "--type", "SecureString", "--value", "file://"+file)
	public, err := os.ReadFile(file + ".pub")
	if err != nil {
		s.t.Fatal(err)
	}
	s.known = filepath.Join(s.dir, "known_hosts")
	if err := os.WriteFile(s.known, append([]byte("backup "), public...), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// host makes one, with a volume.
func (s *station) host(name string, n int, mib int64) {
	s.t.Helper()
	s.network(name, n).volume = s.newVolume(name, mib)
}

// network makes a host: a network that leads to the server alone, and a key.
func (s *station) network(name string, n int) *far {
	s.t.Helper()
	f := &far{s: s, name: name, ns: "h" + fmt.Sprint(n), server: fmt.Sprintf("10.77.%d.1", n), dir: filepath.Join(s.dir, "host-"+name)}
	f.key = filepath.Join(f.dir, "key")
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.sh(`ip netns add "$1"; ip link add "v$1" type veth peer name eth0 netns "$1"
		ip addr add "$2/30" dev "v$1"; ip link set "v$1" up
		ip -n "$1" addr add "$3/30" dev eth0; ip -n "$1" link set eth0 up; ip -n "$1" link set lo up
		ssh-keygen -q -t ed25519 -N "" -C "root@$5" -f "$4"`, f.ns, f.server, fmt.Sprintf("10.77.%d.2", n), f.key, name)
	s.hosts[name] = f
	return f
}

// newVolume is what mayfly volume create makes, with a file behind it.
func (s *station) newVolume(host string, mib int64) string {
	s.t.Helper()
	return s.newVolumeIn(motoRegion+"a", host, mib)
}

func (s *station) newVolumeIn(zone, host string, mib int64) string {
	s.t.Helper()
	var made struct{ VolumeId string }
	s.m.answer(&made, "ec2", "create-volume", "--availability-zone", zone, "--size", "1", "--volume-type", "gp3", "--encrypted",
		"--tag-specifications", "ResourceType=volume,Tags=[{Key=mayfly:deployment,Value=hosts},{Key="+volume.TagHost+",Value="+host+"}]")
	image := s.ebs.image(made.VolumeId)
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Truncate(image, mib*miB); err != nil {
		s.t.Fatal(err)
	}
	return made.VolumeId
}

func (s *station) sh(script string, args ...string) string {
	s.t.Helper()
	out, err := s.ebs.sh(script, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// config writes the deployment's, as it is to be now.
func (s *station) config() string {
	s.t.Helper()
	if s.deployed != "" {
		return s.deployed
	}
	var b strings.Builder
	fmt.Fprintf(&b, `name: hosts
region: %s
store: %s
jobs:
  - name: servers
    receive:
      window: %s
      idle: %s
      keep: %s
      listen: {port: %d, from: [10.77.0.0/16]}
      address: %s
%s      hosts:
`, motoRegion, s.m.world.fileStore(), s.window, s.idle, s.keep, stationPort, s.address, s.more)
	for _, name := range slices.Sorted(maps.Keys(s.hosts)) {
		f := s.hosts[name]
		public, err := os.ReadFile(f.key + ".pub")
		if err != nil {
			s.t.Fatal(err)
		}
		fmt.Fprintf(&b, "        %s: {volume: %s, keys: [%q]%s}\n", name, f.volume, strings.TrimSpace(string(public)), f.options)
	}
	file := filepath.Join(s.dir, "hosts.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// policy is what the role may do.
func (s *station) policy() []byte {
	s.t.Helper()
	r := s.m.mayfly("iam", "--policy", "--account", motoAccount, "-c", s.config())
	if r.code != 0 {
		s.t.Fatalf("mayfly iam: %s", r)
	}
	return []byte(r.out)
}

// A stationRun is mayfly at work.
type stationRun struct {
	s        *station
	cmd      *exec.Cmd
	out, err transcript
	over     chan struct{}
	began    time.Time
}

// A transcript is what a process has written so far.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start starts a run, with more environment.
func (s *station) start(more ...string) *stationRun {
	s.t.Helper()
	r := &stationRun{s: s, over: make(chan struct{}), began: time.Now()}
	r.cmd = exec.Command(mayflyBinary(s.t), "run", "-c", s.config(), "-v")
	env := s.m.env(s.m.proxy, s.role)
	delete(env, "AWS_EC2_METADATA_DISABLED")
	maps.Copy(env, s.imds.Env())
	env["MAYFLY_DEVICES"] = s.ebs.links()
	for k, v := range env {
		r.cmd.Env = append(r.cmd.Env, k+"="+v)
	}
	r.cmd.Env = append(r.cmd.Env, more...)
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait()
		close(r.over)
	}()
	s.t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.over
		if s.t.Failed() {
			s.t.Logf("mayfly said\n%s\n%s", r.out.String(), r.err.String())
		}
	})
	return r
}

// open waits until the window is.
func (r *stationRun) open() *stationRun {
	r.s.t.Helper()
	eventuallyTrue(r.s.t, 2*time.Minute, "the window opens", func() bool {
		select {
		case <-r.over:
			r.s.t.Fatal("the run ended before the window opened")
		default:
		}
		b, err := os.ReadFile(filepath.Join(r.s.m.world.storeDir(), "servers", "address.json"))
		var w struct {
			State  string
			Opened time.Time
		}
		return err == nil && json.Unmarshal(b, &w) == nil && w.State == "open" && w.Opened.After(r.began) // a run that was killed leaves its own
	})
	return r
}

// ends waits for the run's end, and returns its exit code.
func (r *stationRun) ends() int {
	r.s.t.Helper()
	select {
	case <-r.over:
	case <-time.After(3 * time.Minute):
		r.s.t.Fatal("the run does not end")
	}
	return r.cmd.ProcessState.ExitCode()
}

// run runs a command on the host, below its directory.
func (f *far) run(argv ...string) said {
	f.s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return f.runWithin(ctx, argv...)
}

func (f *far) command(ctx context.Context, argv ...string) *exec.Cmd {
	// Not by ip netns exec, whose mount namespace would hold the volumes' mounts.
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=/run/netns/" + f.ns, "--"}, argv...)...)
	cmd.Dir = f.dir
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD=x", "RESTIC_CACHE_DIR="+filepath.Join(f.dir, "cache"), "HOME="+f.dir, "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	return cmd
}

func (f *far) runWithin(ctx context.Context, argv ...string) said {
	cmd := f.command(ctx, argv...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return said{argv, string(out) + err.Error(), -1}
	}
	return said{argv, string(out), cmd.ProcessState.ExitCode()}
}

// ssh is the stock client's command line, as docs/hosts.md has it.
func (f *far) ssh() []string {
	argv := []string{"ssh", "-F", "none", "-p", fmt.Sprint(stationPort), "-i", f.key}
	for _, o := range []string{"HostKeyAlias=backup", "UserKnownHostsFile=" + f.s.known, "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes",
		"UpdateHostKeys=no", "IdentitiesOnly=yes", "BatchMode=yes", "LogLevel=ERROR"} {
		argv = append(argv, "-o", o)
	}
	return argv
}

// push pushes a directory with an rsync, by its program.
func (f *far) push(program, from, to string, options ...string) said {
	f.s.t.Helper()
	argv := append([]string{program, "-e", strings.Join(f.ssh(), " "), "-aAXHS", "-z", "--numeric-ids", "--delete", "--force", "--partial", "--stats"}, options...)
	return f.run(append(argv, from+"/", "root@"+f.server+":"+to)...)
}

// done says that the host has finished.
func (f *far) done() said {
	f.s.t.Helper()
	return f.run(append(f.ssh(), "root@"+f.server, "done")...)
}

// free finds every volume unmounted and let go.
func (s *station) free() {
	s.t.Helper()
	for name, f := range s.hosts {
		if st := s.ebs.state(f.volume); st.attached != "" {
			s.t.Errorf("the volume of %s is attached to %s", name, st.attached)
		}
		if out := s.sh(`findmnt -rno SOURCE "/mnt/$1" || :`, name); out != "" {
			s.t.Errorf("still mounted for %s: %s", name, out)
		}
		if d := s.ebs.device(f.volume); d != "" {
			s.t.Errorf("the volume of %s is still %s", name, d)
		}
	}
}
