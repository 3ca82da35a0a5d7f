package ending

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// ThisMachine returns the means to end the machine that this process runs on,
// or says why it must not be ended. told is whether --end-instance was given;
// instance asks metadata for the instance's id, "" when it does not answer, and
// is called only where the rest looks like an instance.
//
// Nothing else hands out what really powers off, and there is no way to have it
// without an answer to every question of the guard, asked of the kernel and the
// firmware itself: tests can put in rungs of their own, never these.
func ThisMachine(ctx context.Context, told bool, instance func(context.Context) string) (*Machine, error) {
	m := &Machine{Leave: leaveTime}
	m.Deadline, m.Unarmed = ReadDeadline(DeadlineFile)
	f := look()
	f.told, f.armed = told, m.Unarmed == nil
	err := f.elsewhere()
	if err == nil {
		f.metadata = instance(ctx)
		err = f.stranger()
	}
	if err != nil {
		return nil, fmt.Errorf("this machine is not ended: %w", err)
	}
	if m.Unarmed == nil {
		ctx, cancel := context.WithTimeout(ctx, armTime)
		defer cancel()
		if err := command(ctx, "systemctl", "is-active", DeadlineTimer); err != nil {
			m.Unarmed = fmt.Errorf("%s is not active: %w", DeadlineTimer, err)
		}
	}
	m.PowerOff = powerOff(command, kernelPowerOff, sysrqPowerOff)
	return m, nil
}

// look asks kernel and firmware; what is told, and what metadata and the boot
// script say, is for the caller to add.
func look() facts {
	return facts{
		testing: flag.Lookup("test.v") != nil, root: os.Geteuid() == 0, systemd: isDir("/run/systemd/system"),
		cgroups: content("/proc/self/cgroup"), firmware: content("/sys/class/dmi/id/board_asset_tag"),
	}
}

func isDir(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.IsDir()
}

// content is a small file's, "" when it cannot be read.
func content(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// command runs one and puts what it said into the error. It does not wait for
// what the command leaves running.
func command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		err = cause
	}
	said := strings.Join(strings.Fields(string(out)), " ")
	if said == "" {
		return fmt.Errorf("%s: %w", name, err)
	}
	return fmt.Errorf("%s: %w: %.200s", name, err, said)
}

// kernelPowerOff powers off with nothing stopped and nothing unmounted: what is
// not on disk yet is written first, as far as that takes 2 s. Source: reboot(2).
func kernelPowerOff() error {
	synced := make(chan struct{})
	go func() { syscall.Sync(); close(synced) }()
	select {
	case <-synced:
	case <-time.After(2 * time.Second):
	}
	if err := syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		return fmt.Errorf("reboot(2): %w", err)
	}
	return errors.New("reboot(2) returned, and the machine is still on")
}

// sysrqPowerOff is the kernel's last resort. Source: its
// Documentation/admin-guide/sysrq.rst.
func sysrqPowerOff() error {
	_ = os.WriteFile("/proc/sys/kernel/sysrq", []byte("1"), 0o644) // root may use the trigger without it
	return os.WriteFile("/proc/sysrq-trigger", []byte("o"), 0o200)
}
