package iam

import (
	"fmt"
	"strings"
)

// UseAddress is for an instance that takes an Elastic IP, by its allocation's
// id, and gives it back. Whatever the address, the instance and its network
// interface are, each has to be allowed. The instance has the deployment's tag;
// interfaces are launched without tags, so one that has none is not asked for
// it.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
func UseAddress(allocation string) []Statement {
	const at = "arn:{partition}:ec2:{region}:{account}:"
	const interfaces = at + "network-interface/*"
	address := at + "elastic-ip/" + Literal(allocation)
	own := condition{"StringEquals", "aws:ResourceTag/" + TagKey, []string{"{deployment}"}}
	notOthers := condition{"StringEqualsIfExists", "aws:ResourceTag/" + TagKey, []string{"{deployment}"}}
	return []Statement{
		allow("SeeAddresses", "ec2:DescribeAddresses", "*").when(condition{"StringLike", "ec2:Region", []string{"{region}"}}),
		allow("TakeAddress", "ec2:AssociateAddress", address),
		allow("TakeAddressAsOwnInstance", "ec2:AssociateAddress", at+"instance/*").when(own),
		allow("TakeAddressByInterface", "ec2:AssociateAddress", interfaces).when(notOthers),
		allow("ReturnAddress", "ec2:DisassociateAddress", address),
		allow("ReturnAddressByInterface", "ec2:DisassociateAddress", interfaces).when(notOthers),
	}
}

// SetRecords is for the addresses of one name in a Route 53 hosted zone.
// https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/specifying-conditions-route53.html
func SetRecords(zone, name string) []Statement {
	const names, types = "route53:ChangeResourceRecordSetsNormalizedRecordNames", "route53:ChangeResourceRecordSetsRecordTypes"
	zoneARN := "arn:{partition}:route53:::hostedzone/" + Literal(zone)
	return []Statement{
		allow("SeeRecords", "route53:ListResourceRecordSets", zoneARN),
		// A condition on all keys holds when there is none.
		allow("SetRecord", "route53:ChangeResourceRecordSets", zoneARN).when(
			condition{"ForAllValues:StringEquals", names, []string{normalized(name)}}, condition{"Null", names, []string{"false"}},
			condition{"ForAllValues:StringEquals", types, []string{"A", "AAAA"}}, condition{"Null", types, []string{"false"}}),
	}
}

// normalized is a DNS name as Route 53's conditions spell it: in small letters,
// without a dot at its end, and what is no letter, digit, - or _ by its octal
// code.
func normalized(name string) string {
	var b strings.Builder
	for _, c := range []byte(strings.ToLower(strings.TrimSuffix(name, "."))) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\%03o`, c)
		}
	}
	return b.String()
}

// WriteParameter is for writing one ordinary parameter of Systems Manager.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
func WriteParameter(name string) Statement {
	return allow("TellParameter", "ssm:PutParameter", "arn:{partition}:ssm:{region}:{account}:parameter/"+Literal(strings.TrimPrefix(name, "/")))
}
