package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// InWords says a role's policy in plain words, one line for each statement:
// what for, as its Sid says; then what it does to what, and under which
// condition; and the actions. It takes Allow statements only, as package iam
// makes them; the error names what it does not understand rather than leave it
// out.
func InWords(policy []byte) ([]string, error) {
	var doc struct {
		Statement []map[string]json.RawMessage
	}
	if err := json.Unmarshal(policy, &doc); err != nil {
		return nil, fmt.Errorf("say the policy in words: %w", err)
	}
	var lines []string
	for n, s := range doc.Statement {
		line, err := sentence(s)
		if err != nil {
			return nil, fmt.Errorf("say the policy in words: statement %d: %w", n+1, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func sentence(s map[string]json.RawMessage) (string, error) {
	var sid, effect string
	var actions, resources oneOrMore
	var conditions map[string]map[string]oneOrMore
	for key, raw := range s {
		into, known := map[string]any{
			"Sid": &sid, "Effect": &effect, "Action": &actions, "Resource": &resources, "Condition": &conditions,
		}[key]
		if !known {
			return "", fmt.Errorf("it has %s", key)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return "", fmt.Errorf("%s: %w", key, err)
		}
	}
	if effect != "Allow" || len(actions) == 0 || len(resources) == 0 {
		return "", errors.New("it is not one that allows actions on resources")
	}
	var does []string
	for _, a := range actions {
		does = append(does, verb(a, resources))
	}
	line := join(slices.Compact(does)) + " " + places(actions, resources)
	joinNull(conditions)
	for _, op := range slices.Sorted(maps.Keys(conditions)) {
		for _, key := range slices.Sorted(maps.Keys(conditions[op])) {
			line += ", " + provided(op, key, conditions[op][key])
		}
	}
	line += " (" + strings.Join(actions, ", ") + ")"
	if sid != "" {
		line = spaced(sid) + ": " + line
	}
	return line, nil
}

// oneOrMore is a list, or the one that it would have.
type oneOrMore []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *oneOrMore) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = oneOrMore{one}
		return nil
	}
	var more []string
	err := json.Unmarshal(b, &more)
	*l = more
	return err
}

// place is a resource as people write it.
func place(arn string) string {
	for _, partition := range []string{"aws", "aws-cn", "aws-us-gov", "aws-eusc"} {
		if in, ok := strings.CutPrefix(arn, "arn:"+partition+":s3:::"); ok {
			return "s3://" + in
		}
	}
	return arn
}

// places are the resources of some actions. What EC2 lists is the account's,
// and cannot be named.
func places(actions, resources []string) string {
	lists := func(action string) bool { return strings.HasPrefix(action, "ec2:Describe") }
	if slices.Equal(resources, []string{"*"}) && !slices.ContainsFunc(actions, func(a string) bool { return !lists(a) }) {
		return "of the account"
	}
	var list []string
	for _, r := range resources {
		list = append(list, place(r))
	}
	return join(list)
}

// spaced is a Sid in words: "ReadLock" is "read lock".
func spaced(sid string) string {
	var b strings.Builder
	rs := []rune(sid)
	for i, r := range rs {
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1])) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// join lists things as a sentence does.
func join(l []string) string {
	if len(l) < 2 {
		return strings.Join(l, "")
	}
	return strings.Join(l[:len(l)-1], ", ") + " and " + l[len(l)-1]
}
