package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// MaxPolicy is how many characters, white space not counted, all inline
// policies of a role may have together.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const MaxPolicy = 10240

// A Policy is what a role may do: Allow statements only, in the order in which
// they were added.
type Policy struct {
	Statements []Statement
}

// Add puts statements into the policy as they read in a place. What is there
// already, or is about nothing there, is left out; when two different ones
// have the same Sid, the second's gets a number.
func (p *Policy) Add(at Place, statements ...Statement) {
	for _, s := range statements {
		s, ok := s.In(at)
		if !ok {
			continue
		}
		sid := s.Sid
		for n := 2; p.find(s.Sid) != nil; n++ {
			if reflect.DeepEqual(*p.find(s.Sid), s) {
				ok = false
				break
			}
			s.Sid = fmt.Sprint(sid, n)
		}
		if ok {
			p.Statements = append(p.Statements, s)
		}
	}
}

func (p *Policy) find(sid string) *Statement {
	i := slices.IndexFunc(p.Statements, func(s Statement) bool { return s.Sid == sid })
	if i < 0 {
		return nil
	}
	return &p.Statements[i]
}

// Actions lists what the policy allows, sorted, each once.
func (p *Policy) Actions() []string {
	var all []string
	for _, s := range p.Statements {
		all = append(all, s.Actions...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

var (
	sidForm    = regexp.MustCompile(`^[A-Za-z0-9]+$`)
	actionForm = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9]+$`)
	arnForm    = regexp.MustCompile(`^arn:[a-z-]+:[a-z0-9-]+:[a-z0-9*-]*:([0-9]{12}|\*)?:[^{]*(\$\{[*?$]\}[^{]*)*$`)
)

// JSON is the policy document as IAM takes it, the same bytes for the same
// statements. The error says which statement IAM would refuse, or that all of
// them together are too long for a role.
func (p *Policy) JSON() ([]byte, error) {
	if len(p.Statements) == 0 {
		return nil, errors.New("iam policy: it would allow nothing, which IAM does not take: the role needs no policy")
	}
	doc := document{Version: version}
	for _, s := range p.Statements {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("iam policy: statement %s: %w", s.Sid, err)
		}
		doc.Statement = append(doc.Statement, statement{
			Sid: s.Sid, Effect: "Allow", Action: s.Actions, Resource: s.Resources, Condition: s.Conditions,
		})
	}
	b, err := doc.json()
	if err != nil {
		return nil, err
	}
	if n := len(strings.Join(strings.Fields(string(b)), "")); n > MaxPolicy {
		return nil, fmt.Errorf("iam policy: it has %d characters, a role takes %d: split the jobs into two deployments", n, MaxPolicy)
	}
	return b, nil
}

func (s Statement) check() error {
	switch {
	case !sidForm.MatchString(s.Sid):
		return errors.New("a Sid has letters and digits only")
	case len(s.Actions) == 0 || len(s.Resources) == 0:
		return errors.New("it needs an action and a resource")
	}
	for _, a := range s.Actions {
		if !actionForm.MatchString(a) {
			return fmt.Errorf("%q is not one action", a)
		}
	}
	for _, r := range s.Resources {
		// Some services know no resources; a condition has to do there.
		if !arnForm.MatchString(r) && (r != "*" || len(s.Conditions) == 0) {
			return fmt.Errorf("%q is not an ARN", r)
		}
	}
	return nil
}

// Trust is the trust policy of a role for EC2 instances of a partition, "aws"
// when it is "".
func Trust(partition string) []byte {
	b, err := document{Version: version, Statement: []statement{{
		Sid: "InstancesTakeThisRole", Effect: "Allow", Action: []string{"sts:AssumeRole"},
		Principal: map[string]string{"Service": InstanceService(partition)},
	}}}.json()
	if err != nil {
		panic("iam: " + err.Error()) // constant but for the service
	}
	return b
}

// InstanceService is EC2 as the service that takes an instance's role, in a
// partition; "" is "aws".
func InstanceService(partition string) string {
	if partition == "aws-cn" {
		return "ec2.amazonaws.com.cn"
	}
	return "ec2.amazonaws.com"
}

// version is the policy language's.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
const version = "2012-10-17"

type document struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string
	Effect    string
	Principal map[string]string `json:",omitempty"`
	Action    list
	Resource  list       `json:",omitempty"`
	Condition conditions `json:",omitempty"`
}

// A list of one is written as the one, as people write policies.
type list []string

// MarshalJSON implements json.Marshaler.
func (l list) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return json.Marshal(l[0])
	}
	return json.Marshal([]string(l))
}

// conditions are a Statement's; a single value stands alone.
type conditions map[string]map[string][]string

// MarshalJSON implements json.Marshaler.
func (c conditions) MarshalJSON() ([]byte, error) {
	short := map[string]map[string]list{}
	for op, keys := range c {
		short[op] = map[string]list{}
		for key, values := range keys {
			short[op][key] = values
		}
	}
	return json.Marshal(short)
}

func (d document) json() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("iam policy: %w", err)
	}
	return b.Bytes(), nil
}
