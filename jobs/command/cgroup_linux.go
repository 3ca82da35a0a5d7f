package command

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A cgroup is a control group of version 2, with groups of version 1 beside it
// where that is where a controller is (a hybrid hierarchy).
// https://docs.kernel.org/admin-guide/cgroup-v2.html
type cgroup struct {
	root string   // where version 2 is mounted
	path string   // of the group
	dir  *os.File // open on path
	v1   map[string]string
}

// newCgroup makes a group directly below the mount: a group that has
// processes, as the one that mayfly is in, can have no limits below it.
func newCgroup() (*cgroup, error) {
	root, _ := mountOf("cgroup2", "")
	if root == "" {
		return nil, errors.New("control groups v2 are not mounted")
	}
	path, err := os.MkdirTemp(root, "mayfly-")
	if err != nil {
		return nil, fmt.Errorf("make a control group: %w", err)
	}
	c := &cgroup{root: root, path: path, v1: map[string]string{}}
	// Runtimes size themselves by the limits that they read there.
	if c.dir, err = os.Open(path); err == nil {
		err = os.Chmod(path, 0o755)
	}
	if err == nil {
		_, err = os.Stat(filepath.Join(path, "cgroup.events"))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a control group: %w", err), os.Remove(path))
	}
	return c, nil
}

// mountOf finds where a file system is mounted that has an option, and the
// rest of its options.
func mountOf(kind, option string) (at, options string) {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", ""
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 4 || f[2] != kind || option != "" && !strings.Contains(","+f[3]+",", ","+option+",") {
			continue
		}
		return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(f[1]), f[3]
	}
	return "", ""
}

// setLimit sets a limit whose file is called the same in version 1.
func (c *cgroup) setLimit(controller, file, value string) error {
	dir, err := c.with(controller, file)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, file), []byte(value), 0)
}

// with is the directory of the group that has a controller's file.
func (c *cgroup) with(controller, file string) (string, error) {
	if has(c.path, file) {
		return c.path, nil
	}
	// The root group may have processes and controllers both.
	if os.WriteFile(filepath.Join(c.root, "cgroup.subtree_control"), []byte("+"+controller), 0) == nil && has(c.path, file) {
		return c.path, nil
	}
	if dir := c.v1[controller]; dir != "" {
		return dir, nil
	}
	at, _ := mountOf("cgroup", controller)
	if at == "" {
		return "", fmt.Errorf("the controller %s is not there", controller)
	}
	dir, err := os.MkdirTemp(filepath.Join(at, ownV1(controller)), "mayfly-")
	if err != nil {
		if dir, err = os.MkdirTemp(at, "mayfly-"); err != nil {
			return "", err
		}
	}
	c.v1[controller] = dir
	return dir, nil
}

func has(dir, file string) bool {
	_, err := os.Stat(filepath.Join(dir, file))
	return err == nil
}

// ownV1 is the path of mayfly's own group of a controller of version 1.
func ownV1(controller string) string {
	b, err := os.ReadFile("/proc/thread-self/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(strings.TrimSpace(string(b))) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 && strings.Contains(","+f[1]+",", ","+controller+",") {
			return f[2]
		}
	}
	return ""
}

// limitMemory bounds the memory, swap included.
func (c *cgroup) limitMemory(bytes int64) error {
	limit := strconv.FormatInt(bytes, 10)
	dir, err := c.with("memory", "memory.max")
	if err != nil {
		return err
	}
	if dir == c.path {
		if err := os.WriteFile(filepath.Join(dir, "memory.max"), []byte(limit), 0); err != nil {
			return err
		}
		return optional(os.WriteFile(filepath.Join(dir, "memory.swap.max"), []byte("0"), 0))
	}
	if err := os.WriteFile(filepath.Join(dir, "memory.limit_in_bytes"), []byte(limit), 0); err != nil {
		return err
	}
	return optional(os.WriteFile(filepath.Join(dir, "memory.memsw.limit_in_bytes"), []byte(limit), 0))
}

// optional forgives that a file is not there: without swap, say.
func optional(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EOPNOTSUPP) {
		return nil
	}
	return err
}

// enterV1 moves this thread into the groups of version 1, whose children then
// begin there; back moves it out again.
func (c *cgroup) enterV1() (back func(), err error) {
	tid := []byte(strconv.Itoa(unix.Gettid()))
	var out []string
	back = func() {
		for _, tasks := range out {
			_ = os.WriteFile(tasks, tid, 0) // the thread ends soon anyway
		}
	}
	for controller, dir := range c.v1 {
		if err := os.WriteFile(filepath.Join(dir, "tasks"), tid, 0); err != nil {
			back()
			return func() {}, fmt.Errorf("enter the control group of %s: %w", controller, err)
		}
		out = append(out, filepath.Join(filepath.Dir(dir), "tasks"))
	}
	return back, nil
}

// block drops what the group sends to addresses, and until mayfly ends what uid
// sends there from anywhere: a service manager may start programs for a user
// outside of the group, and after its end.
func (c *cgroup) block(addresses []netip.Addr, uid int) error {
	p, err := loadFilter(addresses, -1)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := attach(p, c.dir); err != nil {
		return err
	}
	return filters.keep(addresses, uid, c.root)
}

// each calls f for a group and all groups below it, the lowest first.
func each(group string, f func(dir string)) {
	var list []string
	_ = filepath.WalkDir(group, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			list = append(list, p)
		}
		return nil
	})
	for i := len(list) - 1; i >= 0; i-- {
		f(list[i])
	}
}

// processes are those of the group and of the groups below it, those included
// that are left in its groups of version 1 alone.
func (c *cgroup) processes() []int {
	list := processesOf(c.path)
	for _, dir := range c.v1 {
		for _, pid := range processesOf(dir) {
			if pid != os.Getpid() && !slices.Contains(list, pid) { // a thread may be on its way through
				list = append(list, pid)
			}
		}
	}
	return list
}

func processesOf(group string) (list []int) {
	each(group, func(dir string) {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil { // a threaded group, whose processes are above it
			return
		}
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				list = append(list, pid)
			}
		}
	})
	return list
}

// holds reports whether a process is in all of the groups, or gone.
func (c *cgroup) holds(pid int) bool {
	groups := cgroupsOf(pid)
	if groups == "" {
		return true
	}
	for _, dir := range append([]string{c.path}, slices.Collect(maps.Values(c.v1))...) {
		if !strings.Contains(groups, "/"+filepath.Base(dir)) {
			return false
		}
	}
	return true
}

// populated reports whether there is a process in the group or below it.
func (c *cgroup) populated() bool { return c.number(c.path, "cgroup.events", "populated") != 0 }

// kill kills all there are, what they fork meanwhile included. Before Linux
// 5.14 that takes a halt of the group first.
func (c *cgroup) kill() {
	if os.WriteFile(filepath.Join(c.path, "cgroup.kill"), []byte("1"), 0) == nil {
		return
	}
	freeze := filepath.Join(c.path, "cgroup.freeze")
	_ = os.WriteFile(freeze, []byte("1"), 0)
	for _, pid := range c.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = os.WriteFile(freeze, []byte("0"), 0)
}

func (c *cgroup) oomKills() int {
	if dir := c.v1["memory"]; dir != "" {
		return c.number(dir, "memory.oom_control", "oom_kill")
	}
	return c.number(c.path, "memory.events", "oom_kill")
}

// number is the value of a key in a file of lines "key value".
func (c *cgroup) number(dir, file, key string) int {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), " "); ok && k == key {
			n, _ := strconv.Atoi(v)
			return n
		}
	}
	return 0
}

// remove removes the groups; a process that has just died may hold them for a
// moment.
func (c *cgroup) remove() error {
	var err error
	for try := 0; try < 50; try++ {
		err = nil
		each(c.path, func(dir string) {
			if e := os.Remove(dir); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = e
			}
		})
		for _, dir := range c.v1 {
			each(dir, func(dir string) {
				if e := os.Remove(dir); e != nil && !errors.Is(e, fs.ErrNotExist) {
					err = e
				}
			})
		}
		if err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.Join(err, c.dir.Close())
}
