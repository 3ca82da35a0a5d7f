package stack

import (
	"fmt"
	"time"

	"mayfly/iam"
)

// settle is how long after the end action the store is looked at: an instance
// that the end action has taken still says what it did.
const settle = 10 * time.Minute

// noSuchKey is the name that a state machine has for an object that is not
// there. https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
const noSuchKey = "S3.NoSuchKeyException"

// missedRuns adds the check for runs that never happened: a schedule at the
// time of the end action that starts a small state machine. It lists the runs
// in the store that began since the start on instances of this deployment, for
// others may share the store, and whether one has reported. If none has, it
// says so to the topic; and also when it could not look. It has neither code
// nor anything that costs while it waits. While it looks, and for settle
// before, a stack that is deleted waits for it.
func (b builder) missedRuns() {
	if b.Schedule.Start == "" || b.SkipMissedRuns {
		return
	}
	b.machine("MissedRuns", "Looks for missed runs of the mayfly deployment "+b.Name, b.missedRunsMachine(),
		object{"Bucket": b.bucketRef(), "Topic": b.topicRef()},
		object{
			"Sid": "ListRuns", "Effect": "Allow", "Action": "s3:ListBucket",
			"Resource":  sub("arn:${AWS::Partition}:s3:::" + b.Bucket.Name),
			"Condition": object{"StringLike": object{"s3:prefix": iam.Literal(b.inBucket("runs/")) + "*"}},
		},
		object{
			"Sid": "SeeWhoseTheyAre", "Effect": "Allow", "Action": "s3:GetObject",
			"Resource": sub("arn:${AWS::Partition}:s3:::" + b.Bucket.Name + "/" + iam.Literal(b.inBucket("runs/")) + "*/started.json"),
		},
		object{"Sid": "SendWhatWasMissed", "Effect": "Allow", "Action": "sns:Publish", "Resource": b.topicRef()},
	)
	b.output(OutputMissedRuns, "What looks for runs that never happened", ref("MissedRuns"))
	b.starter("MissedRuns", "Starts the check for missed runs of the mayfly deployment "+b.Name, "StartTheCheck",
		trust("scheduler.amazonaws.com", "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule-group/default"))
	for i, cron := range schedulerCrons(b.Schedule.End) {
		name := "MissedRunsSchedule"
		if i > 0 {
			name += fmt.Sprint(i + 1)
		}
		properties := object{
			"Description":        "Looks whether the mayfly deployment " + b.Name + " has run",
			"ScheduleExpression": cron,
			"FlexibleTimeWindow": object{"Mode": "OFF"},
			"Target": object{
				"Arn": ref("MissedRuns"), "RoleArn": attribute("Arn", "MissedRunsStartRole"),
				"Input": `{"scheduled":"<aws.scheduler.scheduled-time>"}`,
			},
		}
		if zone := b.Schedule.zone(); zone != "" {
			properties["ScheduleExpressionTimezone"] = zone
		}
		b.add(name, resource{Type: "AWS::Scheduler::Schedule", Condition: armed, Properties: properties})
	}
}

// schedulerCrons is a time that comes again, as EventBridge Scheduler takes
// it: six fields with a year, and ? in one of the two kinds of days. When a day
// of the month will do, and a day of the week too, it takes two of them, and a
// day that is both has the check twice.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
func schedulerCrons(five string) []string {
	c, err := parseCron(five)
	if err != nil {
		panic("stack: " + err.Error()) // check has seen it
	}
	field := func(i int) string {
		if c.full(i) {
			return "*"
		}
		return write(i, c.set[i], true)
	}
	expression := func(dom, dow string) string {
		return fmt.Sprintf("cron(%s %s %s %s %s *)", field(minute), field(hour), dom, field(month), dow)
	}
	switch {
	case c.either() && !c.full(dom) && !c.full(dow):
		return []string{expression(field(dom), "?"), expression("?", field(dow))}
	case c.full(dow) || c.either():
		if c.either() {
			return []string{expression("*", "?")}
		}
		return []string{expression(field(dom), "?")}
	}
	return []string{expression("?", field(dow))}
}

// missedRunsMachine is the state machine in Amazon's States Language, with
// JSONata for what is computed. A run's id begins with when it began, in UTC,
// so the runs since the start are what a listing has after that time.
// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
func (b builder) missedRunsMachine() object {
	back := b.startBefore()
	runs := b.inBucket("runs/")
	listing := func(state object) object {
		state["Type"], state["Resource"] = "Task", b.integration("aws-sdk:s3:listObjectsV2")
		state["Retry"] = retries()
		return state
	}
	untold := list{object{"ErrorEquals": list{"States.ALL"}, "Next": "CannotTell"}}
	return object{
		"Comment":       "Tells when the mayfly deployment " + b.Name + " has not run",
		"QueryLanguage": "JSONata", "StartAt": "Settle",
		"States": object{
			"Settle": object{
				"Type": "Wait", "Seconds": int(settle.Seconds()), "Next": "Runs",
				"Assign": object{"since": jsonata("$fromMillis($toMillis($states.input.scheduled) - %d)", back.Milliseconds())},
			},
			"Runs": listing(object{
				"Arguments": object{
					"Bucket": "${Bucket}", "Prefix": runs, "Delimiter": "/",
					"StartAfter": jsonata(`%s & $fromMillis($toMillis($since), "[Y0001][M01][D01]T[H01][m01][s01]Z")`, quote(runs)),
				},
				// Other machines name their runs after themselves.
				"Output": jsonata(`{"runs": [$filter($states.result.CommonPrefixes.Prefix, function($run) { $contains($run, /Z-i-[0-9a-f]+\/$/) })]}`),
				"Catch":  untold, "Next": "Begun",
			}),
			"Begun": object{
				"Type":    "Choice",
				"Choices": list{object{"Condition": jsonata("$count($states.input.runs) > 0"), "Next": "Reports"}},
				"Default": "NoRun",
			},
			"Reports": object{
				"Type": "Map", "Items": jsonata("$states.input.runs"),
				"ItemProcessor": object{
					"ProcessorConfig": object{"Mode": "INLINE"}, "StartAt": "Whose",
					"States": object{
						"Whose": object{
							"Type": "Task", "Resource": b.integration("aws-sdk:s3:getObject"),
							"Arguments": object{"Bucket": "${Bucket}", "Key": jsonata(`$states.input & "started.json"`)},
							"Retry":     append(list{object{"ErrorEquals": list{noSuchKey}, "MaxAttempts": 0}}, retries()...),
							"Output":    jsonata(`{"run": $states.input, "ours": $parse($states.result.Body).deployment = %s}`, quote(b.Name)),
							"Catch": list{object{
								"ErrorEquals": list{noSuchKey}, "Output": jsonata(`{"run": $states.input, "ours": false}`), "Next": "Report",
							}},
							"Next": "Report",
						},
						"Report": listing(object{
							"Arguments": object{"Bucket": "${Bucket}", "Prefix": jsonata(`$states.input.run & "report.json"`), "MaxKeys": 1},
							"Output":    jsonata(`$merge([$states.input, {"reports": $count($states.result.Contents)}])`), "End": true,
						}),
					},
				},
				"Output": jsonata(`{"runs": [$states.result[ours].run], "reports": $sum([0, $states.result[ours].reports])}`),
				"Catch":  untold, "Next": "Reported",
			},
			"Reported": object{
				"Type": "Choice",
				"Choices": list{
					object{"Condition": jsonata("$states.input.reports > 0"), "Next": "Well"},
					object{"Condition": jsonata("$count($states.input.runs) > 0"), "Next": "NoReport"},
				},
				"Default": "NoRun",
			},
			"Well": object{"Type": "Succeed"},
			"NoRun": b.mail("failed, no run began",
				`"No run has begun since " & $since & ", when one was to start.\n\n`+
					`Either no instance was to be had, or what it boots never came as far as a run; then another mail says why.\n\n`+
					`What is there:  mayfly status\nRun it now:     mayfly start\n"`),
			"NoReport": b.mail("failed, a run began and did not report",
				`"A run that began after " & $since & " has left no report: it was killed, or it could not write to the store.\n\n`+
					`  " & $join($map($states.input.runs, function($run) { $split($run, "/")[-2] }), "\n  ") & "\n\n`+
					`What was finished before is kept; the next run goes on.\n`+
					`How far it came:  mayfly logs RUN\nRun it again:     mayfly start\n"`),
			"CannotTell": b.mail("it is not known whether it ran",
				`"The store could not be listed to see whether a run has come since " & $since & ":\n\n`+
					`  " & $states.input.Error & ": " & $states.input.Cause & "\n\nWhat is there:  mayfly status\n"`),
		},
	}
}

// startBefore is how long before the time of the end action the start was, or
// more where the clocks may have been put back in between.
func (b builder) startBefore() time.Duration {
	after, err := EndAfter(b.Schedule.Start, b.Schedule.Zone, b.Schedule.Deadline)
	if err != nil {
		panic("stack: " + err.Error()) // check has seen it
	}
	back, err := putBack(b.Schedule.Start, b.Schedule.Zone, after)
	if err != nil {
		panic("stack: " + err.Error())
	}
	return after + back
}
