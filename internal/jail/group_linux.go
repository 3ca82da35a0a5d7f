package jail

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A group is the control group in which a jail's processes are counted, of
// version 2 or 1, wherever the controller for it is. Without one nothing
// bounds them but the memory.
type group struct {
	dir string // "" where there is none
}

func newGroup(processes int) *group {
	for _, at := range pidsMounts() {
		if at.v2 {
			// The root group may have processes and controllers both.
			_ = os.WriteFile(filepath.Join(at.dir, "cgroup.subtree_control"), []byte("+pids"), 0)
		}
		dir, err := os.MkdirTemp(at.dir, "mayfly-jail-")
		if err != nil {
			continue
		}
		if os.WriteFile(filepath.Join(dir, "pids.max"), []byte(strconv.Itoa(processes)), 0) == nil {
			return &group{dir}
		}
		_ = os.Remove(dir)
	}
	return &group{}
}

type mountPoint struct {
	dir string
	v2  bool
}

// pidsMounts are the hierarchies that may have the controller, most likely first.
func pidsMounts() []mountPoint {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil
	}
	defer f.Close()
	var v1, v2 []mountPoint
	for s := bufio.NewScanner(f); s.Scan(); {
		w := strings.Fields(s.Text())
		switch {
		case len(w) < 4 || strings.Contains(w[1], `\`):
		case w[2] == "cgroup2":
			v2 = append(v2, mountPoint{w[1], true})
		case w[2] == "cgroup" && strings.Contains(","+w[3]+",", ",pids,"):
			v1 = append(v1, mountPoint{w[1], false})
		}
	}
	return append(v1, v2...)
}

func (g *group) add(pid int) error {
	if g.dir == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
}

// remove removes it; a process that has just died may hold it for a moment.
func (g *group) remove() {
	for try := 0; g.dir != "" && try < 50 && os.Remove(g.dir) != nil; try++ {
		time.Sleep(20 * time.Millisecond)
	}
}
