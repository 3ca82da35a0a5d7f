package stack

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// at follows keys and numbers into what json.Unmarshal makes; nil where there
// is nothing.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

// text is v in JSON, for comparing and for messages.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// What holds for every deployment, whatever its template looks like.
func TestEveryTemplate(t *testing.T) {
	t.Parallel()
	for name, o := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := render(t, o)
			p := parse(t, b)
			checkReferences(t, p)
			checkGroup(t, o, p)
			checkLaunch(t, o, p)
			checkSchedules(t, o, p)
			checkKept(t, o, p)
			checkTopic(t, o, p)
			checkFallback(t, o, p)
			for _, never := range []string{"InstanceMarketOptions", "DeleteObject", "AccountId}:root", `"Action":"*"`, `"MinSize": "1"`} {
				if bytes.Contains(b, []byte(never)) {
					t.Errorf("there is %s", never)
				}
			}
		})
	}
}

// Whatever is referred to is there, and nothing conditional is needed by what
// is not.
func checkReferences(t *testing.T, p parsed) {
	t.Helper()
	variable := regexp.MustCompile(`\$\{([A-Za-z0-9:.]+)\}`)
	var walk func(where string, v any)
	named := func(where, name string) {
		r, isResource := p.Resources[name]
		_, isParameter := p.Parameters[name]
		switch {
		case !isResource && !isParameter && !strings.HasPrefix(name, "AWS::"):
			t.Errorf("%s: there is no %s", where, name)
		case r.Condition != "" && p.Resources[where].Condition != r.Condition:
			t.Errorf("%s refers to %s, which is there on a condition only", where, name)
		}
	}
	walk = func(where string, v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(where, e)
			}
		case map[string]any:
			for k, e := range v {
				switch k {
				case "Ref":
					named(where, e.(string))
				case "Fn::GetAtt":
					named(where, at(e, 0).(string))
				case "Fn::Sub":
					for _, m := range variable.FindAllStringSubmatch(e.(string), -1) {
						named(where, m[1])
					}
				case "Fn::FindInMap":
					if at(p.Mappings, at(e, 0), at(e, 1), at(e, 2)) == nil {
						t.Errorf("%s: there is no %s", where, text(e))
					}
				default:
					walk(where, e)
				}
			}
		}
	}
	for name, r := range p.Resources {
		walk(name, r.Properties)
		for _, d := range r.DependsOn {
			named(name, d)
		}
		if r.Condition != "" && p.Conditions[r.Condition] == nil {
			t.Errorf("%s: there is no condition %s", name, r.Condition)
		}
	}
	for name, o := range p.Outputs {
		walk(name, o)
	}
	for name, c := range p.Conditions {
		walk(name, c)
	}
	for name, r := range p.Resources {
		if r.Type != "AWS::StepFunctions::StateMachine" {
			continue
		}
		for _, m := range variable.FindAllStringSubmatch(text(r.Properties["Definition"]), -1) {
			if at(r.Properties, "DefinitionSubstitutions", m[1]) == nil {
				t.Errorf("%s: there is no %s", name, m[1])
			}
		}
	}
}

func checkGroup(t *testing.T, o Options, p parsed) {
	t.Helper()
	g := p.Resources["Group"]
	if at(g.UpdatePolicy, "AutoScalingScheduledAction", "IgnoreUnmodifiedGroupSizeProperties") != true {
		t.Error("an update of the stack sets sizes in mid-run")
	}
	if g.Properties["MinSize"] != "0" || g.Properties["MaxSize"] != "1" || g.Properties["DesiredCapacity"] != nil {
		t.Errorf("sizes: %s", text(g.Properties))
	}
	if g.Properties["AutoScalingGroupName"] != o.Name {
		t.Errorf("the group is called %v", g.Properties["AutoScalingGroupName"])
	}
	notices := text(at(g.Properties, "NotificationConfigurations", 0, "NotificationTypes"))
	if !strings.Contains(notices, "autoscaling:EC2_INSTANCE_LAUNCH_ERROR") || strings.Contains(notices, "EC2_INSTANCE_TERMINATE") != o.Notices {
		t.Errorf("notices: %s", notices)
	}
	d := at(g.Properties, "MixedInstancesPolicy", "InstancesDistribution")
	switch {
	case o.Instance.LaunchConfiguration:
		if d != nil || g.Properties["LaunchConfigurationName"] == nil {
			t.Error("no launch configuration")
		}
	case o.Instance.OnDemand == OnDemandAlways:
		if at(d, "OnDemandPercentageAboveBaseCapacity") != 100.0 || at(d, "SpotMaxPrice") != nil {
			t.Errorf("on demand: %s", text(d))
		}
	default:
		if at(d, "OnDemandBaseCapacity") != 0.0 || at(d, "OnDemandPercentageAboveBaseCapacity") != 0.0 || at(d, "SpotAllocationStrategy") != "price-capacity-optimized" {
			t.Errorf("spot: %s", text(d))
		}
	}
	if zones := o.Network.Zones; len(zones) > 0 && len(g.Properties["VPCZoneIdentifier"].([]any)) != len(zones) {
		t.Errorf("subnets: %s", text(g.Properties["VPCZoneIdentifier"]))
	}
}

func checkLaunch(t *testing.T, o Options, p parsed) {
	t.Helper()
	found := 0
	for name, r := range p.Resources {
		var data any = r.Properties
		switch r.Type {
		case "AWS::EC2::LaunchTemplate":
			data = r.Properties["LaunchTemplateData"]
			if at(data, "InstanceInitiatedShutdownBehavior") != "terminate" {
				t.Errorf("%s: a power-off does not terminate", name)
			}
			// c7g.medium and m7a.medium have no credits, and a specification
			// of them would be refused.
			if steady := strings.HasSuffix(name, "Steady"); steady != (at(data, "CreditSpecification") == nil) ||
				!steady && at(data, "CreditSpecification", "CpuCredits") != "standard" {
				t.Errorf("%s: credits %s", name, text(at(data, "CreditSpecification")))
			}
		case "AWS::AutoScaling::LaunchConfiguration":
		default:
			continue
		}
		found++
		if at(data, "MetadataOptions", "HttpTokens") != "required" || at(data, "MetadataOptions", "HttpPutResponseHopLimit") != 1.0 {
			t.Errorf("%s: metadata %s", name, text(at(data, "MetadataOptions")))
		}
		ebs := at(data, "BlockDeviceMappings", 0, "Ebs")
		if at(ebs, "Encrypted") != true || at(ebs, "VolumeType") != "gp3" || at(ebs, "DeleteOnTermination") != true {
			t.Errorf("%s: root volume %s", name, text(ebs))
		}
	}
	archs := map[launchKind]bool{}
	for _, ty := range o.Instance.Types {
		archs[ty.kind()] = true
	}
	if found != len(archs) {
		t.Errorf("%d launch templates for %d kinds of types", found, len(archs))
	}
	if in := p.Resources["SecurityGroup"].Properties["SecurityGroupIngress"]; (in == nil) != (len(o.Network.Ingress) == 0) {
		t.Errorf("ingress: %s", text(in))
	}
}

// Nothing happens by itself unless armed.
func checkSchedules(t *testing.T, o Options, p parsed) {
	t.Helper()
	count := map[string]int{}
	for name, r := range p.Resources {
		if r.Type != "AWS::AutoScaling::ScheduledAction" && r.Type != "AWS::Scheduler::Schedule" {
			continue
		}
		count[r.Type]++
		if r.Condition != ParameterArmed {
			t.Errorf("%s is there on the condition %q", name, r.Condition)
		}
		if r.Properties["MinSize"] != nil || r.Properties["MaxSize"] != nil {
			t.Errorf("%s sets more than the desired capacity", name)
		}
	}
	scheduled := o.Schedule.Start != ""
	if (count["AWS::AutoScaling::ScheduledAction"] == 2) != scheduled || (p.Parameters[ParameterArmed] != nil) != scheduled {
		t.Errorf("%d scheduled actions", count["AWS::AutoScaling::ScheduledAction"])
	}
	if checked := scheduled && !o.SkipMissedRuns; (count["AWS::Scheduler::Schedule"] > 0) != checked || (p.Outputs[OutputMissedRuns] != nil) != checked {
		t.Errorf("%d checks for missed runs", count["AWS::Scheduler::Schedule"])
	}
}

// What is kept when everything else goes.
func checkKept(t *testing.T, o Options, p parsed) {
	t.Helper()
	for name, r := range p.Resources {
		kept := r.Type == "AWS::S3::Bucket" || r.Type == "AWS::S3::BucketPolicy"
		if kept && !o.Bucket.Create {
			t.Errorf("%s is about a bucket that was there before", name)
		}
		if want := map[bool]string{true: "Retain"}[kept]; r.DeletionPolicy != want || r.UpdateReplacePolicy != want {
			t.Errorf("%s: deletion %q, replacement %q", name, r.DeletionPolicy, r.UpdateReplacePolicy)
		}
	}
	if !o.Bucket.Create {
		return
	}
	b := p.Resources["Bucket"].Properties
	if at(b, "VersioningConfiguration", "Status") != "Enabled" || strings.Count(text(at(b, "PublicAccessBlockConfiguration")), "true") != 4 ||
		at(b, "LifecycleConfiguration", "Rules", 0, "AbortIncompleteMultipartUpload", "DaysAfterInitiation") != 7.0 ||
		at(b, "LifecycleConfiguration", "Rules", 1, "NoncurrentVersionExpiration", "NoncurrentDays") != 30.0 {
		t.Errorf("bucket: %s", text(b))
	}
	if s := at(p.Resources["BucketPolicy"].Properties, "PolicyDocument", "Statement", 0); at(s, "Effect") != "Deny" || at(s, "Condition", "Bool", "aws:SecureTransport") != "false" {
		t.Errorf("bucket policy: %s", text(s))
	}
}

func checkTopic(t *testing.T, o Options, p parsed) {
	t.Helper()
	if own := o.Topic.ARN != ""; own != (p.Resources["Topic"].Type == "") || own != (p.Resources["TopicPolicy"].Type == "") {
		t.Error("one's own topic is in the template")
	}
	if o.Topic.ARN != "" {
		return
	}
	if topic := p.Resources["Topic"].Properties; topic["TopicName"] != o.Name || len(topic["Subscription"].([]any)) != len(o.Topic.Emails) {
		t.Errorf("topic: %s", text(topic))
	}
	statements := at(p.Resources["TopicPolicy"].Properties, "PolicyDocument", "Statement").([]any)
	var services []string
	for _, s := range statements {
		services = append(services, at(s, "Principal", "Service").(string))
		if text(at(s, "Condition", "StringEquals", "aws:SourceAccount")) != `{"Ref":"AWS::AccountId"}` {
			t.Errorf("other accounts may send: %s", text(s))
		}
	}
	if want := []string{"budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com"}; !slices.Equal(services, want) {
		t.Errorf("the topic admits %q, want %q", services, want)
	}
}
