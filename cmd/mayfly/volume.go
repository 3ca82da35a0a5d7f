package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mayfly/internal/cloud"
	"mayfly/internal/volume"
	"mayfly/runner"
)

func newVolumeCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "volume",
		Short: "Create, list and adopt the volumes that hosts' data goes to",
		Long: `Each host has an EBS volume of its own. An instance attaches it, and makes a file
system on it if and only if it is blank and mayfly volume create has made it.
A volume that has a file system already is taken over with mayfly volume adopt,
and never formatted.`,
		Example: `  mayfly volume create --host web --size 20
  mayfly volume list
  mayfly volume adopt vol-0123456789abcdef0 --host db --uuid 0c6e08e4-6f29-43b2-bc26-28478343fa05`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newVolumeCreateCmd(a), newVolumeListCmd(a), newVolumeAdoptCmd(a))
	return c
}

// Volumes are a deployment's at AWS.
type volumes struct {
	app    *app
	config *runner.Config
	aws    services
	list   []cloud.Volume
}

// volumes asks for the deployment's volumes.
func (a *app) volumes(ctx context.Context) (*volumes, error) {
	c, err := a.loadConfig(ctx)
	if err != nil {
		return nil, err
	}
	v := &volumes{app: a, config: c}
	if v.aws, err = newWorld(c, a.getenv).services(ctx); err != nil {
		return nil, usageError(err)
	}
	v.list, err = v.aws.ec2.Volumes(ctx, tagKey, string(c.Name))
	slices.SortFunc(v.list, func(a, b cloud.Volume) int {
		return strings.Compare(a.Tags[volume.TagHost]+" "+a.ID, b.Tags[volume.TagHost]+" "+b.ID)
	})
	return v, err
}

// of is the volume of a host, nil when there is none.
func (v *volumes) of(host string) *cloud.Volume {
	i := slices.IndexFunc(v.list, func(o cloud.Volume) bool { return o.Tags[volume.TagHost] == host })
	if i < 0 {
		return nil
	}
	return &v.list[i]
}

// zones are those where instances of the deployment can be, those first that
// offer most of its types. All volumes of a deployment are in one: an instance
// has only those of its own zone.
func (v *volumes) zones(ctx context.Context) ([]string, error) {
	n, err := v.network(ctx)
	if err != nil {
		return nil, err
	}
	var types []cloud.InstanceType
	if named := v.config.Instance.Types; len(named) > 0 {
		types, err = v.aws.ec2.InstanceTypes(ctx, named)
	} else {
		types, err = (&survey{aws: v.aws}).offered(ctx, runner.DefaultTypes())
	}
	if err != nil {
		return nil, err
	}
	offers := map[string]int{}
	for _, t := range types {
		for _, z := range t.Zones {
			offers[z]++
		}
	}
	zones := slices.DeleteFunc(n.Zones(), func(z string) bool { return offers[z] == 0 })
	slices.SortStableFunc(zones, func(a, b string) int { return offers[b] - offers[a] })
	if len(zones) == 0 {
		return nil, errors.New("no zone of the network offers one of the instance types: check instance.types and network in the config")
	}
	return zones, nil
}

func (v *volumes) network(ctx context.Context) (cloud.Network, error) {
	var ids []string
	for _, id := range v.config.Network.Subnets {
		ids = append(ids, string(id))
	}
	if len(ids) == 0 {
		return v.aws.ec2.DefaultNetwork(ctx)
	}
	return v.aws.ec2.Subnets(ctx, ids)
}

// mayBeIn fails when a volume in a zone would be of no use to the deployment.
func (v *volumes) mayBeIn(ctx context.Context, zone string) error {
	zones, err := v.zones(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(zones, zone) {
		return usageError(fmt.Errorf("zone %s: instances of %s are in %s: name a volume there, or other subnets under network: in the config", zone, v.config.Name, strings.Join(zones, ", ")))
	}
	for _, o := range v.list {
		if o.Tags[volume.TagHost] != "" && o.Zone != zone { // else an instance's root volume
			return usageError(fmt.Errorf("zone %s: the volume %s (host %s) is in %s, and an instance has only volumes of its own zone: restore a snapshot to a volume there, or make a deployment of its own for each zone",
				zone, o.ID, o.Tags[volume.TagHost], o.Zone))
		}
	}
	return nil
}

var (
	hostForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	volumeForm = regexp.MustCompile(`^vol-([0-9a-f]{8}|[0-9a-f]{17})$`)
	uuidForm   = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

func checkHost(host string) error {
	if host == "" {
		return usageError(errors.New("whose volume is it: name the host with --host"))
	}
	if !hostForm.MatchString(host) {
		return usageError(fmt.Errorf("host %q: use up to 63 lower-case letters, digits and hyphens, as in its name under hosts: in the config", host))
	}
	return nil
}

// nextAfter says how a volume becomes part of the runs.
func (v *volumes) nextAfter(host, id string) {
	fmt.Fprintf(v.app.stdout, "Next: name it in the config, hosts: {%s: {volume: %s}}, and mayfly deploy%s\n", host, id, v.app.configFlag())
}
