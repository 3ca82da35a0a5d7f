package stack

import (
	"encoding/json"
	"fmt"

	"mayfly/iam"
)

// machine adds a state machine, and the role under which it calls what the
// statements allow. Substitutions take the place of ${…} in the definition.
func (b builder) machine(name, what string, definition, substitutions object, statements ...any) {
	b.add(name+"Role", resource{Type: "AWS::IAM::Role", Properties: object{
		"Description":              what,
		"AssumeRolePolicyDocument": trust("states.amazonaws.com", "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:*"),
		"Policies":                 list{object{"PolicyName": "mayfly", "PolicyDocument": policyDocument(statements...)}},
		"Tags":                     b.tags(),
	}})
	b.add(name, resource{Type: "AWS::StepFunctions::StateMachine", Properties: object{
		"RoleArn":                 attribute("Arn", name+"Role"),
		"Definition":              definition,
		"DefinitionSubstitutions": substitutions,
		"Tags":                    b.tags(),
	}})
}

// starter adds the role of what starts a state machine.
func (b builder) starter(name, what, sid string, trust object) {
	b.add(name+"StartRole", resource{Type: "AWS::IAM::Role", Properties: object{
		"Description":              what,
		"AssumeRolePolicyDocument": trust,
		"Policies": list{object{"PolicyName": "mayfly", "PolicyDocument": policyDocument(
			object{"Sid": sid, "Effect": "Allow", "Action": "states:StartExecution", "Resource": ref(name)},
		)}},
		"Tags": b.tags(),
	}})
}

// trust lets a service take a role, on behalf of the account's own.
func trust(service, source string) object {
	return policyDocument(object{
		"Effect": "Allow", "Principal": object{"Service": service}, "Action": "sts:AssumeRole",
		"Condition": object{
			"StringEquals": object{"aws:SourceAccount": account()},
			"ArnLike":      object{"aws:SourceArn": sub(source)},
		},
	})
}

// mail is a state that sends to the topic, and with it the execution ends.
// message is an expression.
func (b builder) mail(subject, message string) object {
	return object{
		"Type": "Task", "Resource": b.integration("sns:publish"),
		"Arguments": object{
			"TopicArn": "${Topic}", "Subject": "mayfly " + b.Name + ": " + subject, "Message": jsonata("%s", message),
		},
		"Retry": retries(), "End": true,
	}
}

// integration is what a task of a state machine calls.
// https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
func (b builder) integration(call string) string {
	return "arn:" + iam.Partition(b.Region) + ":states:::" + call
}

// retries are for whatever fails: nobody waits, and there is nobody to ask.
func retries() list {
	return list{object{"ErrorEquals": list{"States.ALL"}, "IntervalSeconds": 5, "MaxAttempts": 6, "BackoffRate": 2}}
}

func jsonata(format string, args ...any) string { return "{% " + fmt.Sprintf(format, args...) + " %}" }

// quote is a string in JSONata, which quotes as JSON does.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic("stack: " + err.Error()) // a string
	}
	return string(b)
}
