// Package iamtest decides, for tests, what an IAM policy document allows. It
// knows Allow statements, wildcards in actions, resources and values, the
// escapes ${*}, ${?} and ${$}, and the condition operators that mayfly uses.
// Anything else in a document is an error: a test must not pass because
// something was not understood.
package iamtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Request is what IAM sees of a call. Context holds the condition keys that
// the call carries.
type Request struct {
	Action   string
	Resource string
	Context  map[string]string
}

// A Policy is a parsed document.
type Policy struct{ statements []statement }

type statement struct {
	Sid       string
	Effect    string
	Action    list
	Resource  list
	Condition map[string]map[string]list
}

type list []string

// UnmarshalJSON takes a string for a list of one.
func (l *list) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*l = make(list, 1)
		return json.Unmarshal(b, &(*l)[0])
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// Parse reads a policy document of a role.
func Parse(doc []byte) (*Policy, error) {
	var d struct {
		Version   string
		Statement []statement
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, err
	}
	if d.Version != "2012-10-17" {
		return nil, fmt.Errorf("version %q", d.Version)
	}
	sids := map[string]bool{}
	for _, s := range d.Statement {
		switch {
		case s.Effect != "Allow":
			return nil, fmt.Errorf("statement %s: effect %q", s.Sid, s.Effect)
		case sids[s.Sid]:
			return nil, fmt.Errorf("two statements have the Sid %s", s.Sid)
		case len(s.Action) == 0 || len(s.Resource) == 0:
			return nil, fmt.Errorf("statement %s has no action or no resource", s.Sid)
		}
		sids[s.Sid] = true
		for op, keys := range s.Condition {
			if operators[op] == nil {
				return nil, fmt.Errorf("statement %s: operator %q", s.Sid, op)
			}
			if len(keys) == 0 {
				return nil, fmt.Errorf("statement %s: %s of nothing", s.Sid, op)
			}
		}
	}
	return &Policy{d.Statement}, nil
}

// Allows returns the Sid of the statement that allows the request, "" when
// none does.
func (p *Policy) Allows(r Request) string {
	for _, s := range p.statements {
		if matchAny(s.Action, r.Action) && matchAny(s.Resource, r.Resource) && s.holds(r.Context) {
			return s.Sid
		}
	}
	return ""
}

// Without returns the policy without one statement.
func (p *Policy) Without(sid string) *Policy {
	less := &Policy{}
	for _, s := range p.statements {
		if s.Sid != sid {
			less.statements = append(less.statements, s)
		}
	}
	return less
}

// Sids lists the statements.
func (p *Policy) Sids() []string {
	var sids []string
	for _, s := range p.statements {
		sids = append(sids, s.Sid)
	}
	return sids
}

func (s statement) holds(context map[string]string) bool {
	for op, keys := range s.Condition {
		for key, values := range keys {
			got, there := context[key]
			if !operators[op](values, got, there) {
				return false
			}
		}
	}
	return true
}

// operators are IAM's, each for the values of one key.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
var operators = map[string]func(values []string, got string, there bool) bool{
	"Null":                 func(values []string, _ string, there bool) bool { return values[0] == "true" != there },
	"Bool":                 func(values []string, got string, there bool) bool { return there && strings.EqualFold(values[0], got) },
	"StringLike":           func(values []string, got string, there bool) bool { return there && matchAny(values, got) },
	"StringEquals":         func(values []string, got string, there bool) bool { return there && slices.Contains(values, got) },
	"StringEqualsIfExists": func(values []string, got string, there bool) bool { return !there || slices.Contains(values, got) },
	// Of a key that has several values, it holds when it does for each, and
	// when there is none. The values stand in a Request with commas between.
	"ForAllValues:StringEquals": func(values []string, got string, there bool) bool {
		for v := range strings.SplitSeq(got, ",") {
			if there && !slices.Contains(values, v) {
				return false
			}
		}
		return true
	},
}

func matchAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if match(p, s) {
			return true
		}
	}
	return false
}

// match compares with * and ? as wildcards; ${x} is x itself.
func match(pattern, s string) bool {
	var re strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '$' && len(pattern) > i+3 && pattern[i+1] == '{' && pattern[i+3] == '}':
			re.WriteString(regexp.QuoteMeta(pattern[i+2 : i+3]))
			i += 3
		case c == '*':
			re.WriteString(".*")
		case c == '?':
			re.WriteString(".")
		default:
			re.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	return regexp.MustCompile("(?s)^" + re.String() + "$").MatchString(s)
}
