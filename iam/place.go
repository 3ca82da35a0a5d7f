package iam

import "strings"

// A Place is the deployment that a Statement is for. A Statement names what it
// cannot know by placeholders: {partition}, {region}, {account}, {bucket},
// {prefix}, {deployment} and {domain} (amazonaws.com) in resources and values of
// conditions, {job} in its Sid.
type Place struct {
	Deployment string // its name
	Partition  string // "" means "aws"
	Region     string // "" means any
	Account    string // "" means any
	Bucket     string // "" when the store is no bucket: statements about {bucket} then fall away
	Prefix     string // where in the bucket, without slashes around it; may be ""
	Job        string // whose statement it is; "" for the deployment's own
}

// In returns the statement for a place, and whether it is about anything there.
func (s Statement) In(p Place) (Statement, bool) {
	prefix := Literal(p.Prefix)
	if prefix != "" {
		prefix += "/"
	}
	domain := "amazonaws.com"
	if p.Partition == "aws-cn" {
		domain += ".cn"
	}
	fill := strings.NewReplacer(
		"{partition}", or(p.Partition, "aws"), "{region}", or(p.Region, "*"), "{account}", or(p.Account, "*"),
		"{bucket}", p.Bucket, "{prefix}", prefix, "{domain}", domain, "{deployment}", or(p.Deployment, "*"),
	)
	in := Statement{Sid: strings.ReplaceAll(s.Sid, "{job}", sidWord(p.Job)), Actions: s.Actions}
	for _, r := range s.Resources {
		if p.Bucket == "" && strings.Contains(r, "{bucket}") {
			return Statement{}, false
		}
		in.Resources = append(in.Resources, fill.Replace(r))
	}
	for op, keys := range s.Conditions {
		for key, values := range keys {
			for _, v := range values {
				in.where(op, key, fill.Replace(v))
			}
		}
	}
	return in, true
}

func (s *Statement) where(op, key, value string) {
	if s.Conditions == nil {
		s.Conditions = map[string]map[string][]string{}
	}
	if s.Conditions[op] == nil {
		s.Conditions[op] = map[string][]string{}
	}
	s.Conditions[op][key] = append(s.Conditions[op][key], value)
}

// Literal is s as a resource or a condition has to spell it so that no
// character of it is a wildcard or a variable.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
func Literal(s string) string {
	return strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(s)
}

// sidWord makes a name part of a Sid: "my-hosts" is "MyHosts".
func sidWord(name string) string {
	var b strings.Builder
	up := true
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z' && up:
			b.WriteRune(r - 'a' + 'A')
			up = false
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			b.WriteRune(r)
			up = false
		default:
			up = true
		}
	}
	return b.String()
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}
