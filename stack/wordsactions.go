package stack

import (
	"fmt"
	"strings"

	"mayfly/iam"
)

// verb is what an action does to its resources.
func verb(action string, resources []string) string {
	switch action {
	case "s3:GetObject", "ssm:GetParameter", "secretsmanager:GetSecretValue":
		return "read"
	case "s3:PutObject", "ssm:PutParameter":
		return "write"
	case "s3:DeleteObject", "ec2:DeleteSnapshot", "ec2:DeleteVolume":
		return "delete"
	case "s3:ListBucket":
		return "list"
	case "s3:AbortMultipartUpload":
		return "drop unfinished uploads of"
	case "s3:ListBucketMultipartUploads":
		return "find unfinished uploads in"
	case "kms:Decrypt":
		return "decrypt with"
	case "kms:GenerateDataKey":
		return "encrypt with"
	case "sns:Publish":
		return "send to"
	case "cloudwatch:PutMetricData":
		return "put metrics into"
	case "autoscaling:TerminateInstanceInAutoScalingGroup":
		return "end an instance of"
	case "route53:ListResourceRecordSets":
		return "list the DNS records of"
	case "route53:ChangeResourceRecordSets":
		return "change DNS records of"
	}
	if v := ec2Verb(action, resources); v != "" {
		return v
	}
	return "act on" // the line names the actions
}

// ec2Verb is verb for Amazon EC2, some of whose actions are about several
// things, each of which has to be allowed.
func ec2Verb(action string, resources []string) string {
	about := func(kind string) bool { return len(resources) > 0 && strings.Contains(resources[0], ":"+kind+"/") }
	switch action {
	case "ec2:DescribeVolumes":
		return "list the volumes"
	case "ec2:DescribeSnapshots":
		return "list the snapshots"
	case "ec2:DescribeAddresses":
		return "list the Elastic IPs"
	case "ec2:AttachVolume":
		return "attach"
	case "ec2:DetachVolume":
		return "detach"
	case "ec2:ModifyVolume":
		return "change size and type of"
	case "ec2:CreateTags":
		return "put tags on"
	case "ec2:CreateSnapshot":
		if about("snapshot") {
			return "create"
		}
		return "take snapshots of"
	case "ec2:CreateVolume":
		if about("snapshot") {
			return "make volumes of"
		}
		return "create"
	case "ec2:AssociateAddress":
		if about("elastic-ip") {
			return "take the Elastic IP"
		}
		return "give an Elastic IP to"
	case "ec2:DisassociateAddress":
		if about("elastic-ip") {
			return "return the Elastic IP"
		}
		return "take an Elastic IP from"
	}
	return ""
}

// eachOf is the operator of a key whose values have to be among these, and at
// least one of them there.
const eachOf = "ForAllValues:StringEquals, Null false"

// joinNull makes one condition of the two that say so: one on all values holds
// where there is none.
func joinNull(conditions map[string]map[string]oneOrMore) {
	for key, values := range conditions["ForAllValues:StringEquals"] {
		if strings.Join(conditions["Null"][key], " ") != "false" {
			continue
		}
		if conditions[eachOf] == nil {
			conditions[eachOf] = map[string]oneOrMore{}
		}
		conditions[eachOf][key] = values
		delete(conditions["ForAllValues:StringEquals"], key)
		delete(conditions["Null"], key)
	}
}

// provided is a condition.
func provided(op, key string, values []string) string {
	all := join(values)
	switch op + " " + key + " " + all {
	case "Null s3:if-none-match false":
		return "where there is nothing yet"
	case "Null s3:if-match false":
		return "where it is still what it was when read"
	case "Bool s3:ObjectCreationOperation false":
		return "as parts of an upload"
	case "StringLike s3:prefix " + all:
		return "what begins with " + all
	case "StringLike kms:ViaService " + all:
		return "through " + all
	case "Bool kms:GrantIsForAWSResource true":
		return "for what AWS's services keep"
	case "StringEquals cloudwatch:namespace " + all:
		return "of the namespace " + all
	case "StringLike ec2:Region *":
		return "in any region"
	case "StringLike ec2:Region " + all:
		return "in the region " + all
	case "StringEquals ec2:CreateAction CreateSnapshot":
		return "when a snapshot is created"
	case "StringEquals ec2:CreateAction CreateVolume":
		return "when a volume is created"
	case "Null aws:RequestTag/" + iam.TemporaryKey + " false", "Null aws:ResourceTag/" + iam.TemporaryKey + " false":
		return "marked as temporary"
	case "Null aws:ResourceTag/" + iam.HostKey + " true":
		return "of no host"
	case "StringEquals aws:ResourceTag/" + TagKey + " " + all:
		return "of the deployment " + all
	case "StringEqualsIfExists aws:ResourceTag/" + TagKey + " " + all:
		return "unless a tag says that it is of another deployment than " + all
	case "StringEquals aws:RequestTag/" + TagKey + " " + all:
		return "tagged as of the deployment " + all
	case eachOf + " aws:TagKeys " + all:
		return "none but " + all
	case eachOf + " route53:ChangeResourceRecordSetsNormalizedRecordNames " + all:
		return "none but of the name " + all
	case eachOf + " route53:ChangeResourceRecordSetsRecordTypes " + all:
		return "none but of the types " + all
	}
	return fmt.Sprintf("if %s %s %s", key, op, all)
}
