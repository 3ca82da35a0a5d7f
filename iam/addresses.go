package iam

// UseAddress is for an instance that takes an Elastic IP, by its allocation's
// id, and gives it back.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
func UseAddress(allocation string) []Statement {
	const at = "arn:{partition}:ec2:{region}:{account}:"
	address := at + "elastic-ip/" + Literal(allocation)
	return []Statement{
		allow("SeeAddresses", "ec2:DescribeAddresses", "*").when(condition{"StringLike", "ec2:Region", []string{"{region}"}}),
		// Those that have no tag are not asked for one: IfExists.
		allow("TakeAddress", "ec2:AssociateAddress", address, at+"instance/*", at+"network-interface/*").
			when(condition{"StringEqualsIfExists", "aws:ResourceTag/" + TagKey, []string{"{deployment}"}}),
		allow("ReturnAddress", "ec2:DisassociateAddress", address, at+"network-interface/*"),
	}
}

// SetRecords is for the addresses of one name in a Route 53 hosted zone.
// https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/specifying-rrset-conditions.html
func SetRecords(zone, name string) []Statement {
	zoneARN := "arn:{partition}:route53:::hostedzone/" + Literal(zone)
	return []Statement{
		allow("SeeRecords", "route53:ListResourceRecordSets", zoneARN),
		allow("SetRecord", "route53:ChangeResourceRecordSets", zoneARN).when(
			condition{"ForAllValues:StringEquals", "route53:ChangeResourceRecordSetsNormalizedRecordNames", []string{name}},
			condition{"ForAllValues:StringEquals", "route53:ChangeResourceRecordSetsRecordTypes", []string{"A", "AAAA"}}),
	}
}

// WriteParameter is for writing one ordinary parameter of Systems Manager.
func WriteParameter(name string) Statement {
	return allow("TellParameter", "ssm:PutParameter", "arn:{partition}:ssm:{region}:{account}:parameter"+Literal(name))
}
