package command

import (
	"fmt"
	"regexp"
	"strings"

	"mayfly/iam"
)

// An Allow is one statement of the role's policy that is the user's own.
type Allow struct {
	Actions   []string `yaml:"actions,required" doc:"actions of AWS services, each by its whole name" example:"['s3:PutObject']"`
	Resources []string `yaml:"resources,required" doc:"ARNs of what they may be done to" example:"['arn:aws:s3:::bucket/folder/*']"`
}

var (
	actionForm = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9]+$`)
	arnForm    = regexp.MustCompile(`^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9*-]*:([0-9]{12}|\*)?:[^{}\s]+$`)
)

// checkAllow takes what the policy takes: whole names of actions, so that
// nobody allows more than was thought of.
func (c *Config) checkAllow(bad badFunc) {
	if len(c.Allow) > 0 && !c.AWS {
		bad("allow", "the command has no credentials that this could be for", "add aws: true, or remove it")
	}
	for i, a := range c.Allow {
		for k, action := range a.Actions {
			if key := fmt.Sprintf("allow[%d].actions[%d]", i, k); !actionForm.MatchString(action) {
				bad(key, fmt.Sprintf("%q is not one action", action), "write each action by its whole name, like s3:GetObject, without wildcards")
			}
		}
		for k, r := range a.Resources {
			if key := fmt.Sprintf("allow[%d].resources[%d]", i, k); !arnForm.MatchString(r) {
				bad(key, fmt.Sprintf("%q is not an ARN", r), "write it like arn:aws:s3:::bucket/folder/*; what a service gives to no resource (\"*\" alone) cannot be allowed here")
			}
		}
	}
}

// permissions are what the job and its command need: the script is read, and
// told missing from denied; artifacts are written once, and looked at after a
// reply was lost.
func (c *Config) permissions() []iam.Statement {
	var list []iam.Statement
	if c.Script != "" {
		bucket, key := c.scriptObject()
		arn, key := "arn:{partition}:s3:::"+bucket, iam.Literal(key)
		list = append(list,
			iam.Statement{Sid: "{job}Script", Actions: []string{"s3:GetObject"}, Resources: []string{arn + "/" + key}},
			iam.Statement{
				Sid: "{job}TellMissingScript", Actions: []string{"s3:ListBucket"}, Resources: []string{arn},
				Conditions: map[string]map[string][]string{"StringLike": {"s3:prefix": {key}}},
			})
	}
	if c.Artifacts != "" {
		list = append(list, iam.WriteOnce("{job}Artifacts", "*")...)
		list = append(list, iam.Read("{job}ReadBack", "*"), iam.List("{job}WhatThereIs", "*"))
	}
	for _, a := range c.Allow {
		list = append(list, iam.Statement{Sid: "{job}Allowed", Actions: a.Actions, Resources: a.Resources})
	}
	return list
}

// allowed says in words what Allow adds.
func (c *Config) allowed() string {
	var actions []string
	for _, a := range c.Allow {
		actions = append(actions, a.Actions...)
	}
	return strings.Join(actions, ", ")
}
