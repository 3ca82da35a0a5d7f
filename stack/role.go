package stack

import (
	"encoding/json"
	"fmt"
	"net/netip"
)

// role adds the role of the instances, and the profile by which they take it.
// Both have names that CloudFormation makes up: names of roles are the whole
// account's, and the same deployment may be in two regions.
func (b builder) role() {
	b.add("Role", resource{Type: "AWS::IAM::Role", Properties: object{
		"Description":              "What the instances of the mayfly deployment " + b.Name + " may do",
		"AssumeRolePolicyDocument": json.RawMessage(b.Role.Trust),
		"Policies":                 list{object{"PolicyName": "mayfly", "PolicyDocument": json.RawMessage(b.Role.Policy)}},
		"Tags":                     b.tags(),
	}})
	b.add("InstanceProfile", resource{Type: "AWS::IAM::InstanceProfile", Properties: object{"Roles": list{ref("Role")}}})
	b.output(OutputRole, "The role of the instances", attribute("Arn", "Role"))
}

// securityGroup adds one that lets everything out, and in only what a job
// needs. Its description may never change: that would be a new group.
func (b builder) securityGroup() {
	var ingress list
	for _, in := range b.Network.Ingress {
		for _, from := range in.From {
			rule := object{
				"IpProtocol": "tcp", "FromPort": in.Port, "ToPort": in.Port,
				"Description": fmt.Sprintf("port %d from %s", in.Port, from),
			}
			if netip.MustParsePrefix(from).Addr().Is4() { // check has seen it
				rule["CidrIp"] = from
			} else {
				rule["CidrIpv6"] = from
			}
			ingress = append(ingress, rule)
		}
	}
	properties := object{
		"GroupDescription": "Instances of the mayfly deployment " + b.Name,
		"VpcId":            b.Network.VPC,
		"SecurityGroupEgress": list{
			object{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0", "Description": "anywhere"},
			object{"IpProtocol": "-1", "CidrIpv6": "::/0", "Description": "anywhere"},
		},
		"Tags": b.tags(),
	}
	if len(ingress) > 0 {
		properties["SecurityGroupIngress"] = ingress
	}
	b.add("SecurityGroup", resource{Type: "AWS::EC2::SecurityGroup", Properties: properties})
	b.output(OutputSecurityGroup, "The security group of the instances", attribute("GroupId", "SecurityGroup"))
}
