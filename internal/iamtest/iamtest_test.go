package iamtest

import "testing"

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"a*c", "abbc", true}, {"a*c", "ac", true}, {"a*c", "acd", false}, {"a?c", "abc", true}, {"a?c", "ac", false},
		{"a*", "a/b/c", true}, {"a.c", "abc", false}, {"", "", true}, {"", "a", false},
		{"a${*}c", "a*c", true}, {"a${*}c", "abc", false}, {"${$}{x}", "${x}", true}, {"${?}", "?", true}, {"${?}", "x", false},
	} {
		if got := match(tt.pattern, tt.s); got != tt.want {
			t.Errorf("match(%q, %q) = %t", tt.pattern, tt.s, got)
		}
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	const head = `{"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*", "Condition": `
	for _, tt := range []struct {
		condition, got string
		there, want    bool
	}{
		{`{"StringEquals": {"k": ["a", "b*"]}}`, "a", true, true}, {`{"StringEquals": {"k": ["a", "b*"]}}`, "bc", true, false}, {`{"StringEquals": {"k": "a"}}`, "", false, false},
		{`{"StringEqualsIfExists": {"k": "a"}}`, "a", true, true}, {`{"StringEqualsIfExists": {"k": "a"}}`, "b", true, false}, {`{"StringEqualsIfExists": {"k": "a"}}`, "", false, true},
		{`{"ForAllValues:StringEquals": {"k": ["a", "b"]}}`, "b,a", true, true}, {`{"ForAllValues:StringEquals": {"k": ["a", "b"]}}`, "a,c", true, false}, {`{"ForAllValues:StringEquals": {"k": ["a"]}}`, "", false, true},
	} {
		p, err := Parse([]byte(head + tt.condition + `}]}`))
		if err != nil {
			t.Fatal(err)
		}
		r := Request{Action: "ec2:CreateTags", Resource: "x", Context: map[string]string{}}
		if tt.there {
			r.Context["k"] = tt.got
		}
		if got := p.Allows(r) != ""; got != tt.want {
			t.Errorf("%s of %q: %t", tt.condition, tt.got, got)
		}
	}
}

// TestParseRefuses what the evaluator would not understand.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const head = `{"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Allow", "Action": "s3:GetObject"`
	for _, doc := range []string{
		`{}`, `{"Statement": []}`, head + `}]}`, // no resource
		head + `, "Resource": "*", "NotAction": "x"}]}`,
		head + `, "Resource": "*", "Condition": {"NumericEquals": {"a": "1"}}}]}`,
		head + `, "Resource": "*", "Condition": {"Null": {}}}]}`,
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}]}`,
	} {
		if _, err := Parse([]byte(doc)); err == nil {
			t.Errorf("taken: %s", doc)
		}
	}
	if _, err := Parse([]byte(head + `, "Resource": "*"}]}`)); err != nil {
		t.Error(err)
	}
}
