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
	for i, r := range resources {
		resources[i] = place(r)
	}
	var does []string
	for _, a := range actions {
		does = append(does, verb(a))
	}
	line := join(slices.Compact(does)) + " " + join(resources)
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

// verb is what an action does to its resource.
func verb(action string) string {
	switch action {
	case "s3:GetObject", "ssm:GetParameter", "secretsmanager:GetSecretValue":
		return "read"
	case "s3:PutObject":
		return "write"
	case "s3:DeleteObject":
		return "delete"
	case "s3:ListBucket":
		return "list"
	case "s3:AbortMultipartUpload":
		return "drop unfinished uploads of"
	case "s3:ListBucketMultipartUploads":
		return "find unfinished uploads in"
	case "kms:Decrypt":
		return "decrypt with"
	case "sns:Publish":
		return "send to"
	case "cloudwatch:PutMetricData":
		return "put metrics into"
	case "autoscaling:TerminateInstanceInAutoScalingGroup":
		return "end an instance of"
	}
	return "act on" // the line names the actions
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

// provided is a condition.
func provided(op, key string, values []string) string {
	switch all := join(values); op + " " + key + " " + all {
	case "Null s3:if-none-match false":
		return "where there is nothing yet"
	case "Null s3:if-match false":
		return "where it is still what it was when read"
	case "Bool s3:ObjectCreationOperation false":
		return "as parts of an upload"
	case "StringLike s3:prefix " + all:
		return "what begins with " + all
	case "StringLike kms:ViaService " + all:
		return "through " + all
	case "StringEquals cloudwatch:namespace " + all:
		return "of the namespace " + all
	}
	return fmt.Sprintf("if %s %s %s", key, op, join(values))
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
