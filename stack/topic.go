package stack

// topic adds the topic with its subscriptions. Its subscriptions are part of
// the topic, so that an address that is taken out of the config is taken out
// of the topic. It is not encrypted: services cannot send to a topic under the
// key aws/sns.
// https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
func (b builder) topic() {
	b.output(OutputTopic, "Where reports are sent", b.topicRef())
	if b.Topic.ARN != "" {
		return
	}
	var subscriptions list
	for _, e := range b.Topic.Emails {
		subscriptions = append(subscriptions, object{"Protocol": "email", "Endpoint": e})
	}
	b.add("Topic", resource{Type: "AWS::SNS::Topic", Properties: object{
		"TopicName": b.Name, "Subscription": subscriptions, "Tags": b.tags(),
	}})
	b.add("TopicPolicy", resource{Type: "AWS::SNS::TopicPolicy", Properties: object{
		"Topics": list{ref("Topic")},
		// It takes the place of the default policy, so it admits what people
		// point at such a topic by hand too, of this account only. Auto
		// Scaling, the instances and the state machines send under roles of
		// the account, which their own policies allow. EventBridge is said to
		// send nothing where there are conditions; then its rule needs a role
		// that may, for without conditions everybody's rules could.
		// https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
		// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
		"PolicyDocument": policyDocument(
			b.admit("Budgets", "budgets.amazonaws.com", "arn:${AWS::Partition}:budgets::${AWS::AccountId}:*"),
			b.admit("Alarms", "cloudwatch.amazonaws.com", "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:*"),
			b.admit("Events", "events.amazonaws.com", "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/*"),
		),
	}})
}

// admit lets a service send to the topic, on behalf of the account's own.
func (b builder) admit(sid, service, source string) object {
	return object{
		"Sid": sid, "Effect": "Allow", "Principal": object{"Service": service},
		"Action": "sns:Publish", "Resource": ref("Topic"),
		"Condition": object{
			"StringEquals": object{"aws:SourceAccount": account()},
			"ArnLike":      object{"aws:SourceArn": sub(source)},
		},
	}
}

// topicRef is the topic's ARN.
func (b builder) topicRef() any {
	if b.Topic.ARN != "" {
		return b.Topic.ARN
	}
	return ref("Topic")
}
