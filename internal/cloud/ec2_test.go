package cloud_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloud"
)

func vpcXML(id string, isDefault bool) reply {
	return reply{body: fmt.Sprintf("<vpcSet><item><vpcId>%s</vpcId><isDefault>%t</isDefault></item></vpcSet>", id, isDefault)}
}

func subnetXML(id, vpc, zone string, public bool) string {
	return fmt.Sprintf("<item><subnetId>%s</subnetId><vpcId>%s</vpcId><availabilityZone>eu-west-1%s</availabilityZone><mapPublicIpOnLaunch>%t</mapPublicIpOnLaunch></item>", id, vpc, zone, public)
}

func subnetsXML(items ...string) reply {
	return reply{body: "<subnetSet>" + strings.Join(items, "") + "</subnetSet>"}
}

func TestDefaultNetwork(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	s.on("DescribeVpcs", vpcXML("vpc-1", true))
	first := subnetsXML(subnetXML("subnet-b", "vpc-1", "b", true))
	first.body += "<nextToken>2</nextToken>"
	s.on("DescribeSubnets", first, subnetsXML(subnetXML("subnet-a", "vpc-1", "a", false)))
	n, err := must(c.EC2()).DefaultNetwork(t.Context())
	same(t, n, cloud.Network{VPC: "vpc-1", Default: true, Subnets: []cloud.Subnet{{ID: "subnet-a", Zone: "eu-west-1a"}, {ID: "subnet-b", Zone: "eu-west-1b", PublicIP: true}}}, err)
	same(t, n.Zones(), []string{"eu-west-1a", "eu-west-1b"}, nil)
	f := s.last("DescribeSubnets").form
	if f.Get("Filter.1.Name") != "default-for-az" || f.Get("Filter.2.Value.1") != "vpc-1" || f.Get("NextToken") != "2" {
		t.Errorf("asked for %v", f)
	}
}

func TestNoNetwork(t *testing.T) {
	t.Parallel()
	none := reply{body: "<vpcSet/>"}
	for name, x := range map[string]struct {
		vpcs, subnets reply
		do            func(*testing.T, cloud.EC2) error
		want          []string
	}{
		"no default VPC": {none, reply{}, defaultNetwork, []string{"ec2:DescribeVpcs the default VPC: the region has none: ", "aws ec2 create-default-vpc", "network: in the config"}},
		"no default subnet": {vpcXML("vpc-1", true), subnetsXML(), defaultNetwork,
			[]string{"the default VPC vpc-1: it has no default subnet: ", "create-default-subnet", "network: in the config"}},
		"no such VPC":    {fails("InvalidVpcID.NotFound", "The vpc ID 'vpc-9' does not exist"), reply{}, oneVPC, []string{"VPC vpc-9: it does not exist", "check network in the config, and the region"}},
		"an empty list":  {none, reply{}, oneVPC, []string{"VPC vpc-9: the region has none of that id", "check network in the config"}},
		"an empty VPC":   {vpcXML("vpc-9", false), subnetsXML(), oneVPC, []string{"VPC vpc-9: it has no subnet"}},
		"no such subnet": {none, fails("InvalidSubnetID.NotFound", "The subnet ID 'subnet-2' does not exist"), twoSubnets, []string{"subnets subnet-1, subnet-2: it does not exist", "'subnet-2'", "check network in the config"}},
		"one is missing": {none, subnetsXML(subnetXML("subnet-1", "vpc-1", "a", true)), twoSubnets, []string{"the region lacks subnet-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := newStub(t)
			s.on("DescribeVpcs", x.vpcs)
			s.on("DescribeSubnets", x.subnets)
			err := x.do(t, must(c.EC2()))
			saysAll(t, err, x.want...)
			if !errors.Is(err, cloud.ErrNotFound) {
				t.Errorf("%v is no ErrNotFound", err)
			}
		})
	}
}

func defaultNetwork(t *testing.T, e cloud.EC2) error {
	_, err := e.DefaultNetwork(t.Context())
	return err
}
func oneVPC(t *testing.T, e cloud.EC2) error { _, err := e.VPC(t.Context(), "vpc-9"); return err }
func twoSubnets(t *testing.T, e cloud.EC2) error {
	_, err := e.Subnets(t.Context(), []string{"subnet-1", "subnet-2"})
	return err
}

func TestNamedNetwork(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	ec2 := must(c.EC2())
	s.on("DescribeVpcs", vpcXML("vpc-1", false))
	s.on("DescribeSubnets", subnetsXML(subnetXML("subnet-2", "vpc-1", "a", true), subnetXML("subnet-1", "vpc-1", "a", true)))
	want := cloud.Network{VPC: "vpc-1", Subnets: []cloud.Subnet{{ID: "subnet-1", Zone: "eu-west-1a", PublicIP: true}, {ID: "subnet-2", Zone: "eu-west-1a", PublicIP: true}}}
	n, err := ec2.Subnets(t.Context(), []string{"subnet-1", "subnet-2"})
	same(t, n, want, err)
	n, err = ec2.VPC(t.Context(), "vpc-1")
	same(t, n, want, err)

	s.on("DescribeSubnets", subnetsXML(subnetXML("subnet-1", "vpc-1", "a", true), subnetXML("subnet-2", "vpc-2", "a", true)))
	saysAll(t, twoSubnets(t, ec2), "they are in two VPCs, vpc-1 and vpc-2: name subnets of one")
	_, err = ec2.Subnets(t.Context(), nil)
	saysAll(t, err, "no subnet is named")
}

const typesXML = `<instanceTypeSet>
	<item><instanceType>t3.nano</instanceType><burstablePerformanceSupported>true</burstablePerformanceSupported><processorInfo><supportedArchitectures><item>i386</item><item>x86_64</item></supportedArchitectures></processorInfo><memoryInfo><sizeInMiB>512</sizeInMiB></memoryInfo><supportedUsageClasses><item>on-demand</item><item>spot</item></supportedUsageClasses></item>
	<item><instanceType>m6g.large</instanceType><processorInfo><supportedArchitectures><item>arm64</item></supportedArchitectures></processorInfo><memoryInfo><sizeInMiB>8192</sizeInMiB></memoryInfo><supportedUsageClasses><item>on-demand</item></supportedUsageClasses></item>
</instanceTypeSet>`

func TestInstanceTypes(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	ec2 := must(c.EC2())
	offer := func(name, zone string) string {
		return "<item><instanceType>" + name + "</instanceType><locationType>availability-zone</locationType><location>eu-west-1" + zone + "</location></item>"
	}
	s.on("DescribeInstanceTypes", reply{body: typesXML})
	offers := []reply{
		{body: "<instanceTypeOfferingSet>" + offer("t3.nano", "c") + offer("m6g.large", "a") + "</instanceTypeOfferingSet><nextToken>2</nextToken>"},
		{body: "<instanceTypeOfferingSet>" + offer("t3.nano", "a") + "</instanceTypeOfferingSet>"},
	}
	s.on("DescribeInstanceTypeOfferings", offers...)
	got, err := ec2.InstanceTypes(t.Context(), []string{"m6g.large", "t3.nano", "m6g.large"})
	m6g := cloud.InstanceType{Name: "m6g.large", Architectures: []string{"arm64"}, MemoryMiB: 8192, Zones: []string{"eu-west-1a"}}
	same(t, got, []cloud.InstanceType{
		m6g, {Name: "t3.nano", Architectures: []string{"amd64"}, Burstable: true, Spot: true, MemoryMiB: 512, Zones: []string{"eu-west-1a", "eu-west-1c"}}, m6g,
	}, err)
	if f := s.last("DescribeInstanceTypes").form; f.Get("InstanceType.2") != "t3.nano" || f.Has("InstanceType.3") {
		t.Errorf("asked for %v", f)
	}

	s.on("DescribeInstanceTypeOfferings", reply{body: "<instanceTypeOfferingSet>" + offer("m6g.large", "a") + "</instanceTypeOfferingSet>"})
	_, err = ec2.InstanceTypes(t.Context(), []string{"t3.nano", "m6g.large"})
	saysAll(t, err, "the region does not offer t3.nano: check instance.types in the config, and the region")
	s.on("DescribeInstanceTypes", fails("InvalidInstanceType", "The following supplied instance types do not exist: [t9.nano]"))
	_, unknown := ec2.InstanceTypes(t.Context(), []string{"t9.nano"})
	saysAll(t, unknown, "instance types t9.nano: ", "do not exist: [t9.nano]", "check instance.types in the config, and the region")
	if !errors.Is(err, cloud.ErrNotFound) || !errors.Is(unknown, cloud.ErrNotFound) {
		t.Errorf("%v, %v: one is no ErrNotFound", err, unknown)
	}
	if list, err := ec2.InstanceTypes(t.Context(), nil); list != nil || err != nil {
		t.Errorf("%v, %v", list, err)
	}
}

func TestSpotPrices(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	price := func(zone, usd, at string) string {
		return "<item><instanceType>t4g.nano</instanceType><availabilityZone>eu-west-1" + zone + "</availabilityZone><spotPrice>" + usd + "</spotPrice><timestamp>2026-11-20T" + at + ":00:00Z</timestamp></item>"
	}
	s.on("DescribeSpotPriceHistory",
		reply{body: "<spotPriceHistorySet>" + price("a", "0.0017", "12") + price("a", "0.0019", "11") + "</spotPriceHistorySet><nextToken>2</nextToken>"},
		reply{body: "<spotPriceHistorySet>" + price("b", "0.0016", "10") + "</spotPriceHistorySet>"})
	got, err := must(c.EC2()).SpotPrices(t.Context(), []string{"t4g.nano"})
	same(t, got, []cloud.SpotPrice{
		{Type: "t4g.nano", Zone: "eu-west-1a", USD: 0.0017, Since: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)},
		{Type: "t4g.nano", Zone: "eu-west-1b", USD: 0.0016, Since: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)},
	}, err)
	s.on("DescribeSpotPriceHistory", reply{body: "<spotPriceHistorySet>" + price("a", "cheap", "12") + "</spotPriceHistorySet>"})
	_, err = must(c.EC2()).SpotPrices(t.Context(), []string{"t4g.nano"})
	saysAll(t, err, `"cheap" is not a price`)
	if list, err := must(c.EC2()).SpotPrices(t.Context(), nil); list != nil || err != nil {
		t.Errorf("%v, %v", list, err)
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	output := func(text string) reply {
		return reply{body: "<instanceId>i-0abc</instanceId><output>" + base64.StdEncoding.EncodeToString([]byte(text)) + "</output>"}
	}
	s.on("GetConsoleOutput", output("boot\r\n"))
	got, err := must(c.EC2()).Console(t.Context(), "i-0abc")
	same(t, got, "boot\r\n", err)
	s.on("GetConsoleOutput", fails("UnsupportedOperation", "This instance type does not support retrieving the latest console logs."), output("old"))
	got, err = must(c.EC2()).Console(t.Context(), "i-0abc")
	same(t, got, "old", err)
	if s.last("GetConsoleOutput").form.Has("Latest") {
		t.Error("asked for the latest again")
	}
	s.on("GetConsoleOutput", fails("InvalidInstanceID.NotFound", "The instance ID 'i-0abc' does not exist"))
	if _, err = must(c.EC2()).Console(t.Context(), "i-0abc"); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("%v is no ErrNotFound", err)
	}
	s.on("GetConsoleOutput", reply{body: "<output>%%%</output>"})
	_, err = must(c.EC2()).Console(t.Context(), "i-0abc")
	saysAll(t, err, "ec2:GetConsoleOutput: illegal base64")
}

func TestTagged(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	ec2 := must(c.EC2())
	at := time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC)
	const when, tags = "2026-11-20T16:00:00Z", "<tagSet><item><key>mayfly</key><value>weekly</value></item></tagSet>"
	tagged := map[string]string{"mayfly": "weekly"}

	s.on("DescribeInstances",
		reply{body: "<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><instanceType>t4g.nano</instanceType><instanceState><name>stopped</name></instanceState><instanceLifecycle>spot</instanceLifecycle><launchTime>" + when + "</launchTime><placement><availabilityZone>eu-west-1a</availabilityZone></placement><tagSet><item><key>aws:autoscaling:groupName</key><value>g</value></item></tagSet></item></instancesSet></item></reservationSet><nextToken>2</nextToken>"},
		reply{body: "<reservationSet><item><instancesSet><item><instanceId>i-2</instanceId></item></instancesSet></item></reservationSet>"})
	instances, err := ec2.Instances(t.Context(), "mayfly", "weekly")
	same(t, instances, []cloud.Instance{{ID: "i-1", Type: "t4g.nano", Zone: "eu-west-1a", State: "stopped", Group: "g", Spot: true, Launched: at}, {ID: "i-2"}}, err)
	if f := s.last("DescribeInstances").form; f.Get("Filter.1.Name") != "tag:mayfly" || strings.Contains(fmt.Sprint(f), "terminated") {
		t.Errorf("asked for %v", f)
	}

	s.on("DescribeVolumes",
		reply{body: "<volumeSet><item><volumeId>vol-1</volumeId><volumeType>gp3</volumeType><size>8</size><availabilityZone>eu-west-1a</availabilityZone><status>in-use</status><createTime>" + when + "</createTime><attachmentSet><item><instanceId>i-1</instanceId></item></attachmentSet>" + tags + "</item></volumeSet><nextToken>2</nextToken>"},
		reply{body: "<volumeSet><item><volumeId>vol-2</volumeId></item></volumeSet>"})
	volumes, err := ec2.Volumes(t.Context(), "mayfly", "weekly")
	same(t, volumes, []cloud.Volume{
		{ID: "vol-1", Type: "gp3", Zone: "eu-west-1a", State: "in-use", Instance: "i-1", GiB: 8, Created: at, Tags: tagged},
		{ID: "vol-2", Tags: map[string]string{}},
	}, err)

	s.on("DescribeSnapshots",
		reply{body: "<snapshotSet><item><snapshotId>snap-1</snapshotId><volumeId>vol-1</volumeId><status>pending</status><startTime>" + when + "</startTime><volumeSize>8</volumeSize>" + tags + "</item></snapshotSet><nextToken>2</nextToken>"},
		reply{body: "<snapshotSet/>"})
	snapshots, err := ec2.Snapshots(t.Context(), "mayfly", "weekly")
	same(t, snapshots, []cloud.Snapshot{{ID: "snap-1", Volume: "vol-1", State: "pending", GiB: 8, Began: at, Tags: tagged}}, err)
	if f := s.last("DescribeSnapshots").form; f.Get("Owner.1") != "self" {
		t.Errorf("asked for %v", f)
	}
}
