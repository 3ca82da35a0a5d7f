package iam

import (
	"regexp"
	"strings"
)

// Publish is for sending to an SNS topic.
func Publish(topicARN string) Statement {
	return Statement{Sid: "SendTheReport", Actions: []string{"sns:Publish"}, Resources: []string{topicARN}}
}

// PutMetrics is for writing metrics of one namespace: the service knows no
// resources.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
func PutMetrics(namespace string) Statement {
	return Statement{
		Sid: "PutMetrics", Actions: []string{"cloudwatch:PutMetricData"}, Resources: []string{"*"},
		Conditions: map[string]map[string][]string{"StringEquals": {"cloudwatch:namespace": {namespace}}},
	}
}

// TopicARN is a topic of the place's own.
func TopicARN(name string) string { return "arn:{partition}:sns:{region}:{account}:" + name }

// LeaveGroup is for an instance's end: it terminates itself and lowers the
// group's desired capacity. The group's ARN holds an id that is not known
// before there is a group, so it is named by a pattern.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html
func LeaveGroup(name string) Statement {
	return Statement{
		Sid: "LeaveTheGroup", Actions: []string{"autoscaling:TerminateInstanceInAutoScalingGroup"},
		Resources: []string{"arn:{partition}:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/" + Literal(name)},
	}
}

// ReadParameters is for reading parameters of Systems Manager by their names.
// A SecureString under the account's own key aws/ssm needs no more; one under
// another key needs Decrypt.
// https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
func ReadParameters(names ...string) Statement {
	s := Statement{Sid: "ReadParameters", Actions: []string{"ssm:GetParameter"}}
	for _, n := range names {
		s.Resources = append(s.Resources, "arn:{partition}:ssm:{region}:{account}:parameter/"+strings.TrimPrefix(n, "/"))
	}
	return s
}

// secretSuffix is what Secrets Manager puts behind a secret's name in its ARN.
var secretSuffix = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// ReadSecrets is for reading secrets of Secrets Manager by their names or ARNs.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secrets-manager-arn.html
func ReadSecrets(namesOrARNs ...string) Statement {
	s := Statement{Sid: "ReadSecrets", Actions: []string{"secretsmanager:GetSecretValue"}}
	for _, n := range namesOrARNs {
		switch isARN := strings.HasPrefix(n, "arn:"); {
		case isARN && secretSuffix.MatchString(n):
		case isARN:
			n += "-??????"
		default:
			n = "arn:{partition}:secretsmanager:{region}:{account}:secret:" + n + "-??????"
		}
		s.Resources = append(s.Resources, n)
	}
	return s
}

// Decrypt is for secrets that are encrypted with keys of one's own, through
// the services that keep the secrets ("ssm", "secretsmanager") only.
func Decrypt(keyARNs []string, services ...string) Statement {
	s := Statement{Sid: "DecryptSecrets", Actions: []string{"kms:Decrypt"}, Resources: keyARNs}
	for _, service := range services {
		s.where("StringLike", "kms:ViaService", service+".{region}.{domain}")
	}
	return s
}

// Partition is the one that a region belongs to.
// https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
func Partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	case strings.HasPrefix(region, "eusc-"):
		return "aws-eusc"
	}
	return "aws"
}
