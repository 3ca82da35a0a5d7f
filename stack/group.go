package stack

import (
	"cmp"
	"slices"
)

// group adds the Auto Scaling group. It has no desired capacity, so that no
// update of the stack ends or starts a run. That ReplaceUnhealthy and
// AZRebalance are suspended it cannot say: CloudFormation has no property for
// it, so whoever deploys suspends them after every creation and update.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-autoscaling-autoscalinggroup.html
func (b builder) group() {
	properties := object{
		"AutoScalingGroupName": b.Name,
		"MinSize":              "0", "MaxSize": "1",
		"VPCZoneIdentifier":          b.subnets(),
		"HealthCheckType":            "EC2",
		"CapacityRebalance":          false, // it would launch a second instance beside the first
		"NotificationConfigurations": list{object{"TopicARN": b.topicRef(), "NotificationTypes": b.notices()}},
		"Tags": list{
			object{"Key": TagKey, "Value": b.Name, "PropagateAtLaunch": true},
			object{"Key": "Name", "Value": "mayfly " + b.Name, "PropagateAtLaunch": true},
		},
	}
	if b.Instance.LaunchConfiguration {
		properties["LaunchConfigurationName"] = ref(b.launchConfiguration())
	} else {
		properties["MixedInstancesPolicy"] = object{
			"LaunchTemplate":        b.launchTemplates(),
			"InstancesDistribution": b.distribution(),
		}
	}
	b.add("Group", resource{
		Type: "AWS::AutoScaling::AutoScalingGroup",
		// The sizes that scheduled actions and runs have set are left alone.
		UpdatePolicy: object{"AutoScalingScheduledAction": object{"IgnoreUnmodifiedGroupSizeProperties": true}},
		Properties:   properties,
	})
	b.output(OutputGroup, "The Auto Scaling group", ref("Group"))
}

// distribution is all spot or all on demand; with the fallback it begins as
// spot, and has what on demand needs, too.
func (b builder) distribution() object {
	if b.Instance.OnDemand == OnDemandAlways {
		return object{
			"OnDemandBaseCapacity": 0, "OnDemandPercentageAboveBaseCapacity": 100,
			"OnDemandAllocationStrategy": "lowest-price",
		}
	}
	d := object{
		"OnDemandBaseCapacity": 0, "OnDemandPercentageAboveBaseCapacity": 0,
		"SpotAllocationStrategy": "price-capacity-optimized",
	}
	if b.Instance.OnDemand == OnDemandFallback {
		d["OnDemandAllocationStrategy"] = "lowest-price"
	}
	if b.Instance.MaxPrice > 0 {
		d["SpotMaxPrice"] = price(b.Instance.MaxPrice)
	}
	return d
}

// notices are what the group sends mails about. A launch that fails is the one
// thing that no run can report.
func (b builder) notices() list {
	types := list{"autoscaling:EC2_INSTANCE_LAUNCH_ERROR"}
	if b.Notices {
		types = append(types, "autoscaling:EC2_INSTANCE_LAUNCH",
			"autoscaling:EC2_INSTANCE_TERMINATE", "autoscaling:EC2_INSTANCE_TERMINATE_ERROR")
	}
	return types
}

// subnets are those that instances may be in, in an order of their own: AWS
// lists them in none.
func (b builder) subnets() list {
	var in []Subnet
	for _, s := range b.Network.Subnets {
		if len(b.Network.Zones) == 0 || slices.Contains(b.Network.Zones, s.Zone) {
			in = append(in, s)
		}
	}
	slices.SortFunc(in, func(x, y Subnet) int { return cmp.Or(cmp.Compare(x.Zone, y.Zone), cmp.Compare(x.ID, y.ID)) })
	var ids list
	for _, s := range in {
		ids = append(ids, s.ID)
	}
	return ids
}

// armed is the condition under which anything happens by itself.
const armed = "Armed"

// schedule adds the scheduled actions. Neither sets a minimum: an instance
// cannot leave a group whose minimum is 1.
func (b builder) schedule() {
	if b.Schedule.Start == "" {
		return
	}
	b.t.addParameter(ParameterArmed, object{
		"Type": "String", "Default": "false", "AllowedValues": list{"true", "false"},
		"Description": "Whether the schedule is in force: true once mayfly and its config are in the store",
	})
	b.t.Conditions = object{armed: object{"Fn::Equals": list{ref(ParameterArmed), "true"}}}
	for _, a := range b.Schedule.Actions() {
		properties := object{"AutoScalingGroupName": ref("Group"), "DesiredCapacity": a.Desired, "Recurrence": a.Recurrence}
		if a.Zone != "" {
			properties["TimeZone"] = a.Zone
		}
		r := resource{Type: "AWS::AutoScaling::ScheduledAction", Condition: armed, Properties: properties}
		// Without it both would be made at once: Auto Scaling answers
		// AlreadyExists to the second now and then, and a start could be there
		// before its end. With it the end is made, and updated, before the
		// start, and deleted after it: CloudFormation deletes in the opposite
		// order, whether the whole stack goes, or a stack that is updated loses
		// its schedule.
		// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-dependson.html
		if a.Resource == startAction {
			r.DependsOn = []string{endAction}
		}
		b.add(a.Resource, r)
	}
}

// An Action is a scheduled action of a deployment's group.
type Action struct {
	Resource   string // its name in the template
	Recurrence string // cron's five fields
	Zone       string // IANA name; "" is UTC
	Desired    int    // capacity
}

// Actions are those of a schedule, what ends runs first; none without a start.
func (s Schedule) Actions() []Action {
	if s.Start == "" {
		return nil
	}
	return []Action{
		{Resource: endAction, Recurrence: s.End, Zone: s.zone(), Desired: 0},
		{Resource: startAction, Recurrence: s.Start, Zone: s.zone(), Desired: 1},
	}
}

// zone is the schedule's, "" for UTC: that is AWS's default, and "UTC" is no
// canonical name, which is what Auto Scaling asks for.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-scheduled-scaling.html
func (s Schedule) zone() string {
	if s.Zone == "UTC" || s.Zone == "Etc/UTC" {
		return ""
	}
	return s.Zone
}
