//go:build linux

// Receive measures pushes by rsync to mayfly's SSH server and to plain OpenSSH
// with the same rsync, on loopback, in turn: wall time, and CPU of client and
// server together. See make bench-receive.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"mayfly/internal/sshd"
)

func main() {
	if sshd.IsHelper() {
		os.Exit(sshd.Helper())
	}
	if len(os.Args) == 3 && os.Args[1] == "-serve" {
		check(serve(os.Args[2]))
		return
	}
	rounds := flag.Int("rounds", 3, "run each so often and keep the best")
	ciphers := flag.String("ciphers", "", "ssh's `Ciphers`, instead of its own choice")
	at := flag.String("dir", "/dev/shm", "work below this `directory`")
	flag.Parse()
	dir, err := os.MkdirTemp(*at, "mayfly-receive-")
	check(err)
	defer os.RemoveAll(dir)
	check(run(dir, *rounds, *ciphers))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "receive:", err)
		os.Exit(1)
	}
}

const (
	files   = 20_000
	total   = 1 << 30
	changed = files / 100
	hosts   = 8
)

func run(dir string, rounds int, ciphers string) error {
	src := filepath.Join(dir, "src")
	if err := generate(src, files, total); err != nil {
		return err
	}
	part := filepath.Join(dir, "part")
	if err := generate(part, files/hosts, total/hosts); err != nil {
		return err
	}
	var both []*contender
	for _, start := range []func(string) (*contender, error){plain, ours} {
		c, err := start(dir)
		if err != nil {
			return err
		}
		defer c.stop()
		for i := range c.ssh {
			if ciphers != "" {
				c.ssh[i] += " -o Ciphers=" + ciphers
			}
		}
		both = append(both, c)
	}
	fmt.Println("| | | wall s | ratio | CPU s, server | CPU s, client | CPU ratio |\n|---|---|--:|--:|--:|--:|--:|")
	best := func(title string, prepare func(c *contender, round int) error, push func(c *contender) (cost, error)) error {
		var results [2]cost
		for round := range rounds {
			for k := range both {
				i := (k + round) % len(both)
				if err := prepare(both[i], round); err != nil {
					return err
				}
				r, err := push(both[i])
				if err != nil {
					return err
				}
				b := &results[i]
				if round == 0 || r.wall < b.wall {
					b.wall = r.wall
				}
				if round == 0 || r.server+r.client < b.server+b.client {
					b.server, b.client = r.server, r.client
				}
			}
		}
		base := results[0]
		for i, r := range results {
			fmt.Printf("| %s | %s | %.2f | %.3f | %.2f | %.2f | %.3f |\n", title, both[i].name, r.wall.Seconds(), r.wall.Seconds()/base.wall.Seconds(),
				r.server.Seconds(), r.client.Seconds(), (r.server+r.client).Seconds()/(base.server+base.client).Seconds())
		}
		return nil
	}
	one := func(c *contender) (cost, error) { return c.push(map[int]string{0: src}) }
	empty := func(c *contender, _ int) error { return c.empty() }
	if err := best("1 GiB, 20,000 files", empty, one); err != nil {
		return err
	}
	if err := best("again, 1 % changed", func(c *contender, round int) error {
		if c == both[round%len(both)] { // both push the same changes
			return change(src)
		}
		return nil
	}, one); err != nil {
		return err
	}
	eight := map[int]string{}
	for i := range hosts {
		eight[i] = part
	}
	push := func(c *contender) (cost, error) { return c.push(eight) }
	if err := best("8 hosts at once, 128 MiB each", empty, push); err != nil {
		return err
	}
	for _, c := range both {
		if err := c.volumes(filepath.Join(dir, c.name+"-volumes")); err != nil {
			return err
		}
		defer c.unmount()
	}
	return best("8 hosts at once, each to an ext4 volume", empty, push)
}

// generate makes files of random contents, of a tenth to nearly twice their
// average size.
func generate(dir string, n int, bytes int64) error {
	r := rand.New(rand.NewChaCha8([32]byte{1}))
	var data rand.ChaCha8
	average := bytes / int64(n)
	buf := make([]byte, 2*average)
	for i := range n {
		d := filepath.Join(dir, fmt.Sprint(i/200))
		if i%200 == 0 {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return err
			}
		}
		b := buf[:average/10+r.Int64N(average*9/5)]
		_, _ = data.Read(b)
		if err := os.WriteFile(filepath.Join(d, fmt.Sprint(i)), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// change writes 64 new bytes into one file in a hundred.
func change(dir string) error {
	for i := range changed {
		n := i*100 + rand.IntN(100)
		f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(n/200), fmt.Sprint(n)), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		b := make([]byte, 64)
		for k := range b {
			b[k] = byte(rand.Uint32())
		}
		_, err = f.WriteAt(b, 1000)
		if err := f.Close(); err != nil {
			return err
		}
		if err != nil {
			return err
		}
		when := time.Now().Add(-time.Duration(rand.IntN(1e6)) * time.Second)
		if err := os.Chtimes(f.Name(), when, when); err != nil {
			return err
		}
	}
	return nil
}

type cost struct{ wall, server, client time.Duration }

// A contender is a server that was started.
type contender struct {
	name   string
	cmd    *exec.Cmd
	dirs   []string // of its hosts
	mounts []string
	ssh    []string // how each host reaches it
	to     []string // and where it pushes
}

func (c *contender) stop() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// volumes mounts an ext4 file system of its own, on a loop device, for each of
// the hosts.
func (c *contender) volumes(images string) error {
	if err := os.MkdirAll(images, 0o755); err != nil {
		return err
	}
	for _, d := range c.dirs {
		image := filepath.Join(images, filepath.Base(d))
		out, err := exec.Command("sh", "-ec", `PATH="$PATH:/usr/sbin:/sbin"; truncate -s 256M "$1"; mkfs.ext4 -q -m 0 "$1"; mount -o loop,noatime,nosuid,nodev,noexec "$1" "$2"`, "sh", image, d).CombinedOutput()
		if err != nil {
			return fmt.Errorf("make the volume of %s: %w: %s", d, err, out)
		}
		c.mounts = append(c.mounts, d)
	}
	return nil
}

func (c *contender) unmount() {
	for _, d := range c.mounts {
		_ = exec.Command("umount", d).Run()
	}
}

func (c *contender) empty() error {
	for _, d := range c.dirs {
		if err := exec.Command("find", d, "-mindepth", "1", "-not", "-path", d+"/lost+found", "-delete").Run(); err != nil {
			return err
		}
	}
	return nil
}

// push pushes each source from its host, all at once.
func (c *contender) push(sources map[int]string) (cost, error) {
	before := cpu(c.cmd.Process.Pid)
	began := time.Now()
	var all sync.WaitGroup
	var mu sync.Mutex
	var r cost
	var failed error
	for i, src := range sources {
		all.Go(func() {
			cmd := exec.Command("rsync", "-a", "-e", c.ssh[i], src+"/", c.to[i])
			out, err := cmd.CombinedOutput()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = fmt.Errorf("%s: %w\n%s", c.name, err, out)
			}
			r.client += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		})
	}
	all.Wait()
	r.wall = time.Since(began)
	time.Sleep(200 * time.Millisecond) // until the server has waited for its processes
	r.server = cpu(c.cmd.Process.Pid) - before
	return r, failed
}

// cpu is what a process and all that it has waited for have used (proc_pid_stat(5)).
func cpu(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	var ticks, n int64
	for _, s := range f[11:15] { // utime stime cutime cstime
		if _, err := fmt.Sscan(s, &n); err == nil {
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// start starts a server, which dies with this program.
func start(argv ...string) (*exec.Cmd, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, cmd.Start()
}
