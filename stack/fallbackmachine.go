package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

const (
	// patience is how long the group may go on with spot after a failed launch:
	// it tries the other Availability Zones by itself.
	patience = 2 * time.Minute
	// lookEvery is how often the group is looked at while a run is at work, and
	// mostLooks how often at most: an execution may have 25,000 events, and a
	// look with all around it has nine.
	// https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
	lookEvery = 5 * time.Minute
	mostLooks = 2200
	// fallbackMargin is how much longer than the longest run is waited for one.
	fallbackMargin = time.Hour
	// unscheduled is for how long a run is waited for where no schedule says
	// when it ends.
	unscheduled = 7 * 24 * time.Hour
	// mostFailures is how often one execution may fail to look or to change
	// before it gives up: some minutes before the run, an hour after it.
	mostFailures = 12
)

// fallbackMachine is the state machine. After a failed launch it waits a
// little, and if a run is wanted and there is still no instance, it makes the
// group buy on demand; the group goes on trying by itself. When the run is over
// it makes the group buy spot again, and never before: a group whose share
// changes replaces the instance it has. For the same reason every change comes
// right after a look, and nothing is tried again without one.
//
// Every failed launch starts an execution. Those that find that the group buys
// on demand already leave the rest to the one which did that. Two that do it at
// the same moment both wait and both change it back, which comes to the same.
// looks is 0 until an execution has had to do with a group that buys on demand.
func (b builder) fallbackMachine() object {
	every, looks := b.fallbackLooks()
	tell := b.mail("no spot instance, this run is bought on demand",
		`"A spot instance could not be launched:\n\n  " & $why & "\n\n`+
			`So this run is bought at the on-demand price, and the next one on the spot market again. There is nothing to do; `+
			`more instance types and Availability Zones in the config make it rarer.\n\nWhat is there:  mayfly status\n"`)
	delete(tell, "End") // a mail that cannot be sent must not keep it from going back to spot
	tell["Catch"], tell["Next"] = list{object{"ErrorEquals": list{"States.ALL"}, "Next": "Wait"}}, "Wait"
	return object{
		"Comment":       "Buys a run of the mayfly deployment " + b.Name + " on demand after a launch that failed",
		"QueryLanguage": "JSONata", "StartAt": "Patience",
		"States": object{
			"Patience": assigning(wait(patience, "Look"), object{
				"failures": 0, "looks": 0, "problem": "", "why": jsonata(`"" & $states.input.detail.StatusMessage`),
			}),
			"Look": b.look(),
			"Decide": choice("Wait",
				when("Wait", "$looks = 0 and $failures > 0 and $states.input.onDemand"), // a change that came about all the same
				when("Done", "$looks = 0 and ($not($states.input.wanted) or $states.input.instances > 0 or $states.input.onDemand)"),
				when("BuyOnDemand", "$looks = 0"),
				when("BuySpot", "$states.input.instances = 0 and ($not($states.input.wanted) or $looks >= %d)", looks),
				assigning(when("Stuck", "$looks >= %d", looks), object{
					"problem": fmt.Sprintf("it has had an instance for %s, longer than a run takes; a change would replace that one", spell(every*time.Duration(looks))),
				})),
			"BuyOnDemand": b.change(100, "Tell"),
			"Tell":        tell,
			"Wait":        assigning(wait(every, "Look"), object{"looks": jsonata("$looks + 1")}),
			"BuySpot":     b.change(0, "Done"),
			"Done":        object{"Type": "Succeed"},
			"Failed": choice("Wait",
				when("LookSoon", "$looks = 0 and $failures < %d", mostFailures),
				when("CannotFallBack", "$looks = 0"),
				when("Stuck", "$failures >= %d", mostFailures)),
			"LookSoon": wait(time.Minute, "Look"),
			"CannotFallBack": b.mail("this run cannot be bought on demand",
				`"A spot instance could not be launched:\n\n  " & $why & "\n\nand the group could not be looked at, or changed to on demand:\n\n  " & $problem & "\n\n`+
					`It goes on trying on the spot market until the end of the run. If access was denied, somebody has changed the role for it, `+
					`or a policy of the organization forbids it.\n\nWhat is there:  mayfly status\nRun it again:   mayfly start\n"`),
			"Stuck": b.mail("every run is bought on demand now",
				`"A run was bought on demand, and the group was not changed back to spot:\n\n  " & $problem & "\n\n`+
					`What is there:  mayfly status\n\nOnce there is no instance any more, this changes it back:\n\n  " & `+b.backToSpot()),
		},
	}
}

func wait(d time.Duration, next string) object {
	return object{"Type": "Wait", "Seconds": int(d.Seconds()), "Next": next}
}

func choice(otherwise string, choices ...any) object {
	return object{"Type": "Choice", "Choices": list(choices), "Default": otherwise}
}

func when(next, condition string, args ...any) object {
	return object{"Condition": jsonata(condition, args...), "Next": next}
}

// assigning is a state, or a choice, that also sets variables.
func assigning(state, variables object) object {
	state["Assign"] = variables
	return state
}

// look is a state that describes the group: whether it wants an instance, how
// many it has, of whatever state, and whether it buys on demand. A group that
// is gone wants none.
func (b builder) look() object {
	return object{
		"Type": "Task", "Resource": b.integration("aws-sdk:autoscaling:describeAutoScalingGroups"),
		"Arguments": object{"AutoScalingGroupNames": list{"${Group}"}},
		"Output": jsonata(`( $groups := $states.result.AutoScalingGroups; {` +
			`"wanted": $count($groups[DesiredCapacity > 0]) > 0, "instances": $count($groups.Instances), ` +
			`"onDemand": $count($groups[MixedInstancesPolicy.InstancesDistribution.OnDemandPercentageAboveBaseCapacity = 100]) > 0 } )`),
		"Catch": failed(), "Next": "Decide",
	}
}

// change is a state that makes the group buy so many percent on demand. Every
// field of the distribution is given, since those left out may get their
// defaults; the launch templates may be left out of an update.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_MixedInstancesPolicy.html
func (b builder) change(percent int, next string) object {
	return object{
		"Type": "Task", "Resource": b.integration("aws-sdk:autoscaling:updateAutoScalingGroup"),
		"Arguments": object{
			"AutoScalingGroupName": "${Group}",
			"MixedInstancesPolicy": object{"InstancesDistribution": b.share(percent)},
		},
		"Catch": failed(), "Next": next,
	}
}

// failed takes what fails to the state that decides when to look again.
func failed() list {
	return list{object{"ErrorEquals": list{"States.ALL"}, "Next": "Failed", "Assign": object{
		"failures": jsonata("$failures + 1"),
		"problem":  jsonata(`$states.errorOutput.Error & ": " & $states.errorOutput.Cause`),
	}}}
}

// share is the distribution with so many percent on demand.
func (b builder) share(percent int) object {
	d := maps.Clone(b.distribution())
	d["OnDemandPercentageAboveBaseCapacity"] = percent
	return d
}

// backToSpot is the command that makes the group buy spot again, as an
// expression.
func (b builder) backToSpot() string {
	policy, err := json.Marshal(object{"InstancesDistribution": b.share(0)})
	if err != nil {
		panic("stack: " + err.Error()) // numbers and strings
	}
	return quote(fmt.Sprintf("aws autoscaling update-auto-scaling-group --region ${Region} --auto-scaling-group-name ${Group} --mixed-instances-policy '%s'\n", policy))
}

// fallbackLooks is how often the group is looked at after it was changed, and
// how many looks are the longest that a run takes.
func (b builder) fallbackLooks() (every time.Duration, looks int) {
	longest := unscheduled
	if b.Schedule.Start != "" {
		longest = b.startBefore()
	}
	longest += fallbackMargin
	every = max(lookEvery, (longest/mostLooks + time.Minute).Truncate(time.Minute))
	return every, int((longest + every - 1) / every)
}
