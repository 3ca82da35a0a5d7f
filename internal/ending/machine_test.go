package ending

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeInit takes the commands that would power off. Nothing is executed.
type fakeInit struct {
	begin    time.Time
	commands []string
	fail     func(command string) func(context.Context) error
}

func (f *fakeInit) run(ctx context.Context, name string, args ...string) error {
	c := name + " " + strings.Join(args, " ")
	f.commands = append(f.commands, time.Since(f.begin).Round(time.Second).String()+" "+c)
	if do := f.fail(c); do != nil {
		return do(ctx)
	}
	return nil
}

func (f *fakeInit) direct(what string) func() error {
	return func() error { return f.run(context.Background(), what) }
}

const (
	armed    = "systemd-run --quiet --no-block --collect --unit=mayfly-force --on-active=20s --timer-property=AccuracySec=1s --timer-property=DefaultDependencies=no --property=DefaultDependencies=no systemctl poweroff --force"
	gentle   = "systemctl --no-block --no-wall poweroff"
	forced   = "systemctl --no-wall --force poweroff"
	withoutI = "systemctl --force --force poweroff"
)

// The real ways down, with systemd failing in every way: each is tried, in time.
func TestWaysToPowerOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail func(string) func(context.Context) error
		want []string
	}{
		"systemd says yes and does nothing": {
			func(string) func(context.Context) error { return nil },
			[]string{"0s " + armed, "0s " + gentle, "20s " + forced, "30s " + withoutI, "40s reboot ", "45s sysrq "}},
		"no bus": {
			func(c string) func(context.Context) error {
				if strings.HasPrefix(c, "systemd-run") || c == gentle {
					return fails("Failed to connect to bus")
				}
				return nil
			},
			[]string{"0s " + armed, "0s " + gentle, "0s " + forced, "10s " + withoutI, "20s reboot ", "25s sysrq "}},
		"no systemctl": {
			func(c string) func(context.Context) error {
				if strings.HasPrefix(c, "system") {
					return fails("executable file not found")
				}
				return nil
			},
			[]string{"0s " + armed, "0s " + gentle, "0s " + forced, "0s " + withoutI, "0s reboot ", "5s sysrq "}},
		"systemd hangs": {
			func(c string) func(context.Context) error {
				if strings.HasPrefix(c, "system") {
					return silent
				}
				return nil
			},
			[]string{"0s " + armed, "5s " + gentle, "15s " + forced, "25s " + withoutI, "35s reboot ", "40s sysrq "}},
		"the kernel refuses": {
			func(c string) func(context.Context) error {
				if strings.HasPrefix(c, "system") || strings.HasPrefix(c, "reboot") {
					return fails("operation not permitted")
				}
				return nil
			},
			[]string{"0s " + armed, "0s " + gentle, "0s " + forced, "0s " + withoutI, "0s reboot ", "0s sysrq "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fakeInit{begin: time.Now(), fail: c.fail}
				l := NewLadder(quiet(), nil, powerOff(f.run, f.direct("reboot"), f.direct("sysrq"))...)
				if err := l.End(t.Context()); err == nil {
					t.Error("a machine that stays on is no success")
				}
				if !slices.Equal(f.commands, c.want) {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(f.commands, "\n"), strings.Join(c.want, "\n"))
				}
				if took := time.Since(f.begin); took > 2*time.Minute {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	const inside = "0::/system.slice/mayfly.service"
	instance := facts{told: true, root: true, systemd: true, cgroups: inside, firmware: "i-0abc", metadata: "i-0abc", armed: true}
	for name, c := range map[string]struct {
		change func(*facts)
		want   string // "": the machine may be ended
	}{
		"an instance":                         {func(*facts) {}, ""},
		"without the flag":                    {func(f *facts) { f.told = false }, "--end-instance was not given"},
		"a test":                              {func(f *facts) { f.testing = true }, "this is a test"},
		"another machine's metadata":          {func(f *facts) { f.metadata = "i-0def" }, "the firmware says that this is i-0abc, instance metadata says i-0def"},
		"case matters":                        {func(f *facts) { f.metadata = "i-0ABC" }, "the firmware says"},
		"metadata is down":                    {func(f *facts) { f.metadata = "" }, ""},
		"metadata is down, nothing armed":     {func(f *facts) { f.metadata, f.armed = "", false }, "nothing shows that this is an instance"},
		"nothing armed, but a Nitro instance": {func(f *facts) { f.armed = false }, ""},
		"Xen: the firmware names none":        {func(f *facts) { f.firmware = "" }, ""},
		"Xen, nothing armed":                  {func(f *facts) { f.firmware, f.armed = "", false }, "nothing shows that this is an instance"},
		"a maker's own asset tag":             {func(f *facts) { f.firmware = "Not Specified" }, ""},
		"a maker's tag, nothing armed":        {func(f *facts) { f.firmware, f.metadata, f.armed = "Base Board", "Base Board", false }, "nothing shows"},
		"typed into a shell":                  {func(f *facts) { f.cgroups = "0::/user.slice/user-0.slice/session-1.scope" }, "does not belong to the unit"},
		"another unit":                        {func(f *facts) { f.cgroups = "0::/system.slice/notmayfly.service" }, "does not belong to the unit"},
		"below another unit":                  {func(f *facts) { f.cgroups = "0::/system.slice/mayfly.service/payload" }, "does not belong to the unit"},
		"no cgroups":                          {func(f *facts) { f.cgroups = "" }, "does not belong to the unit"},
		"cgroups of version 1":                {func(f *facts) { f.cgroups = "5:memory:/\n1:name=systemd:/system.slice/mayfly.service\n0::/\n" }, ""},
		"another controller's":                {func(f *facts) { f.cgroups = "5:memory:/system.slice/mayfly.service\n0::/\n" }, "does not belong to the unit"},
		"a container":                         {func(f *facts) { f.systemd = false }, "systemd is not"},
		"a user's process":                    {func(f *facts) { f.root = false }, "only root"},
		"nothing at all":                      {func(f *facts) { *f = facts{} }, "--end-instance was not given"},
	} {
		f := instance
		c.change(&f)
		err := f.elsewhere()
		if err == nil {
			err = f.stranger()
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestReadDeadline(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 19, 4, 12, 0, time.UTC)
	for name, c := range map[string]struct{ text, want string }{
		"plain":       {"1795201452\n", ""},
		"without end": {"1795201452", ""},
		"more lines":  {"1795201452\nUTC\n", ""},
		"empty":       {"", "not the seconds since 1970"},
		"zero":        {"0\n", "not the seconds"},
		"negative":    {"-5\n", "not the seconds"},
		"a date":      {"2026-11-20T19:04:12Z\n", "not the seconds"},
		"too large":   {"99999999999999999\n", "not the seconds"},
	} {
		file := filepath.Join(t.TempDir(), "deadline")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadDeadline(file)
		if c.want == "" && (err != nil || !got.Equal(at)) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if _, err := ReadDeadline(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "has armed no power-off") {
		t.Errorf("got %v", err)
	}
	if _, err := ReadDeadline(t.TempDir()); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
