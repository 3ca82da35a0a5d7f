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
	"mayfly/runner"
	"mayfly/stack"
	"mayfly/stack/deploy"
)

func newDestroyCmd(a *app) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "destroy",
		Short: "Take the deployment out of AWS again, and keep its data",
		Long: `Destroy ends an instance that is running and deletes the deployment's stack:
group, schedule, launch template, role, security group, topic. What it wrote
stays: the bucket with everything in it, volumes, snapshots, and the secrets in
Systems Manager; destroy says how each can be removed by hand.

Exit codes: 0 gone, or it was not there, 1 failed, 2 bad usage or config, AWS
does not accept the credentials, or nothing was done, 4 interrupted (the same
command goes on).`,
		Example: `  mayfly destroy
  mayfly destroy --yes -c servers.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.loadConfig(cmd.Context())
			if err != nil {
				return err
			}
			return interrupted(cmd.Context(), a.destroy(cmd.Context(), c, yes))
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) destroy(ctx context.Context, c *runner.Config, yes bool) error {
	w := newWorld(c, a.getenv)
	aws, err := w.services(ctx)
	if err != nil {
		return usageError(err)
	}
	who, err := aws.Caller(ctx)
	if err != nil {
		return usageError(err)
	}
	name := string(c.Name)
	s, err := deploy.Mine(ctx, aws.stacks, name)
	if errors.Is(err, deploy.ErrForeign) {
		return usageError(err)
	}
	if err != nil {
		return err
	}
	if s == nil {
		fmt.Fprintf(a.stdout, "There is no deployment %s in %s, account %s.\n", name, aws.Region(), who.Account)
		return a.printStays(ctx, aws, c) // a deploy that was cut off begins with volumes
	}
	fmt.Fprintf(a.stdout, "%s in %s, account %s (you are %s)\n\nGoes\n", name, aws.Region(), who.Account, who.ARN)
	if err := a.printGoes(ctx, aws, c, s); err != nil {
		return err
	}
	if err := a.confirm(ctx, yes, "Delete this?"); err != nil {
		return err
	}
	if _, err := a.engine(aws).Destroy(ctx, name); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s is gone from %s. Its data is where it was.\n", name, aws.Region())
	fmt.Fprintf(a.stdout, "Next: mayfly list%s shows what there is; mayfly deploy%s sets it up again\n", a.configFlag(), a.configFlag())
	return nil
}

// printGoes says what goes and what stays, and how to remove that.
func (a *app) printGoes(ctx context.Context, aws services, c *runner.Config, s *cloud.Stack) error {
	resources, err := aws.stacks.Resources(ctx, s.ID)
	if err != nil {
		return err
	}
	var g cloud.Group
	if group := deploy.GroupOf(resources); group != "" {
		if g, err = aws.groups.Describe(ctx, group); err != nil && !errors.Is(err, cloud.ErrNotFound) {
			return err
		}
	}
	for _, i := range g.Instances {
		fmt.Fprintf(a.stdout, "  - the instance %s (%s), and the run on it is interrupted\n", i.ID, i.State)
	}
	bucket, _ := c.Store.Bucket()
	for _, r := range resources {
		if r.Name != "" && r.Type != "AWS::S3::Bucket" && r.Type != "AWS::S3::BucketPolicy" {
			fmt.Fprintf(a.stdout, "  - %s (%s)\n", r.Name, strings.TrimPrefix(r.Type, "AWS::"))
		}
	}
	fmt.Fprintf(a.stdout, "Stays\n  the bucket %s; to delete it with every backup and every old version: Empty, and then Delete, in the console of S3\n", bucket)
	if err := a.printStays(ctx, aws, c); err != nil {
		return err
	}
	for _, ref := range c.Secrets() {
		if ref.Scheme == "ssm" {
			fmt.Fprintf(a.stdout, "  the secret %s; to delete it: aws ssm delete-parameter --region %s --name %s\n", ref, aws.Region(), ref.Name)
		}
	}
	for _, j := range c.Jobs {
		for _, name := range j.Config.Needs().Parameters {
			fmt.Fprintf(a.stdout, "  the parameter %s, if a run has written it; to delete it: aws ssm delete-parameter --region %s --name %[1]s\n", name, aws.Region())
		}
	}
	for _, k := range hostKeysOf(c) {
		if k.ref.Scheme == "ssm" {
			fmt.Fprintf(a.stdout, "  the host key's public half, %s%s; to delete it: aws ssm delete-parameter --region %s --name %[1]s%[2]s; hosts know a new deployment by the old key as long as both stay\n", k.ref.Name, runner.PublicKeySuffix, aws.Region())
		}
	}
	fmt.Fprintln(a.stdout)
	return nil
}

// printStays says which volumes and snapshots stay, what they cost, and how to
// remove them.
func (a *app) printStays(ctx context.Context, aws services, c *runner.Config) error {
	volumes, err := aws.ec2.Volumes(ctx, tagKey, string(c.Name))
	if err != nil {
		return err
	}
	region := aws.Region()
	for _, v := range volumes {
		host := v.Tags[volume.TagHost]
		if v.Tags[receive.TagTemporary] != "" {
			p := temporaryLeft(v, region)
			fmt.Fprintf(a.stdout, "  %s; to delete it: aws ec2 delete-volume --region %s --volume-id %s\n", p.What, region, v.ID)
			continue
		}
		if host == "" {
			continue // an instance's root volume, which goes with it
		}
		fmt.Fprintf(a.stdout, "  the volume %s of the host %s, %d GiB, %s, about %.2f USD a month; to delete it with all that is on it: aws ec2 delete-volume --region %s --volume-id %[1]s\n",
			v.ID, host, v.GiB, v.Type, stack.VolumeMonth(region, v.Type, v.GiB), region)
	}
	snapshots, err := aws.ec2.Snapshots(ctx, tagKey, string(c.Name))
	if err != nil {
		return err
	}
	if len(snapshots) > 0 {
		fmt.Fprintf(a.stdout, "  %s, about %.2f USD a month for each GB that they hold; to delete one: aws ec2 delete-snapshot --region %s --snapshot-id %s; mayfly volume list%s shows whose they are\n",
			runner.FormatCount(len(snapshots), "snapshots"), stack.SnapshotMonth(region), region, snapshots[0].ID, a.configFlag())
	}
	return nil
}
