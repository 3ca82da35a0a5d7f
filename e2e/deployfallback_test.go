//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestDeployFallback deploys what falls back to on demand under the deployer's
// policy, and takes it out again.
func TestDeployFallback(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	with := `instance: {types: [t3.nano, t3.micro], max_price: 0.02, on_demand: fallback}`
	config := l.deployment("falls", with)
	r := l.do("plan", "-c", config, "--binaries", l.binaries)
	has(t, "the plan", r.out, "one spot or else on-demand instance at a time", "buys a run on demand when no spot instance could be launched",
		"FallbackRole, FallbackRule, FallbackStartRole", "fallback to on demand")
	l.deploy("falls", config)
	l.whole("falls")
	out, _, _ := l.outputs("falls")

	var rules struct {
		Rules []struct{ Name, EventPattern, State string }
	}
	l.answer(&rules, "events", "list-rules")
	if len(rules.Rules) != 1 || rules.Rules[0].State != "ENABLED" {
		t.Fatalf("rules: %+v", rules)
	}
	var pattern struct {
		Detail struct{ AutoScalingGroupName []string }
	}
	if err := json.Unmarshal([]byte(rules.Rules[0].EventPattern), &pattern); err != nil || len(pattern.Detail.AutoScalingGroupName) != 1 || pattern.Detail.AutoScalingGroupName[0] != out["GroupName"] {
		t.Errorf("it waits for %s: %v", rules.Rules[0].EventPattern, err)
	}
	var targets struct {
		Targets []struct{ Arn, RoleArn string }
	}
	l.answer(&targets, "events", "list-targets-by-rule", "--rule", rules.Rules[0].Name)
	if len(targets.Targets) != 1 || !strings.Contains(targets.Targets[0].RoleArn, ":role/") {
		t.Fatalf("targets: %+v", targets)
	}
	// moto takes no definition that is an object, so that there is a machine is
	// all that it can say.
	l.aws("stepfunctions", "describe-state-machine", "--state-machine-arn", targets.Targets[0].Arn)
	r = l.do("plan", "-c", config, "--binaries", l.binaries)
	has(t, "the plan, again", r.out, "Changes nothing of the stack falls")

	// Without it, nothing of it stays.
	config = l.deployment("falls")
	r = l.do("deploy", "--yes", "-c", config, "--binaries", l.binaries)
	if r.code != 0 {
		t.Fatalf("deploy without: %s", r)
	}
	l.whole("falls")
	resources := string(l.aws("cloudformation", "list-stack-resources", "--stack-name", "falls", "--output", "text"))
	if strings.Contains(resources, "Fallback") {
		t.Errorf("it has stayed: %s", resources)
	}
	if r = l.do("destroy", "--yes", "-c", config); r.code != 0 {
		t.Errorf("destroy: %s", r)
	}
}
