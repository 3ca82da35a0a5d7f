package cloud

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// EC2 is Amazon EC2 in the region in use.
type EC2 struct{ client *ec2.Client }

// EC2 sends no request.
func (c *Cloud) EC2() (EC2, error) {
	endpoint := c.endpoint("EC2")
	region, err := c.region("", endpoint)
	if err != nil {
		return EC2{}, err
	}
	return EC2{ec2.NewFromConfig(c.cfg, func(o *ec2.Options) {
		o.Region = region
		o.BaseEndpoint = endpoint
	})}, nil
}

// A Network is where instances are launched.
type Network struct {
	VPC     string
	Subnets []Subnet // sorted by zone
}

// A Subnet is one, and its Availability Zone.
type Subnet struct{ ID, Zone string }

// DefaultNetwork is the region's default VPC with its default subnets, which
// give instances public addresses. ErrNotFound: somebody has deleted it.
// https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html
func (e EC2) DefaultNetwork(ctx context.Context) (Network, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	vpcs, err := e.client.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []types.Filter{filter("isDefault", "true")}})
	if err != nil {
		return Network{}, explainSetup(err, "ec2:DescribeVpcs", "the default VPC")
	}
	const fix = "make it with aws ec2 create-default-vpc, or name a VPC's subnets in the config"
	if len(vpcs.Vpcs) == 0 {
		return Network{}, &actionError{action: "ec2:DescribeVpcs", resource: "the default VPC", kind: ErrNotFound, reason: "the region has none", fix: fix, err: ErrNotFound}
	}
	n := Network{VPC: aws.ToString(vpcs.Vpcs[0].VpcId)}
	pages := ec2.NewDescribeSubnetsPaginator(e.client, &ec2.DescribeSubnetsInput{
		Filters: []types.Filter{filter("vpc-id", n.VPC), filter("default-for-az", "true")},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return Network{}, explainSetup(err, "ec2:DescribeSubnets", "the default VPC "+n.VPC)
		}
		for _, s := range page.Subnets {
			n.Subnets = append(n.Subnets, Subnet{aws.ToString(s.SubnetId), aws.ToString(s.AvailabilityZone)})
		}
	}
	if len(n.Subnets) == 0 {
		return Network{}, &actionError{action: "ec2:DescribeSubnets", resource: "the default VPC " + n.VPC, kind: ErrNotFound, reason: "it has no default subnet", fix: fix, err: ErrNotFound}
	}
	slices.SortFunc(n.Subnets, func(a, b Subnet) int { return strings.Compare(a.Zone, b.Zone) })
	return n, nil
}

// An InstanceType is what EC2 says of one.
type InstanceType struct {
	Name          string
	Architectures []string // "amd64", "arm64"
	Burstable     bool     // has CPU credits
	MemoryMiB     int
	Zones         []string // that offer it, sorted
}

// InstanceTypes looks types up, in the order given. The error names those that
// do not exist in the region.
func (e EC2) InstanceTypes(ctx context.Context, names []string) ([]InstanceType, error) {
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	resource := "instance types " + strings.Join(names, ", ")
	var asked []types.InstanceType
	for _, n := range names {
		asked = append(asked, types.InstanceType(n))
	}
	found := map[string]InstanceType{}
	pages := ec2.NewDescribeInstanceTypesPaginator(e.client, &ec2.DescribeInstanceTypesInput{InstanceTypes: asked})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explainSetup(err, "ec2:DescribeInstanceTypes", resource)
		}
		for _, t := range page.InstanceTypes {
			found[string(t.InstanceType)] = instanceType(t)
		}
	}
	offers := ec2.NewDescribeInstanceTypeOfferingsPaginator(e.client, &ec2.DescribeInstanceTypeOfferingsInput{
		LocationType: types.LocationTypeAvailabilityZone, Filters: []types.Filter{filter("instance-type", names...)},
	})
	for offers.HasMorePages() {
		page, err := offers.NextPage(ctx)
		if err != nil {
			return nil, explainSetup(err, "ec2:DescribeInstanceTypeOfferings", resource)
		}
		for _, o := range page.InstanceTypeOfferings {
			t, ok := found[string(o.InstanceType)]
			if ok {
				t.Zones = append(t.Zones, aws.ToString(o.Location))
				found[t.Name] = t
			}
		}
	}
	return inOrder(names, found, resource)
}

// inOrder puts what was found into the order of the names.
func inOrder(names []string, found map[string]InstanceType, resource string) ([]InstanceType, error) {
	var list []InstanceType
	var missing []string
	for _, n := range names {
		t, ok := found[n]
		if !ok || len(t.Zones) == 0 {
			missing = append(missing, n)
			continue
		}
		slices.Sort(t.Zones)
		list = append(list, t)
	}
	if len(missing) > 0 {
		return nil, &actionError{
			action: "ec2:DescribeInstanceTypes", resource: resource, kind: ErrNotFound,
			reason: "the region does not offer " + strings.Join(missing, ", "), fix: "check instance.types in the config, and the region", err: ErrNotFound,
		}
	}
	return list, nil
}

func instanceType(t types.InstanceTypeInfo) InstanceType {
	found := InstanceType{Name: string(t.InstanceType), Burstable: aws.ToBool(t.BurstablePerformanceSupported)}
	if t.MemoryInfo != nil {
		found.MemoryMiB = int(aws.ToInt64(t.MemoryInfo.SizeInMiB))
	}
	if t.ProcessorInfo != nil {
		for _, a := range t.ProcessorInfo.SupportedArchitectures {
			switch a {
			case types.ArchitectureTypeX8664:
				found.Architectures = append(found.Architectures, "amd64")
			case types.ArchitectureTypeArm64:
				found.Architectures = append(found.Architectures, "arm64")
			}
		}
	}
	return found
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}
