package stack

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// MaxTemplate is how many bytes of template a request to CloudFormation takes.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
const MaxTemplate = 51200

// object is a JSON object; encoding/json sorts its keys.
type object map[string]any

// list is a JSON array.
type list []any

// A template is a CloudFormation template.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
type template struct {
	AWSTemplateFormatVersion string
	Description              string
	Parameters               object `json:",omitempty"`
	Mappings                 object `json:",omitempty"`
	Conditions               object `json:",omitempty"`
	Resources                map[string]resource
	Outputs                  object
}

// A resource is one of a template's.
type resource struct {
	Type                string
	Condition           string   `json:",omitempty"`
	DependsOn           []string `json:",omitempty"`
	DeletionPolicy      string   `json:",omitempty"`
	UpdatePolicy        object   `json:",omitempty"`
	UpdateReplacePolicy string   `json:",omitempty"`
	Properties          object
}

// Template returns the CloudFormation template of a deployment, the same bytes
// for the same options: indented, unless only without indentation it is small
// enough for a request. The error says everything at once that cannot be.
//
// Whoever deploys it grants CAPABILITY_IAM. A bucket that is created stays when
// the stack goes; creating with RetainExceptOnCreate removes it again, while it
// is empty, where the creation itself fails.
func Template(o Options) ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("stack template: %w", err)
	}
	t := &template{
		AWSTemplateFormatVersion: "2010-09-09",
		Description:              "The mayfly deployment " + o.Name,
		Mappings: object{userDataMap: object{"Boot": object{
			"Base64": packed(o.Instance.UserData),
		}}},
		Resources: map[string]resource{},
		Outputs:   object{},
	}
	b := builder{Options: o, t: t}
	b.bucket()
	b.topic()
	b.role()
	b.securityGroup()
	b.group()
	b.schedule()
	b.missedRuns()
	b.fallback()
	b.budget()
	b.recycleBin()
	if o.ConfigSum != "" {
		b.output(OutputConfig, "SHA-256 of the config that instances run by", o.ConfigSum)
		b.output(OutputDeadline, "How long a run has", o.Deadline.String())
	}
	instead := "split the jobs into two deployments"
	if o.Instance.OnDemand == OnDemandFallback {
		instead += ", or do without the fallback to on demand"
	}
	return t.json(instead)
}

// userDataMap is the mapping that holds the user data: several launch templates
// have the same, and one copy is all that fits.
const userDataMap = "UserData"

// json is the template as text. The error about one that is too large says what
// to do instead.
func (t *template) json(instead string) ([]byte, error) {
	var compact bytes.Buffer
	enc := json.NewEncoder(&compact)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(t); err != nil {
		return nil, fmt.Errorf("stack template: %w", err)
	}
	if n := compact.Len(); n > MaxTemplate {
		return nil, fmt.Errorf("stack template: it has %d bytes, CloudFormation takes %d: %s", n, MaxTemplate, instead)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, compact.Bytes(), "", "  "); err != nil {
		return nil, fmt.Errorf("stack template: %w", err)
	}
	if indented.Len() > MaxTemplate {
		return compact.Bytes(), nil
	}
	return indented.Bytes(), nil
}

// A builder adds the resources of a deployment to a template.
type builder struct {
	Options
	t *template
}

func (b builder) add(name string, r resource) { b.t.Resources[name] = r }

func (b builder) output(name, description string, value any) {
	b.t.Outputs[name] = object{"Description": description, "Value": value}
}

// tags are those of nearly everything.
func (b builder) tags() list { return list{object{"Key": TagKey, "Value": b.Name}} }

// LaunchTemplates lists the outputs of a stack that name launch templates.
func LaunchTemplates(outputs map[string]string) []string {
	var found []string
	for _, k := range launchKinds() {
		if outputs[k.name()] != "" {
			found = append(found, k.name())
		}
	}
	return found
}

func ref(name string) object           { return object{"Ref": name} }
func attribute(name, of string) object { return object{"Fn::GetAtt": list{of, name}} }
func sub(s string) object              { return object{"Fn::Sub": s} }
func account() object                  { return ref("AWS::AccountId") }

// policyDocument is an IAM policy of statements.
func policyDocument(statements ...any) object {
	return object{"Version": "2012-10-17", "Statement": list(statements)}
}
