//go:build e2e

package e2e

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloud"
)

// TestMotoAddresses has an instance found by those who know its Elastic IP, its
// DNS name or a parameter, and a volume made larger, at an AWS that none of the
// clients' authors wrote.
func TestMotoAddresses(t *testing.T) {
	t.Parallel()
	m := newMoto(t)
	c := m.cloud(t, m.admin)
	for _, x := range []struct {
		name string
		run  func(*testing.T, *moto, *cloud.Cloud)
	}{
		{"Elastic IP", addressElastic}, {"record", addressRecord}, {"parameter", addressParameter}, {"larger volume", addressResize}, {"denied", addressDenied},
	} {
		t.Run(x.name, func(t *testing.T) { x.run(t, m, c) })
	}
}

// instance starts one, and returns its id and that of its network interface.
func (m *moto) instance() (id, network string) {
	m.t.Helper()
	var run struct {
		Instances []struct {
			InstanceId        string
			NetworkInterfaces []struct{ NetworkInterfaceId string }
		}
	}
	m.answer(&run, "ec2", "run-instances", "--image-id", "ami-12c6146b", "--instance-type", "t3.nano")
	if len(run.Instances) != 1 || len(run.Instances[0].NetworkInterfaces) == 0 {
		m.t.Fatalf("%+v", run)
	}
	return run.Instances[0].InstanceId, run.Instances[0].NetworkInterfaces[0].NetworkInterfaceId
}

func addressElastic(t *testing.T, m *moto, c *cloud.Cloud) {
	ctx := t.Context()
	ec2, err := c.EC2()
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ AllocationId, PublicIp string }
	m.answer(&made, "ec2", "allocate-address", "--domain", "vpc", "--tag-specifications", "ResourceType=elastic-ip,Tags=[{Key=a,Value=b}]")
	first, network := m.instance()
	second, _ := m.instance()
	look := func() cloud.Address {
		t.Helper()
		a, err := ec2.Address(ctx, made.AllocationId)
		if err != nil || a.Allocation != made.AllocationId || a.IP.String() != made.PublicIp || a.Tags["a"] != "b" {
			t.Fatalf("%+v, %v", a, err)
		}
		return a
	}
	if a := look(); !a.Free() {
		t.Errorf("%+v", a)
	}
	for range 2 { // what it has, it may take
		if ip, err := ec2.AssociateAddress(ctx, made.AllocationId, first); err != nil || ip.String() != made.PublicIp {
			t.Errorf("%s, %v", ip, err)
		}
	}
	if a := look(); a.Free() || a.Instance != first || a.Interface != network || a.Association == "" {
		t.Errorf("%+v", a)
	}
	_, err = ec2.AssociateAddress(ctx, made.AllocationId, second)
	if !errors.Is(err, cloud.ErrBusy) || !strings.Contains(err.Error(), "the instance "+first+" has it") {
		t.Errorf("another's: %v", err)
	}
	if err := ec2.DisassociateAddress(ctx, made.AllocationId, second); err != nil || look().Instance != first {
		t.Errorf("of the one that does not have it: %v", err)
	}
	for range 2 {
		if err := ec2.DisassociateAddress(ctx, made.AllocationId, first); err != nil || !look().Free() {
			t.Errorf("%v, %+v", err, look())
		}
	}
	var lone struct {
		NetworkInterface struct{ NetworkInterfaceId string }
	}
	var subnets struct{ Subnets []struct{ SubnetId string } }
	m.answer(&subnets, "ec2", "describe-subnets")
	m.answer(&lone, "ec2", "create-network-interface", "--subnet-id", subnets.Subnets[0].SubnetId)
	m.aws("ec2", "associate-address", "--allocation-id", made.AllocationId, "--network-interface-id", lone.NetworkInterface.NetworkInterfaceId)
	_, err = ec2.AssociateAddress(ctx, made.AllocationId, first)
	if !errors.Is(err, cloud.ErrBusy) || !strings.Contains(err.Error(), "the network interface "+lone.NetworkInterface.NetworkInterfaceId+" has it") {
		t.Errorf("an interface's: %v", err)
	}
	const none = "eipalloc-0123456789abcdef0"
	if _, err := ec2.Address(ctx, none); !errors.Is(err, cloud.ErrNotFound) || !strings.Contains(err.Error(), "aws ec2 describe-addresses") {
		t.Errorf("no such address: %v", err)
	}
	if _, err := ec2.AssociateAddress(ctx, none, first); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("no such address: %v", err)
	}
	if err := ec2.DisassociateAddress(ctx, none, first); err != nil {
		t.Errorf("no such address: %v", err)
	}
}

func addressRecord(t *testing.T, m *moto, c *cloud.Cloud) {
	ctx := t.Context()
	zones, err := c.Zones()
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ HostedZone struct{ Id string } }
	m.answer(&made, "route53", "create-hosted-zone", "--name", "example.com", "--caller-reference", "one")
	id := strings.TrimPrefix(made.HostedZone.Id, "/hostedzone/")
	if z, err := zones.Zone(ctx, id); err != nil || z != (cloud.HostedZone{Name: "example.com"}) {
		t.Errorf("%+v, %v", z, err)
	}
	if _, err := zones.Zone(ctx, "Z0123456789NONE"); !errors.Is(err, cloud.ErrNotFound) || !strings.Contains(err.Error(), "aws route53 list-hosted-zones") {
		t.Errorf("no such zone: %v", err)
	}
	const name = "backup.example.com"
	records := func() string {
		t.Helper()
		var list struct {
			ResourceRecordSets []struct {
				Name, Type      string
				TTL             int
				ResourceRecords []struct{ Value string }
			}
		}
		m.answer(&list, "route53", "list-resource-record-sets", "--hosted-zone-id", id)
		var found []string
		for _, s := range list.ResourceRecordSets {
			if s.Type == "NS" || s.Type == "SOA" {
				continue
			}
			var values []string
			for _, r := range s.ResourceRecords {
				values = append(values, r.Value)
			}
			found = append(found, strings.Join(append([]string{strings.TrimSuffix(s.Name, "."), s.Type}, values...), " "))
		}
		return strings.Join(found, ", ")
	}
	change := func(batch string) {
		t.Helper()
		m.aws("route53", "change-resource-record-sets", "--hosted-zone-id", id, "--change-batch", batch)
	}
	change(`{"Changes": [
		{"Action": "CREATE", "ResourceRecordSet": {"Name": "backup.example.com", "Type": "TXT", "TTL": 60, "ResourceRecords": [{"Value": "\"ours\""}]}},
		{"Action": "CREATE", "ResourceRecordSet": {"Name": "backup1.example.com", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "198.51.100.1"}]}}]}`)
	const others = `backup1.example.com A 198.51.100.1`
	four, six := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")
	for _, x := range []struct {
		list []netip.Addr
		want string
	}{
		{nil, `backup.example.com TXT "ours", ` + others},
		{[]netip.Addr{four, six}, `backup.example.com A 203.0.113.7, backup.example.com AAAA 2001:db8::7, backup.example.com TXT "ours", ` + others},
		{[]netip.Addr{four, six}, `backup.example.com A 203.0.113.7, backup.example.com AAAA 2001:db8::7, backup.example.com TXT "ours", ` + others},
		{[]netip.Addr{four.Next()}, `backup.example.com A 203.0.113.8, backup.example.com TXT "ours", ` + others},
		{nil, `backup.example.com TXT "ours", ` + others},
	} {
		if err := zones.SetRecord(ctx, id, name, time.Minute, x.list); err != nil {
			t.Errorf("%v: %v", x.list, err)
		}
		if got := records(); got != x.want {
			t.Errorf("%v:\n%s, want\n%s", x.list, got, x.want)
		}
	}
	change(`{"Changes": [{"Action": "CREATE", "ResourceRecordSet": {"Name": "backup.example.com", "Type": "A", "AliasTarget": {"HostedZoneId": "Z32O12XQLNTSW2", "DNSName": "lb.eu-west-1.elb.amazonaws.com", "EvaluateTargetHealth": false}}}]}`)
	before := records()
	if err := zones.SetRecord(ctx, id, name, time.Minute, []netip.Addr{four}); err == nil || !strings.Contains(err.Error(), "is an alias of lb.eu-west-1.elb.amazonaws.com") {
		t.Errorf("an alias: %v", err)
	}
	if err := zones.SetRecord(ctx, id, name, time.Minute, nil); err != nil || records() != before {
		t.Errorf("%s, %v", records(), err)
	}
	if err := zones.SetRecord(ctx, id, "backup.example.org", time.Minute, []netip.Addr{four}); err == nil || !strings.Contains(err.Error(), "check that the name is one of the zone's domain") {
		t.Errorf("of another domain: %v", err)
	}
	if err := zones.SetRecord(ctx, "Z0123456789NONE", name, time.Minute, nil); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("no such zone: %v", err)
	}
}

func addressParameter(t *testing.T, m *moto, c *cloud.Cloud) {
	ctx, p, name := t.Context(), c.Parameters(), "/hosts/address"
	if value, has, err := p.Plain(ctx, name); value != "" || has || err != nil {
		t.Errorf("before: %q, %t, %v", value, has, err)
	}
	for _, want := range []string{"203.0.113.7", strings.Repeat("x", 4096)} {
		if err := p.PutPlain(ctx, name, want); err != nil {
			t.Error(err)
		}
		if value, has, err := p.Plain(ctx, name); value != want || !has || err != nil {
			t.Errorf("%q, %t, %v", value, has, err)
		}
	}
	var described struct{ Parameters []struct{ Type string } }
	m.answer(&described, "ssm", "describe-parameters")
	if len(described.Parameters) != 1 || described.Parameters[0].Type != "String" {
		t.Errorf("%+v", described)
	}
	if err := p.PutPlain(ctx, name, strings.Repeat("x", 4097)); err == nil || !strings.Contains(err.Error(), "a parameter takes 4096") {
		t.Errorf("too long: %v", err)
	}
	if err := p.Put(ctx, "/hosts/secret", "value", false); err != nil {
		t.Error(err)
	}
	if value, _, err := p.Plain(ctx, "/hosts/secret"); value != "" || err == nil || !strings.Contains(err.Error(), "it is a SecureString") {
		t.Errorf("a secret: %q, %v", value, err)
	}
}

func addressResize(t *testing.T, m *moto, c *cloud.Cloud) {
	ctx := t.Context()
	ec2, err := c.EC2()
	if err != nil {
		t.Fatal(err)
	}
	v, err := ec2.CreateVolume(ctx, cloud.VolumeSpec{Zone: motoRegion + "a", GiB: 8})
	if err != nil {
		t.Fatal(err)
	}
	if err := ec2.ModifyVolume(ctx, v.ID, 16); err != nil {
		t.Error(err)
	}
	if mod, err := ec2.Modification(ctx, v.ID); err != nil || mod.GiB != 16 {
		t.Errorf("%+v, %v", mod, err)
	}
	if v, err := ec2.Volume(ctx, v.ID); err != nil || v.GiB != 16 || v.Type != "gp3" {
		t.Errorf("%+v, %v", v, err)
	}
	if err := ec2.ModifyVolume(ctx, "vol-0123456789abcdef0", 16); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("no such volume: %v", err)
	}
}

// addressDenied has a user who may do nothing ask for everything.
func addressDenied(t *testing.T, m *moto, _ *cloud.Cloud) {
	nobody := m.user("nobody", `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}]}`)
	m.enforce()
	c := m.cloud(t, nobody)
	ctx := t.Context()
	ec2, err1 := c.EC2()
	zones, err2 := c.Zones()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	_, zone := zones.Zone(ctx, "Z1")
	_, address := ec2.Address(ctx, "eipalloc-1")
	_, associate := ec2.AssociateAddress(ctx, "eipalloc-1", "i-1")
	_, _, plain := c.Parameters().Plain(ctx, "/t")
	for want, errs := range map[string][]error{
		"grant route53:GetHostedZone on hosted zone Z1":          {zone},
		"grant route53:ListResourceRecordSets on hosted zone Z1": {zones.SetRecord(ctx, "Z1", "a.example.com", time.Minute, nil)},
		"grant ec2:DescribeAddresses on Elastic IP eipalloc-1":   {address, associate, ec2.DisassociateAddress(ctx, "eipalloc-1", "i-1")},
		"grant ec2:ModifyVolume on volume vol-1":                 {ec2.ModifyVolume(ctx, "vol-1", 8)},
		"grant ssm:GetParameter on /t":                           {plain},
		"grant ssm:PutParameter on /t":                           {c.Parameters().PutPlain(ctx, "/t", "v")},
	} {
		for _, err := range errs {
			if !errors.Is(err, cloud.ErrDenied) || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
}
