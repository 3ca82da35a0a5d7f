package stack

import (
	"slices"
	"testing"
)

// A security group opens the ports of the jobs to the addresses of the config,
// by TCP, and nothing else; and a zone pins the group to its subnets.
func TestHostsNetwork(t *testing.T) {
	t.Parallel()
	o := kinds()["hosts"]
	p := parse(t, render(t, o))
	var opened []string
	in, _ := p.Resources["SecurityGroup"].Properties["SecurityGroupIngress"].([]any)
	for _, rule := range in {
		r := rule.(map[string]any)
		if r["IpProtocol"] != "tcp" || r["FromPort"] != 22.0 || r["ToPort"] != 22.0 || r["SourceSecurityGroupId"] != nil || r["SourcePrefixListId"] != nil {
			t.Errorf("rule %s", text(r))
		}
		for _, key := range []string{"CidrIp", "CidrIpv6"} {
			if r[key] != nil {
				opened = append(opened, r[key].(string))
			}
		}
	}
	if want := o.Network.Ingress[0].From; !slices.Equal(opened, want) {
		t.Errorf("open to %q, want %q", opened, want)
	}
	for name, r := range p.Resources {
		if r.Type == "AWS::EC2::SecurityGroupIngress" {
			t.Errorf("%s opens something, too", name)
		}
	}
	if got := text(p.Resources["Group"].Properties["VPCZoneIdentifier"]); got != `["subnet-0000000b"]` {
		t.Errorf("instances are in %s", got)
	}
}
