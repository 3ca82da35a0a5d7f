package stack

import (
	"strings"

	"mayfly/iam"
)

// fallback adds what buys a run on demand when spot has failed: a rule for the
// group's failed launches, and the state machine that each of them starts. It
// has neither code nor anything that costs while it waits for one. It is there
// on no condition: a run that somebody starts by hand falls back, too.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html
func (b builder) fallback() {
	if b.Instance.OnDemand != OnDemandFallback {
		return
	}
	b.machine("Fallback", "Buys runs of the mayfly deployment "+b.Name+" on demand when spot fails", b.fallbackMachine(),
		object{"Group": ref("Group"), "Topic": b.topicRef(), "Region": ref("AWS::Region")},
		b.fallbackStatements()...)
	b.starter("Fallback", "Starts the fallback of the mayfly deployment "+b.Name, "StartTheFallback",
		trust("events.amazonaws.com", "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/*"))
	b.add("FallbackRule", resource{Type: "AWS::Events::Rule", Properties: object{
		"Description": "Failed launches of the mayfly deployment " + b.Name,
		"EventPattern": object{
			"source": list{"aws.autoscaling"}, "detail-type": list{"EC2 Instance Launch Unsuccessful"},
			"detail": object{"AutoScalingGroupName": list{ref("Group")}},
		},
		"State":   "ENABLED",
		"Targets": list{object{"Id": "Fallback", "Arn": ref("Fallback"), "RoleArn": attribute("Arn", "FallbackStartRole")}},
		"Tags":    b.tags(),
	}})
}

// fallbackStatements allow what the machine calls, and what Auto Scaling checks
// of whoever updates a group with launch templates: that they might launch from
// these, with what these say of tags, role and image.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
func (b builder) fallbackStatements() []any {
	statements := []any{
		object{"Sid": "LookAtTheGroup", "Effect": "Allow", "Action": "autoscaling:DescribeAutoScalingGroups", "Resource": "*"},
		object{
			"Sid": "ChangeTheGroup", "Effect": "Allow", "Action": "autoscaling:UpdateAutoScalingGroup",
			"Resource": sub("arn:${AWS::Partition}:autoscaling:${AWS::Region}:${AWS::AccountId}:autoScalingGroup:*:autoScalingGroupName/" + b.Name),
		},
		object{"Sid": "SendWhatFellBack", "Effect": "Allow", "Action": "sns:Publish", "Resource": b.topicRef()},
	}
	var templates, parameters list
	for _, k := range b.Instance.kinds() {
		templates = append(templates, sub("arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:launch-template/${"+k.name()+"}"))
	}
	for _, path := range b.imageParameters() {
		// The account of a public parameter is empty.
		parameters = append(parameters, sub("arn:${AWS::Partition}:ssm:${AWS::Region}:*:parameter"+iam.Literal(path)))
	}
	statements = append(statements,
		object{
			"Sid": "LaunchFromTheTemplates", "Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*",
			"Condition": object{"ArnLike": object{"ec2:LaunchTemplate": templates}},
		},
		object{
			"Sid": "TagWhatIsLaunched", "Effect": "Allow", "Action": "ec2:CreateTags",
			"Resource":  sub("arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:*/*"),
			"Condition": object{"StringEquals": object{"ec2:CreateAction": "RunInstances"}},
		},
		object{
			"Sid": "GiveInstancesTheirRole", "Effect": "Allow", "Action": "iam:PassRole", "Resource": attribute("Arn", "Role"),
			"Condition": object{"StringEquals": object{"iam:PassedToService": iam.InstanceService(iam.Partition(b.Region))}},
		},
	)
	if len(parameters) > 0 {
		statements = append(statements, object{"Sid": "FindTheImage", "Effect": "Allow", "Action": "ssm:GetParameters", "Resource": parameters})
	}
	return statements
}

// imageParameters are the names of the parameters that images come from,
// without the versions or labels there may be behind them.
func (b builder) imageParameters() (paths []string) {
	seen := map[string]bool{}
	for _, k := range b.Instance.kinds() {
		path, ok := strings.CutPrefix(b.Instance.image(k.arch).ID, resolveSSM)
		path, _, _ = strings.Cut(path, ":")
		if ok && !seen[path] {
			seen[path] = true
			paths = append(paths, path)
		}
	}
	return paths
}
