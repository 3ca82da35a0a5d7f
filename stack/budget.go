package stack

// budget adds one for the account, with warnings at 80 and 100 % of it, and
// when more is to be expected. It has no name of its own: its warnings cannot
// be changed without a new budget, and a name can be used only once.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-budgets-budget.html
func (b builder) budget() {
	if b.Budget.USD == 0 {
		return
	}
	var subscribers list
	for _, e := range b.Budget.Emails {
		subscribers = append(subscribers, object{"SubscriptionType": "EMAIL", "Address": e})
	}
	if len(subscribers) == 0 {
		subscribers = list{object{"SubscriptionType": "SNS", "Address": b.topicRef()}}
	}
	warning := func(kind string, percent int) object {
		return object{
			"Notification": object{
				"NotificationType": kind, "ComparisonOperator": "GREATER_THAN",
				"Threshold": percent, "ThresholdType": "PERCENTAGE",
			},
			"Subscribers": subscribers,
		}
	}
	r := resource{Type: "AWS::Budgets::Budget", Properties: object{
		"Budget": object{
			"BudgetType": "COST", "TimeUnit": "MONTHLY",
			"BudgetLimit": object{"Amount": b.Budget.USD, "Unit": "USD"},
		},
		"NotificationsWithSubscribers": list{warning("ACTUAL", 80), warning("ACTUAL", 100), warning("FORECASTED", 100)},
		"ResourceTags":                 b.tags(),
	}}
	if b.Topic.ARN == "" && len(b.Budget.Emails) == 0 {
		r.DependsOn = []string{"TopicPolicy"} // Budgets tries the topic at once
	}
	b.add("Budget", r)
}

// recycleBin adds the rule that keeps the deployment's deleted snapshots.
// https://docs.aws.amazon.com/ebs/latest/userguide/recycle-bin.html
func (b builder) recycleBin() {
	if b.RecycleBin == 0 {
		return
	}
	b.add("RecycleBin", resource{Type: "AWS::Rbin::Rule", Properties: object{
		"Description":     "Deleted snapshots of the mayfly deployment " + b.Name,
		"ResourceType":    "EBS_SNAPSHOT",
		"RetentionPeriod": object{"RetentionPeriodUnit": "DAYS", "RetentionPeriodValue": b.RecycleBin},
		"ResourceTags":    list{object{"ResourceTagKey": TagKey, "ResourceTagValue": b.Name}},
		"Tags":            b.tags(),
	}})
}
