package ending

import (
	"context"
	"time"
)

// A Machine is what ThisMachine has found out about the machine it may end.
type Machine struct {
	// Leave is how long its Auto Scaling group may take to let it go.
	Leave time.Duration
	// PowerOff are the ways to power it off, gentlest first.
	PowerOff []Rung
	// Deadline is when the boot script's timer powers it off regardless; zero:
	// not known.
	Deadline time.Time
	// Unarmed says why that timer cannot be relied upon; nil: it is armed.
	Unarmed error
}

// Limits of the ways to power off. Source of 20 s: a process that ignored
// SIGTERM delayed the power-off of a Debian 12 machine by 92 s.
const (
	leaveTime  = 30 * time.Second
	askTime    = 10 * time.Second // for systemctl to answer
	armTime    = 5 * time.Second
	gentleTime = 20 * time.Second // for the init system to stop everything
	forceTime  = 10 * time.Second
	kernelTime = 5 * time.Second
)

// powerOff are the rungs of a machine whose init system is systemd. run executes
// a command; kernel and sysrq power off without any.
func powerOff(run func(ctx context.Context, name string, args ...string) error, kernel, sysrq func() error) []Rung {
	systemctl := func(args ...string) func(context.Context) error {
		return func(ctx context.Context) error { return run(ctx, "systemctl", args...) }
	}
	return []Rung{
		// The timer belongs to systemd: it goes off when this process is gone,
		// and while everything is being stopped.
		{Doing: "have systemd force the power-off after 20 s", Limit: armTime, Backs: true, Do: func(ctx context.Context) error {
			return run(ctx, "systemd-run", "--quiet", "--no-block", "--collect", "--unit=mayfly-force", "--on-active=20s",
				"--timer-property=AccuracySec=1s", "--timer-property=DefaultDependencies=no",
				"--property=DefaultDependencies=no", "systemctl", "poweroff", "--force")
		}},
		{Doing: "power off", Limit: askTime, Wait: gentleTime, Yield: true, Do: systemctl("--no-block", "--no-wall", "poweroff")},
		{Doing: "force the power-off", Limit: askTime, Wait: forceTime, Do: systemctl("--no-wall", "--force", "poweroff")},
		{Doing: "power off without the init system", Limit: askTime, Wait: forceTime, Do: systemctl("--force", "--force", "poweroff")},
		{Doing: "have the kernel power off", Limit: kernelTime, Wait: kernelTime, Do: func(context.Context) error { return kernel() }},
		{Doing: "have the kernel power off by sysrq", Limit: kernelTime, Wait: kernelTime, Do: func(context.Context) error { return sysrq() }},
	}
}
