package ending

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// unit is the systemd unit that the boot script starts mayfly in.
const unit = "mayfly.service"

// facts is what decides whether this process may end this machine.
type facts struct {
	told    bool // --end-instance was given
	testing bool // this is a test binary
	root    bool
	systemd bool // it is the init system
	// cgroups is /proc/self/cgroup: what the kernel says this process belongs
	// to.
	cgroups string
	// firmware is what the firmware calls the machine: on AWS Nitro the
	// instance id, elsewhere whatever the maker wrote, or "".
	firmware string
	metadata string // the instance id that metadata names; "": no answer
	armed    bool   // the boot script's power-off is on disk
}

// elsewhere says why this is no process that ends machines; nil: it may be.
// What it asks for is true in the unit that the boot script starts, and false
// in a shell, on a laptop, in a container and in a test. A process cannot be in
// that unit by mistake: no flag, variable or file puts it there.
func (f facts) elsewhere() error {
	switch {
	case !f.told:
		return errors.New("--end-instance was not given")
	case f.testing:
		return errors.New("this is a test: no test ends the machine it runs on")
	case !inUnit(f.cgroups):
		return fmt.Errorf("this process does not belong to the unit %s that the boot script starts: leave --end-instance out", unit)
	case !f.systemd:
		return errors.New("systemd is not this machine's init system")
	case !f.root:
		return errors.New("only root may power off")
	}
	return nil
}

// stranger says why this is not the instance to end; nil: it is. Firmware and
// metadata must not disagree, and something must show that this machine was
// meant: that they agree, or that it is powered off at its deadline anyway.
func (f facts) stranger() error {
	switch {
	case isInstance(f.firmware) && f.metadata != "" && f.firmware != f.metadata:
		return fmt.Errorf("the firmware says that this is %s, instance metadata says %s: metadata is not this machine's own", f.firmware, f.metadata)
	case f.armed, isInstance(f.firmware) && f.firmware == f.metadata:
		return nil
	}
	return fmt.Errorf("nothing shows that this is an instance: the boot script left no %s, and firmware and metadata do not name the same instance", DeadlineFile)
}

func isInstance(id string) bool { return strings.HasPrefix(id, "i-") }

// inUnit looks for the unit in the lines of /proc/self/cgroup, each
// "ID:CONTROLLERS:PATH" (cgroups(7)).
func inUnit(cgroups string) bool {
	for line := range strings.Lines(cgroups) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 && (f[1] == "" || f[1] == "name=systemd") && path.Base(f[2]) == unit {
			return true
		}
	}
	return false
}
