package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/cloud"
	"mayfly/internal/volume"
)

// A newVolume is what volume create is asked for.
type newVolume struct{ host, size, zone, kind string }

func newVolumeCreateCmd(a *app) *cobra.Command {
	var n newVolume
	c := &cobra.Command{
		Use:   "create --host HOST --size GIB",
		Short: "Create a volume for a host",
		Long: `Create makes an EBS volume for a host: encrypted, with tags that say which
deployment and host it is for, in a zone where the deployment's instances can
be. It is blank; the first run makes an ext4 file system on it. All volumes of a
deployment are in one zone.

Exit codes: 0 created, 1 failed, 2 bad usage or config, or the host has one
already: nothing was created, 4 interrupted.`,
		Example: `  mayfly volume create --host web --size 20
  mayfly volume create --host db --size 500 --type st1 --zone eu-west-1b`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := notEmpty(cmd); err != nil {
				return err
			}
			return interrupted(cmd.Context(), a.createVolume(cmd.Context(), n))
		},
	}
	c.Flags().StringVar(&n.host, "host", "", "the `HOST` that it is for, as the config calls it")
	c.Flags().StringVar(&n.size, "size", "", "its size in `GIB`; it can be enlarged later")
	c.Flags().StringVar(&n.zone, "zone", "", "the Availability `ZONE`; by default that of the deployment's other volumes, or the one that offers most of its instance types")
	c.Flags().StringVar(&n.kind, "type", "gp3", "the EBS volume `TYPE`: "+strings.Join(volumeTypes, ", "))
	return c
}

// volumeTypes are those that one instance at a time can have.
var volumeTypes = []string{"gp3", "gp2", "st1", "sc1"}

// createMax is how long EC2 may take; it is seconds as a rule.
const createMax = 3 * time.Minute

// largestGiB is EBS's largest volume, of the type gp3.
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html
const largestGiB = 64 << 10

func (n newVolume) check() (gib int, err error) {
	if err := checkHost(n.host); err != nil {
		return 0, err
	}
	if n.size == "" {
		return 0, usageError(errors.New("how large is it: say it in GiB with --size"))
	}
	gib, err = strconv.Atoi(strings.TrimSuffix(n.size, "GiB"))
	if err != nil || gib < 1 || gib > largestGiB {
		return 0, usageError(fmt.Errorf("size %q: write a number of GiB from 1 to %d", n.size, largestGiB))
	}
	if !slices.Contains(volumeTypes, n.kind) {
		return 0, usageError(fmt.Errorf("type %q: use one of %s", n.kind, strings.Join(volumeTypes, ", ")))
	}
	return gib, nil
}

func (a *app) createVolume(ctx context.Context, n newVolume) error {
	gib, err := n.check()
	if err != nil {
		return err
	}
	v, err := a.volumes(ctx)
	if err != nil {
		return err
	}
	if old := v.of(n.host); old != nil {
		return usageError(fmt.Errorf("host %s: it has the volume %s (%d GiB, %s) already: enlarge that with aws ec2 modify-volume --volume-id %[2]s --size GIB", n.host, old.ID, old.GiB, old.State))
	}
	zone := n.zone
	if zone == "" {
		if zone, err = v.zone(ctx); err != nil {
			return err
		}
	}
	if err := v.mayBeIn(ctx, zone); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, createMax)
	defer cancel()
	made, err := v.aws.ec2.CreateVolume(ctx, cloud.VolumeSpec{Zone: zone, Type: n.kind, GiB: gib, Tags: map[string]string{
		tagKey: string(v.config.Name), volume.TagHost: n.host, "Name": string(v.config.Name) + " " + n.host,
	}})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Created %s for the host %s: %d GiB, %s, encrypted, in %s. It is blank; the first run formats it.\n", made.ID, n.host, made.GiB, n.kind, made.Zone)
	v.nextAfter(n.host, made.ID)
	return nil
}

// zone is where a new volume goes.
func (v *volumes) zone(ctx context.Context) (string, error) {
	for _, o := range v.list {
		if o.Tags[volume.TagHost] != "" { // else an instance's root volume
			return o.Zone, nil
		}
	}
	zones, err := v.zones(ctx)
	if err != nil {
		return "", err
	}
	return zones[0], nil
}
