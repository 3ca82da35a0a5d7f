package iam_test

import (
	"testing"

	"mayfly/internal/iamtest"
)

// An instance takes and returns one address, sets one name and writes one
// parameter.
func TestAllowsAddresses(t *testing.T) {
	t.Parallel()
	doc, err := everything(home).JSON()
	if err != nil {
		t.Fatal(err)
	}
	p, err := iamtest.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	type context = map[string]string
	const region = "arn:aws:ec2:eu-west-1:123456789012:"
	const eip, otherEIP = region + "elastic-ip/eipalloc-1", region + "elastic-ip/eipalloc-12"
	const instance, network = region + "instance/i-1", region + "network-interface/eni-1"
	own, others := context{"aws:ResourceTag/mayfly:deployment": "weekly"}, context{"aws:ResourceTag/mayfly:deployment": "weekly2"}
	const zone, otherZone = "arn:aws:route53:::hostedzone/Z1", "arn:aws:route53:::hostedzone/Z12"
	records := func(names, types string) context {
		return context{"route53:ChangeResourceRecordSetsNormalizedRecordNames": names, "route53:ChangeResourceRecordSetsRecordTypes": types}
	}
	const parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/"
	for _, tt := range []struct {
		action, resource string
		context          context
		sid              string
	}{
		{"ec2:DescribeAddresses", "*", context{"ec2:Region": "eu-west-1"}, "SeeAddresses"},
		{"ec2:DescribeAddresses", "*", context{"ec2:Region": "us-east-1"}, ""},
		{"ec2:AssociateAddress", eip, nil, "TakeAddress"},
		{"ec2:AssociateAddress", eip, others, "TakeAddress"}, // the config names it
		{"ec2:AssociateAddress", otherEIP, own, ""},
		{"ec2:AssociateAddress", instance, own, "TakeAddressAsOwnInstance"},
		{"ec2:AssociateAddress", instance, others, ""},
		{"ec2:AssociateAddress", instance, nil, ""},
		{"ec2:AssociateAddress", network, nil, "TakeAddressByInterface"},
		{"ec2:AssociateAddress", network, own, "TakeAddressByInterface"},
		{"ec2:AssociateAddress", network, others, ""},
		{"ec2:DisassociateAddress", eip, nil, "ReturnAddress"},
		{"ec2:DisassociateAddress", otherEIP, own, ""},
		{"ec2:DisassociateAddress", network, nil, "ReturnAddressByInterface"},
		{"ec2:DisassociateAddress", network, others, ""},
		{"ec2:ReleaseAddress", eip, own, ""},
		{"ec2:AllocateAddress", eip, own, ""},
		{"ec2:ModifyAddressAttribute", eip, own, ""},

		{"route53:ListResourceRecordSets", zone, nil, "SeeRecords"},
		{"route53:ListResourceRecordSets", otherZone, nil, ""},
		{"route53:ChangeResourceRecordSets", zone, records("backup.example.com", "A"), "SetRecord"},
		{"route53:ChangeResourceRecordSets", zone, records("backup.example.com,backup.example.com", "A,AAAA"), "SetRecord"},
		{"route53:ChangeResourceRecordSets", otherZone, records("backup.example.com", "A"), ""},
		{"route53:ChangeResourceRecordSets", zone, records("www.example.com", "A"), ""},
		{"route53:ChangeResourceRecordSets", zone, records("backup.example.com,www.example.com", "A"), ""},
		{"route53:ChangeResourceRecordSets", zone, records("a.backup.example.com", "A"), ""},
		{"route53:ChangeResourceRecordSets", zone, records("backup.example.com", "TXT"), ""},
		{"route53:ChangeResourceRecordSets", zone, records("backup.example.com", "A,CNAME"), ""},
		{"route53:ChangeResourceRecordSets", zone, nil, ""},
		{"route53:GetHostedZone", zone, nil, ""},
		{"route53:DeleteHostedZone", zone, nil, ""},

		{"ssm:PutParameter", parameter + "hosts/address", nil, "TellParameter"},
		{"ssm:PutParameter", parameter + "hosts/address2", nil, ""},
		{"ssm:PutParameter", parameter + "a/token", nil, ""},
		{"ssm:PutParameter", parameter + "plain2", nil, "TellParameter2"}, // of a name without a slash
		{"ssm:DeleteParameter", parameter + "hosts/address", nil, ""},
	} {
		if sid := p.Allows(iamtest.Request{Action: tt.action, Resource: tt.resource, Context: tt.context}); sid != tt.sid {
			t.Errorf("%s on %s with %v: allowed by %q, want %q", tt.action, tt.resource, tt.context, sid, tt.sid)
		}
	}
}
