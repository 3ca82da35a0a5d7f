//go:build e2e

package e2e

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloud"
)

func setupGroup(t *testing.T, m *moto, c *cloud.Cloud) {
	ctx := t.Context()
	m.aws("autoscaling", "create-launch-configuration", "--launch-configuration-name", "g", "--image-id", "ami-12c6146b", "--instance-type", "t3.nano")
	m.aws("autoscaling", "create-auto-scaling-group", "--auto-scaling-group-name", "g", "--launch-configuration-name", "g",
		"--min-size", "0", "--max-size", "1", "--availability-zones", motoRegion+"a", "--tags", "Key=mayfly,Value=weekly,PropagateAtLaunch=true")
	groups, err := c.Groups()
	if err != nil {
		t.Fatal(err)
	}
	describe := func() cloud.Group {
		t.Helper()
		g, err := groups.Describe(ctx, "g")
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	if _, err := groups.Describe(ctx, "other"); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("no such group: %v", err)
	}
	if err := groups.Suspend(ctx, "g", "ReplaceUnhealthy", "AZRebalance"); err != nil {
		t.Error(err)
	}
	if g := describe(); g.Max != 1 || g.Desired != 0 || !slices.Equal(g.Suspended, []string{"AZRebalance", "ReplaceUnhealthy"}) {
		t.Errorf("%+v", g)
	}
	if err := groups.Resume(ctx, "g", "AZRebalance"); err != nil || !slices.Equal(describe().Suspended, []string{"ReplaceUnhealthy"}) {
		t.Errorf("%+v, %v", describe(), err)
	}

	at := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	for range 2 { // the second replaces the first
		at = at.Add(time.Minute)
		if err := groups.ScheduleOnce(ctx, "g", "end", at, 0); err != nil {
			t.Error(err)
		}
	}
	list, err := groups.Schedule(ctx, "g")
	if err != nil || len(list) != 1 || list[0].Name != "end" || !list[0].At.Equal(at) || list[0].Desired != 0 || list[0].Min > 0 || list[0].Recurrence != "" {
		t.Errorf("%+v, %v", list, err)
	}
	for range 2 { // what is gone may be taken away
		if err := groups.DeleteScheduled(ctx, "g", "end"); err != nil {
			t.Error(err)
		}
	}
	if list, err := groups.Schedule(ctx, "g"); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}

	if err := groups.SetDesired(ctx, "g", 1); err != nil {
		t.Error(err)
	}
	g := describe()
	if len(g.Instances) != 1 || g.Instances[0].State != "InService" {
		t.Fatalf("%+v", g)
	}
	ec2, err := c.EC2()
	if err != nil {
		t.Fatal(err)
	}
	running, err := ec2.Instances(ctx, "mayfly", "weekly")
	if err != nil || len(running) != 1 || running[0].ID != g.Instances[0].ID || running[0].Group != "g" || running[0].State != "running" {
		t.Errorf("%+v, %v", running, err)
	}
	if text, err := ec2.Console(ctx, g.Instances[0].ID); err != nil || text == "" {
		t.Errorf("console: %q, %v", text, err)
	}
	if err := groups.SetDesired(ctx, "g", 0); err != nil {
		t.Error(err)
	}
	if err := groups.WaitEmpty(ctx, "g", nil); err != nil {
		t.Error(err)
	}
	if running, err := ec2.Instances(ctx, "mayfly", "weekly"); err != nil || len(running) != 0 {
		t.Errorf("%+v, %v", running, err)
	}
	if err := groups.WaitEmpty(ctx, "other", nil); err != nil {
		t.Errorf("no such group: %v", err)
	}
}

func setupEC2(t *testing.T, m *moto, c *cloud.Cloud) {
	ctx := t.Context()
	ec2, err := c.EC2()
	if err != nil {
		t.Fatal(err)
	}
	n, err := ec2.DefaultNetwork(ctx)
	if err != nil || !n.Default || len(n.Subnets) != 3 || !slices.Equal(n.Zones(), []string{motoRegion + "a", motoRegion + "b", motoRegion + "c"}) || !n.Subnets[0].PublicIP {
		t.Fatalf("%+v, %v", n, err)
	}
	if named, err := ec2.VPC(ctx, n.VPC); err != nil || len(named.Subnets) != 3 || !named.Default {
		t.Errorf("%+v, %v", named, err)
	}
	two := []string{n.Subnets[2].ID, n.Subnets[0].ID}
	if named, err := ec2.Subnets(ctx, two); err != nil || named.VPC != n.VPC || len(named.Subnets) != 2 || named.Subnets[1].Zone != motoRegion+"c" {
		t.Errorf("%+v, %v", named, err)
	}
	_, noVPC := ec2.VPC(ctx, "vpc-0123456789abcdef0")
	_, noSubnet := ec2.Subnets(ctx, []string{"subnet-0123456789abcdef0"})
	for _, err := range []error{noVPC, noSubnet} {
		if !errors.Is(err, cloud.ErrNotFound) || !strings.Contains(err.Error(), "check network in the config") {
			t.Errorf("no such network: %v", err)
		}
	}

	types, err := ec2.InstanceTypes(ctx, []string{"t4g.nano", "m5.large"})
	if err != nil || len(types) != 2 || !slices.Equal(types[0].Architectures, []string{"arm64"}) || !types[0].Burstable || !types[0].Spot || types[0].MemoryMiB != 512 ||
		!slices.Equal(types[1].Architectures, []string{"amd64"}) || types[1].Burstable || len(types[1].Zones) == 0 {
		t.Errorf("%+v, %v", types, err)
	}
	if _, err := ec2.InstanceTypes(ctx, []string{"t4g.nano", "t9.nano"}); !errors.Is(err, cloud.ErrNotFound) || !strings.Contains(err.Error(), "t9.nano") {
		t.Errorf("no such type: %v", err)
	}
	if prices, err := ec2.SpotPrices(ctx, []string{"t4g.nano"}); err != nil || len(prices) == 0 || prices[0].USD <= 0 {
		t.Errorf("%+v, %v", prices, err)
	}
	if _, err := ec2.Console(ctx, "i-0123456789abcdef0"); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("no such instance: %v", err)
	}

	var made struct{ VolumeId, SnapshotId string }
	const tags = "Tags=[{Key=mayfly,Value=weekly}]"
	m.answer(&made, "ec2", "create-volume", "--availability-zone", motoRegion+"a", "--size", "8", "--volume-type", "gp3", "--tag-specifications", "ResourceType=volume,"+tags)
	volumes, err := ec2.Volumes(ctx, "mayfly", "weekly")
	if err != nil || len(volumes) != 1 || volumes[0].ID != made.VolumeId || volumes[0].GiB != 8 || volumes[0].Type != "gp3" || volumes[0].State != "available" || volumes[0].Created.IsZero() {
		t.Errorf("%+v, %v", volumes, err)
	}
	m.answer(&made, "ec2", "create-snapshot", "--volume-id", made.VolumeId, "--tag-specifications", "ResourceType=snapshot,"+tags)
	snapshots, err := ec2.Snapshots(ctx, "mayfly", "weekly")
	if err != nil || len(snapshots) != 1 || snapshots[0].ID != made.SnapshotId || snapshots[0].Volume != made.VolumeId || snapshots[0].Tags["mayfly"] != "weekly" {
		t.Errorf("%+v, %v", snapshots, err)
	}

	m.aws("ec2", "delete-subnet", "--subnet-id", n.Subnets[0].ID)
	for _, s := range n.Subnets[1:] {
		m.aws("ec2", "delete-subnet", "--subnet-id", s.ID)
	}
	if _, err := ec2.DefaultNetwork(ctx); !errors.Is(err, cloud.ErrNotFound) || !strings.Contains(err.Error(), "create-default-subnet") {
		t.Errorf("no default subnet: %v", err)
	}
	m.aws("ec2", "delete-vpc", "--vpc-id", n.VPC)
	if _, err := ec2.DefaultNetwork(ctx); !errors.Is(err, cloud.ErrNotFound) || !strings.Contains(err.Error(), "create-default-vpc") {
		t.Errorf("no default VPC: %v", err)
	}
}
