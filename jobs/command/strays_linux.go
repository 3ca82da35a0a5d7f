package command

import (
	"fmt"
	"regexp"
	"strings"
)

// A stray is a process of the command's user that the command has not started
// itself: a service manager, cron or at has, for it.

// ofUser are the processes of the user that are in no command's group and were
// not there before.
func (g *group) ofUser(all []process) (list []process) {
	for _, p := range all {
		if g.before[p.pid] != p.start && userOf(p.pid) == g.options.uid && !g.ofOther(p.pid) {
			list = append(list, p)
		}
	}
	return list
}

// strays are those of them that end with the command: all, where the user had
// none when it began, and those of the user's own service manager elsewhere.
func (g *group) strays(all []process) (list []int) {
	if !g.options.sweep {
		return nil
	}
	manager := fmt.Sprintf("/user@%d.service", g.options.uid)
	for _, p := range g.ofUser(all) {
		if len(g.others) == 0 || strings.Contains(cgroupsOf(p.pid), manager) {
			list = append(list, p.pid)
		}
	}
	return list
}

// spared are the names of the user's processes that have begun meanwhile and
// are let be, since the user has others.
func (g *group) spared() (names []string) {
	if !g.options.sweep || len(g.others) == 0 {
		return nil
	}
	for _, p := range g.ofUser(processes()) {
		names = append(names, nameOf(p.pid))
	}
	return names
}

// alone reports whether the user had no process when the command began.
func (g *group) alone() bool { return g.options.sweep && len(g.others) == 0 }

// commandGroup is how a command's control group stands in /proc/PID/cgroup:
// only root can make one there.
var commandGroup = regexp.MustCompile(`(?m)^0::/(mayfly-[0-9]+)(/|$)`)

// ofOther reports whether a process is in another command's control group.
func (g *group) ofOther(pid int) bool {
	m := commandGroup.FindStringSubmatch(cgroupsOf(pid))
	return m != nil && (g.cgroup == nil || !strings.HasSuffix(g.cgroup.path, "/"+m[1]))
}

// take notes who is there before the command is.
func (g *group) take() {
	g.before = map[int]string{}
	for _, p := range processes() {
		g.before[p.pid] = p.start
		if g.options.sweep && userOf(p.pid) == g.options.uid && !g.ofOther(p.pid) {
			g.others = append(g.others, nameOf(p.pid))
		}
	}
}
