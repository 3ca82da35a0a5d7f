package command

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// packagesAreThere checks on an instance that what the boot script was to
// install is there: it goes on without what it could not get.
func (j *job) packagesAreThere(ctx context.Context) error {
	if !j.env.Instance {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var missing []string
	for _, p := range j.config.Packages {
		if !installed(ctx, p) {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("not installed: %s: correct the names as this image's distribution has them, or see what the boot script said: its console output is kept for an hour after the instance's end", strings.Join(missing, ", "))
}

// installed asks the package manager that the machine has.
func installed(ctx context.Context, name string) bool {
	if rpm, err := exec.LookPath("rpm"); err == nil {
		if _, err := exec.LookPath("dpkg-query"); err != nil {
			return exec.CommandContext(ctx, rpm, "-q", "--quiet", "--whatprovides", name).Run() == nil
		}
	}
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f=${Status}\n", name).Output()
	return err == nil && strings.Contains(string(out), "ok installed")
}
