//go:build !linux

package command

import (
	"errors"
	"os/exec"
	"strconv"
	"time"
)

// A group is all processes of one command that are in its process group: what
// leaves that is not followed here.
type group struct {
	pid int
}

func newGroup(o groupOptions) (*group, error) {
	switch {
	case o.confined:
		return nil, errors.New("the command cannot be kept from the instance's credentials: that needs Linux")
	case o.required:
		return nil, limits()
	}
	return &group{}, nil
}

// limits says why memory cannot be limited here.
func limits() error { return errors.New("memory cannot be limited on this system: remove memory") }

func (g *group) start(cmd *exec.Cmd) error {
	if err := ownSession(cmd); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	g.pid = cmd.Process.Pid
	return nil
}

// settle waits a moment for the rest to end, and returns what has not.
func (g *group) settle(limit time.Duration) []int {
	for end := time.Now().Add(limit); groupAlive(g.pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return []int{g.pid}
		}
	}
	return nil
}

func (g *group) terminate() { terminateGroup(g.pid) }

// kill ends all of them, and returns those that could not be.
func (g *group) kill() []int {
	if g.pid == 0 {
		return nil
	}
	for end := time.Now().Add(killTime); groupAlive(g.pid); time.Sleep(10 * time.Millisecond) {
		killGroup(g.pid)
		if time.Now().After(end) {
			return []int{g.pid}
		}
	}
	return nil
}

func (g *group) oomKills(bool) int { return 0 }
func (g *group) escapes() []string { return nil }
func (g *group) spared() []string  { return nil }
func (g *group) alone() bool       { return false }
func (g *group) close() error      { return nil }

func nameOf(pid int) string { return strconv.Itoa(pid) }

func memoryOfMachine() int64 { return 0 }

func inMemory(string) string { return "" }
