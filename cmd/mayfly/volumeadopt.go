package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mayfly/internal/cloud"
	"mayfly/internal/volume"
	"mayfly/jobs/receive"
)

func newVolumeAdoptCmd(a *app) *cobra.Command {
	var host, uuid string
	c := &cobra.Command{
		Use:   "adopt VOLUME --host HOST --uuid UUID",
		Short: "Take over a volume that has a file system",
		Long: `Adopt says, by tags on the volume, that it holds a host's data, in the file
system with this UUID. That may be ext3, ext4 or xfs, on the whole volume or in
a partition. Runs check and mount it; they never format it, and when it holds
anything else they leave it alone and say so. On a machine that has the volume,
lsblk -f shows UUIDs; so does the report of a run that has refused it.

Only tags are written, and they can be written again.

Exit codes: 0 adopted, 1 failed, 2 bad usage or config, or the volume is another
host's, or of no use here: nothing was changed, 4 interrupted.`,
		Example: `  mayfly volume adopt vol-0123456789abcdef0 --host db --uuid 0c6e08e4-6f29-43b2-bc26-28478343fa05`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notEmpty(cmd); err != nil {
				return err
			}
			return interrupted(cmd.Context(), a.adoptVolume(cmd.Context(), args[0], host, strings.ToLower(uuid)))
		},
	}
	c.Flags().StringVar(&host, "host", "", "the `HOST` whose data it holds, as the config calls it")
	c.Flags().StringVar(&uuid, "uuid", "", "the `UUID` of the file system")
	return c
}

func (a *app) adoptVolume(ctx context.Context, id, host, uuid string) error {
	if err := checkHost(host); err != nil {
		return err
	}
	switch {
	case !volumeForm.MatchString(id):
		return usageError(fmt.Errorf("volume %q: write its id, like vol-0123456789abcdef0", id))
	case uuid == "":
		return usageError(errors.New("which file system is it: name its UUID with --uuid; lsblk -f on a machine that has the volume shows it"))
	case !uuidForm.MatchString(uuid):
		return usageError(fmt.Errorf("UUID %q: write it like 0c6e08e4-6f29-43b2-bc26-28478343fa05", uuid))
	}
	v, err := a.volumes(ctx)
	if err != nil {
		return err
	}
	found, err := v.aws.ec2.Volume(ctx, id)
	if errors.Is(err, cloud.ErrNotFound) {
		return usageError(err)
	}
	if err != nil {
		return err
	}
	if err := v.mayAdopt(ctx, found, host); err != nil {
		return err
	}
	if err := v.aws.ec2.Tag(ctx, id, map[string]string{tagKey: string(v.config.Name), volume.TagHost: host, volume.TagAdopted: uuid}); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s (%d GiB, %s) holds the data of the host %s, in the file system %s. It is never formatted.\n", id, found.GiB, found.Zone, host, uuid)
	if !found.Encrypted {
		fmt.Fprintf(a.stdout, "It is not encrypted. A copy of a snapshot of it can be.\n")
	}
	v.nextAfter(host, id)
	return nil
}

// mayAdopt fails when a volume is somebody else's, or of no use here.
func (v *volumes) mayAdopt(ctx context.Context, found cloud.Volume, host string) error {
	if owner := found.Tags[tagKey]; owner != "" && owner != string(v.config.Name) {
		return usageError(fmt.Errorf("volume %s: it is of the deployment %s: aws ec2 delete-tags --region %s --resources %[1]s --tags Key=%[4]s first, when that does not use it", found.ID, owner, v.aws.Region(), tagKey))
	}
	if what := found.Tags[receive.TagTemporary]; what != "" {
		return usageError(fmt.Errorf("volume %s: it was made for %s, and the next run deletes it: make another of the snapshot %s with aws ec2 create-volume, and adopt that", found.ID, what, found.From))
	}
	if owner := found.Tags[volume.TagHost]; owner != "" && owner != host {
		return usageError(fmt.Errorf("volume %s: it holds the data of the host %s: aws ec2 delete-tags --region %s --resources %[1]s --tags Key=%[4]s first, when that is no longer so", found.ID, owner, v.aws.Region(), volume.TagHost))
	}
	if old := v.of(host); old != nil && old.ID != found.ID {
		return usageError(fmt.Errorf("host %s: it has the volume %s already: aws ec2 delete-tags --region %s --resources %[2]s --tags Key=%[4]s first, when that is to be another's", host, old.ID, v.aws.Region(), tagKey))
	}
	if found.State != "available" && found.State != "in-use" {
		return usageError(fmt.Errorf("volume %s: its state is %s", found.ID, found.State))
	}
	return v.mayBeIn(ctx, found.Zone)
}
