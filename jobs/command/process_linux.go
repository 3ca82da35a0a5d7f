package command

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A process is what /proc says of one (proc_pid_stat(5)).
type process struct {
	pid, parent, group, session int
	state                       byte   // a letter: R, S, D, Z ...
	ending                      bool   // on its way to Z: PF_EXITING of the kernel's sched.h
	start                       string // with pid, it is the same process and no later one
}

// processOf reads one; ok is false when it is gone.
func processOf(pid int) (p process, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	i := strings.LastIndexByte(string(b), ')') // the name before it may hold anything
	if err != nil || i < 0 {
		return process{}, false
	}
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 20 {
		return process{}, false
	}
	const exiting = 0x4
	flags, err := strconv.ParseUint(f[6], 10, 64)
	if err != nil {
		return process{}, false
	}
	p = process{pid: pid, state: f[0][0], ending: flags&exiting != 0, start: f[19]}
	for k, to := range []*int{&p.parent, &p.group, &p.session} {
		if *to, err = strconv.Atoi(f[k+1]); err != nil {
			return process{}, false
		}
	}
	return p, true
}

// processes are all that there are and that have not ended, but mayfly itself.
func processes() []process {
	var list []process
	for _, pid := range allProcesses() {
		if p, ok := processOf(pid); ok && p.state != 'Z' && pid != os.Getpid() {
			list = append(list, p)
		}
	}
	return list
}

func allProcesses() []int {
	d, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	var list []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
}

// nameOf is what people call a process.
func nameOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprint(pid)
	}
	return strings.TrimSpace(string(b))
}

// userOf is a process's real user, -1 when it is gone. A daemon of root's that
// acts for a user has that one as its effective user alone.
func userOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return -1
	}
	_, rest, _ := strings.Cut(string(b), "\nUid:")
	f := strings.Fields(rest)
	if len(f) == 0 {
		return -1
	}
	uid, err := strconv.Atoi(f[0])
	if err != nil {
		return -1
	}
	return uid
}

// markOf is the mark that a process was given with its environment, "" when it
// has none.
func markOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return ""
	}
	for v := range strings.SplitSeq(string(b), "\x00") {
		if strings.HasPrefix(v, markName+"=") {
			return v
		}
	}
	return ""
}

// cgroupsOf are the control groups of a process, a line for each hierarchy
// (cgroups(7)).
func cgroupsOf(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return string(b)
}
