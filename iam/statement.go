// Package iam computes AWS Identity and Access Management policies from what
// the jobs of a deployment need.
package iam

// A Statement is one Allow statement of a policy: the actions one need calls
// for, on resources as narrow as the service allows.
type Statement struct {
	// Sid says why the statement is there. Letters and digits only, unique
	// within the policy (IAM's grammar for Sid).
	Sid string
	// Actions are "service:Action" names, without wildcards.
	Actions []string
	// Resources are ARNs, which may hold wildcards where the service's own
	// grammar has them.
	Resources []string
	// Conditions maps operator -> condition key -> values.
	Conditions map[string]map[string][]string
}
