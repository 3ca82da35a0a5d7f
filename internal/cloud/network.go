package cloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// A Network is where instances are launched.
type Network struct {
	VPC     string
	Default bool     // it is the region's default VPC
	Subnets []Subnet // sorted by zone, then id
}

// A Subnet is one, and its Availability Zone.
type Subnet struct {
	ID, Zone string
	// PublicIP says that instances get a public address there unless their
	// launch says otherwise. That its traffic reaches the Internet is up to the
	// route table.
	PublicIP bool
}

// Zones are the Availability Zones of the subnets, sorted.
func (n Network) Zones() []string {
	var list []string
	for _, s := range n.Subnets {
		list = append(list, s.Zone)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

const fixNetwork = "check network in the config, and the region"

// DefaultNetwork is the region's default VPC with its default subnets, which
// give instances public addresses. ErrNotFound: somebody has deleted it.
// https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html
func (e EC2) DefaultNetwork(ctx context.Context) (Network, error) {
	const resource = "the default VPC"
	n, err := e.vpc(ctx, resource, &ec2.DescribeVpcsInput{Filters: []types.Filter{filter("isDefault", "true")}}, filter("default-for-az", "true"))
	if err != nil {
		return Network{}, err
	}
	const fix = "make it with aws ec2 create-default-vpc, or name another network under network: in the config"
	switch {
	case n.VPC == "":
		return Network{}, notFound("ec2:DescribeVpcs", resource, "the region has none", fix)
	case len(n.Subnets) == 0:
		return Network{}, notFound("ec2:DescribeSubnets", resource+" "+n.VPC, "it has no default subnet", "make them with aws ec2 create-default-subnet, or name another network under network: in the config")
	}
	return n, nil
}

// VPC is one with all of its subnets. ErrNotFound: there is none with that id
// in the region, or it has no subnet.
func (e EC2) VPC(ctx context.Context, id string) (Network, error) {
	n, err := e.vpc(ctx, "VPC "+id, &ec2.DescribeVpcsInput{VpcIds: []string{id}})
	if err != nil {
		return Network{}, err
	}
	switch {
	case n.VPC == "":
		return Network{}, notFound("ec2:DescribeVpcs", "VPC "+id, "the region has none of that id", fixNetwork)
	case len(n.Subnets) == 0:
		return Network{}, notFound("ec2:DescribeSubnets", "VPC "+id, "it has no subnet", "make one, or name another network under network: in the config")
	}
	return n, nil
}

// Subnets are those with these ids, and the VPC that they are all in.
// ErrNotFound: the region lacks one of them.
func (e EC2) Subnets(ctx context.Context, ids []string) (Network, error) {
	if len(ids) == 0 {
		return Network{}, errors.New("no subnet is named: " + fixNetwork) // EC2 would list all
	}
	resource := "subnets " + strings.Join(ids, ", ")
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := e.client.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{SubnetIds: ids})
	if err != nil {
		return Network{}, withFix(explainSetup(err, "ec2:DescribeSubnets", resource), fixNetwork)
	}
	var n Network
	for _, s := range out.Subnets {
		switch vpc := aws.ToString(s.VpcId); {
		case n.VPC == "":
			n.VPC = vpc
		case n.VPC != vpc:
			return Network{}, fmt.Errorf("ec2:DescribeSubnets %s: they are in two VPCs, %s and %s: name subnets of one", resource, n.VPC, vpc)
		}
		n.Subnets = append(n.Subnets, subnet(s))
	}
	if missing := n.lacks(ids); len(missing) > 0 {
		return Network{}, notFound("ec2:DescribeSubnets", resource, "the region lacks "+strings.Join(missing, ", "), fixNetwork)
	}
	vpcs, err := e.client.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{VpcIds: []string{n.VPC}})
	if err != nil {
		return Network{}, explainSetup(err, "ec2:DescribeVpcs", "VPC "+n.VPC)
	}
	n.Default = len(vpcs.Vpcs) > 0 && aws.ToBool(vpcs.Vpcs[0].IsDefault)
	n.sort()
	return n, nil
}

// vpc asks for one VPC, and those of its subnets that the filters let pass.
// Without one it is the zero Network.
func (e EC2) vpc(ctx context.Context, resource string, in *ec2.DescribeVpcsInput, filters ...types.Filter) (Network, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	out, err := e.client.DescribeVpcs(ctx, in)
	if err != nil {
		return Network{}, withFix(explainSetup(err, "ec2:DescribeVpcs", resource), fixNetwork)
	}
	if len(out.Vpcs) == 0 {
		return Network{}, nil
	}
	n := Network{VPC: aws.ToString(out.Vpcs[0].VpcId), Default: aws.ToBool(out.Vpcs[0].IsDefault)}
	pages := ec2.NewDescribeSubnetsPaginator(e.client, &ec2.DescribeSubnetsInput{Filters: append(filters, filter("vpc-id", n.VPC))})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return Network{}, explainSetup(err, "ec2:DescribeSubnets", resource)
		}
		for _, s := range page.Subnets {
			n.Subnets = append(n.Subnets, subnet(s))
		}
	}
	n.sort()
	return n, nil
}

func subnet(s types.Subnet) Subnet {
	return Subnet{ID: aws.ToString(s.SubnetId), Zone: aws.ToString(s.AvailabilityZone), PublicIP: aws.ToBool(s.MapPublicIpOnLaunch)}
}

func (n Network) sort() {
	slices.SortFunc(n.Subnets, func(a, b Subnet) int { return strings.Compare(a.Zone+" "+a.ID, b.Zone+" "+b.ID) })
}

func (n Network) lacks(ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		return slices.ContainsFunc(n.Subnets, func(s Subnet) bool { return s.ID == id })
	})
}
