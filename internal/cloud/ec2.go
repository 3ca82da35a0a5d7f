package cloud

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// EC2 is Amazon EC2 in the region in use.
type EC2 struct {
	client *ec2.Client
	pause  time.Duration // between two looks at something that goes on
	names  *sync.Mutex   // held from looking for a free device name to its use
}

const volumePause = 2 * time.Second

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
	}), min(volumePause, c.o.MaxBackoff), new(sync.Mutex)}, nil
}

// An InstanceType is what EC2 says of one.
type InstanceType struct {
	Name          string
	Architectures []string // "amd64", "arm64"
	Burstable     bool     // has CPU credits
	Spot          bool     // can be had as a spot instance
	MemoryMiB     int
	Zones         []string // that offer it, sorted
}

const fixTypes = "check instance.types in the config, and the region"

// InstanceTypes looks types up, in the order given. ErrNotFound names those
// that the region does not offer.
func (e EC2) InstanceTypes(ctx context.Context, names []string) ([]InstanceType, error) {
	if len(names) == 0 {
		return nil, nil // EC2 would list all of its 1000
	}
	ctx, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	resource := "instance types " + strings.Join(names, ", ")
	found := map[string]InstanceType{}
	pages := ec2.NewDescribeInstanceTypesPaginator(e.client, &ec2.DescribeInstanceTypesInput{InstanceTypes: typesOf(names)})
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
		return nil, notFound("ec2:DescribeInstanceTypes", resource, "the region does not offer "+strings.Join(missing, ", "), fixTypes)
	}
	return list, nil
}

func instanceType(t types.InstanceTypeInfo) InstanceType {
	found := InstanceType{
		Name: string(t.InstanceType), Burstable: aws.ToBool(t.BurstablePerformanceSupported),
		Spot: slices.Contains(t.SupportedUsageClasses, types.UsageClassTypeSpot),
	}
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

// typesOf are the SDK's, each once: EC2 takes no list with two of a kind.
func typesOf(names []string) []types.InstanceType {
	var list []types.InstanceType
	for _, n := range names {
		if t := types.InstanceType(n); !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	return list
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}
