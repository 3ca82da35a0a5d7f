package stack

import (
	"strings"
	"testing"
	"time"
)

// checkFallback holds what a fallback changes against the group it is for.
func checkFallback(t *testing.T, o Options, p parsed) {
	t.Helper()
	falls := o.Instance.OnDemand == OnDemandFallback
	for _, name := range []string{"Fallback", "FallbackRole", "FallbackRule", "FallbackStartRole"} {
		r, there := p.Resources[name]
		if there != falls {
			t.Errorf("%s: there %v", name, there)
		}
		if r.Condition != "" {
			t.Errorf("%s is there only on the condition %s: a run by hand would not fall back", name, r.Condition)
		}
	}
	if !falls {
		return
	}
	if got := text(at(p.Resources["FallbackRule"].Properties, "EventPattern")); got !=
		`{"detail":{"AutoScalingGroupName":[{"Ref":"Group"}]},"detail-type":["EC2 Instance Launch Unsuccessful"],"source":["aws.autoscaling"]}` {
		t.Errorf("it waits for %s", got)
	}
	states := at(p.Resources["Fallback"].Properties, "Definition", "States")
	spot, _ := at(p.Resources["Group"].Properties, "MixedInstancesPolicy", "InstancesDistribution").(map[string]any)
	for state, percent := range map[string]float64{"BuyOnDemand": 100, "BuySpot": 0} {
		policy := at(states, state, "Arguments", "MixedInstancesPolicy")
		d, _ := at(policy, "InstancesDistribution").(map[string]any)
		if d["OnDemandPercentageAboveBaseCapacity"] != percent || at(policy, "LaunchTemplate") != nil {
			t.Errorf("%s: %s", state, text(policy))
		}
		d["OnDemandPercentageAboveBaseCapacity"] = spot["OnDemandPercentageAboveBaseCapacity"]
		if text(d) != text(spot) || d["OnDemandAllocationStrategy"] == nil || d["SpotAllocationStrategy"] == nil {
			t.Errorf("%s: %s, the group has %s", state, text(d), text(spot))
		}
		if at(states, state, "Retry") != nil {
			t.Errorf("%s is tried again without a look", state)
		}
	}
	checkFallbackRole(t, o, p)
}

// checkFallbackRole: nothing of others, and nothing to launch but the
// deployment's own.
func checkFallbackRole(t *testing.T, o Options, p parsed) {
	t.Helper()
	statements := at(p.Resources["FallbackRole"].Properties, "Policies", 0, "PolicyDocument", "Statement").([]any)
	var open []string
	conditions := map[string]string{}
	for _, s := range statements {
		action := at(s, "Action").(string)
		conditions[action] = text(at(s, "Condition"))
		if at(s, "Resource") == "*" {
			open = append(open, action)
		}
	}
	if strings.Join(open, " ") != "autoscaling:DescribeAutoScalingGroups ec2:RunInstances" {
		t.Errorf("on everything: %q", open)
	}
	templates := 0
	for name, r := range p.Resources {
		if r.Type == "AWS::EC2::LaunchTemplate" {
			templates++
			if !strings.Contains(conditions["ec2:RunInstances"], "launch-template/${"+name+"}") {
				t.Errorf("it may not use %s: %s", name, conditions["ec2:RunInstances"])
			}
		}
	}
	if got := strings.Count(conditions["ec2:RunInstances"], "launch-template/"); got != templates || strings.Contains(conditions["ec2:RunInstances"], "launch-template/*") {
		t.Errorf("it may launch by %s", conditions["ec2:RunInstances"])
	}
	if conditions["iam:PassRole"] != `{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}` || conditions["ec2:CreateTags"] != `{"StringEquals":{"ec2:CreateAction":"RunInstances"}}` {
		t.Errorf("conditions: %v", conditions)
	}
	if _, reads := conditions["ssm:GetParameters"]; reads != (len(builder{Options: o}.imageParameters()) > 0) {
		t.Errorf("it reads images' parameters: %v", reads)
	}
}

// The longest that a run takes, and some, is looked at often enough, and never
// more often than an execution can.
func TestFallbackLooks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		start, zone string
		deadline    time.Duration
		every       time.Duration
		looks       int
	}{
		{"0 17 * * FRI", "UTC", 2 * time.Hour, 5 * time.Minute, 39},           // 3 h 15 min
		{"0 17 * * FRI", "Europe/Berlin", 2 * time.Hour, 5 * time.Minute, 39}, // clocks change at night
		{"0 1 * * SUN", "Europe/Berlin", 2 * time.Hour, 5 * time.Minute, 63},  // an hour more for each change
		{"0 1 1 * *", "UTC", 20 * 24 * time.Hour, 14 * time.Minute, 2063},     // of a month
		{"", "", 0, 5 * time.Minute, 2028},                                    // a week and an hour
	} {
		o := minimal()
		o.Schedule = Schedule{}
		if tt.start != "" {
			var err error
			if o.Schedule, err = NewSchedule(tt.start, tt.zone, tt.deadline, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
				t.Fatal(err)
			}
		}
		every, looks := builder{Options: o}.fallbackLooks()
		if every != tt.every || looks != tt.looks || looks > mostLooks {
			t.Errorf("%+v: got %s, %d", tt, every, looks)
		}
	}
}

// Whoever deploys to China passes the role to China's service.
func TestFallbackElsewhere(t *testing.T) {
	t.Parallel()
	o := minimal()
	o.Region, o.Instance.OnDemand = "cn-north-1", OnDemandFallback
	if b := string(render(t, o)); !strings.Contains(b, `"iam:PassedToService": "ec2.amazonaws.com.cn"`) || !strings.Contains(b, `"arn:aws-cn:states:::aws-sdk:autoscaling:updateAutoScalingGroup"`) {
		t.Error("it is not of the region's partition")
	}
}
