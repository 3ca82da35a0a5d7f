package jobs_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	_ "time/tzdata"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"mayfly/internal/strictyaml"
	"mayfly/jobs"
	"mayfly/runner"
)

var update = flag.Bool("update", false, "write docs/mayfly.schema.json anew")

const schemaFile = "../docs/mayfly.schema.json"

func options() runner.ParseOptions {
	return runner.ParseOptions{Kinds: jobs.New, KindNames: jobs.Names()}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, name := range jobs.Names() {
		a, b := jobs.New(name), jobs.New(name)
		if a == nil || a == b {
			t.Errorf("%s: New does not return a new config", name)
		}
	}
	if c := jobs.New("no such kind"); c != nil {
		t.Errorf("an unknown kind is %T", c)
	}
}

// The schema that is checked in is the one the code generates.
func TestSchemaIsCurrent(t *testing.T) {
	t.Parallel()
	got := runner.Schema(options())
	if *update {
		if err := os.WriteFile(schemaFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is out of date: run go test ./jobs -update", schemaFile)
	}
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(runner.Schema(options())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7) // the document itself must say that it is 2020-12
	if err := c.AddResource("mayfly.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mayfly.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if s.DraftVersion != 2020 {
		t.Errorf("the schema is draft %d", s.DraftVersion)
	}
	return s
}

// Every key has a description: it is what editors show.
func TestSchemaDescribesEveryKey(t *testing.T) {
	t.Parallel()
	var walk func(path string, s *jsonschema.Schema)
	walk = func(path string, s *jsonschema.Schema) {
		if s == nil {
			return
		}
		for name, p := range s.Properties {
			if p.Description == "" {
				t.Errorf("%s.%s has no description", path, name)
			}
			walk(path+"."+name, p)
		}
		for _, sub := range s.AnyOf {
			walk(path, sub)
		}
		if items, ok := s.Items2020, s.Items2020 != nil; ok {
			walk(path+"[]", items)
		}
	}
	walk("", compile(t))
}

const good = `name: onlinebackup
region: eu-west-1
store: s3://onlinebackupbucket
notify: {email: [you@example.com]}
schedule: {start: "0 17 * * FRI", timezone: Europe/Berlin, deadline: 2h}
instance: {types: [t4g.nano, t4g.micro], max_price: 0.02}
jobs:
  - name: github
    github:
      owners: [frostrubin]
      token: ssm:/onlinebackup/github-token
      exclude: ["*/scratch-*"]
`

// What both the tags and the kind's own check refuse is one mistake, not two.
func TestOneMistakeOnce(t *testing.T) {
	t.Parallel()
	for from, to := range map[string]string{
		"      owners: [frostrubin]\n":          "",
		"      owners: [frostrubin]":            "      owners: []",
		"      exclude":                         "      parallel: 7\n      exclude",
		"token: ssm:/onlinebackup/github-token": "app: {installation: 2, key: env:KEY}",
		"exclude: [\"*/scratch-*\"]":            "parallel: -1",
	} {
		_, err := runner.Parse("f", []byte(strings.Replace(good, from, to, 1)), options())
		ms, ok := errors.AsType[strictyaml.Mistakes](err)
		if !ok || len(ms) != 1 {
			t.Errorf("%q for %q: %d mistakes, want 1:\n%v", to, from, len(ms), err)
		}
	}
}

// The schema and the decoder agree on what is right and what is wrong.
func TestSchemaAgreesWithDecoder(t *testing.T) {
	t.Parallel()
	schema := compile(t)
	change := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the good document", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, c := range []struct {
		src  string
		good bool
	}{
		{good, true},
		{change("s3://onlinebackupbucket", "{url: s3://onlinebackupbucket, path_style: true}"), true},
		{change("s3://onlinebackupbucket", "file:///var/backups"), true},
		{change("email: [you@example.com]", "topic: 'arn:aws:sns:eu-west-1:123456789012:t'"), true},
		{change("0.02", "1"), true},
		{change("      exclude", "      wiki: false\n      parallel: 5\n      app: {id: 1, installation: 2, key: env:KEY}\n      exclude"), false}, // token and app; the schema cannot know
		{change("      token: ssm:/onlinebackup/github-token\n", "      app: {id: 1, installation: 2, key: env:KEY}\n"), true},
		{change("name: onlinebackup", "name: Online"), false},
		{change("name: onlinebackup\n", ""), false},
		{change("region: eu-west-1", "region: 1"), false},
		{change("region: eu-west-1", "regoin: eu-west-1"), false},
		{change("store: s3://onlinebackupbucket\n", ""), false},
		{change("s3://onlinebackupbucket", "/var/backups"), false},
		{change("s3://onlinebackupbucket", "{endpoint: http://h}"), false},
		{change("[you@example.com]", "you@example.com"), false},
		{change("[you@example.com]", "[you]"), false},
		{change("deadline: 2h", "deadline: 7200"), false},
		{change("deadline: 2h", "deadline: 2 hours"), false},
		{change("0.02", "cheap"), false},
		{change("0.02", "0"), false},
		{change("[t4g.nano, t4g.micro]", "[t4g.nano, 5]"), false},
		{change("  - name: github\n", "  - name: Git Hub\n"), false},
		{change("  - name: github\n", "  - prefix: x\n"), false},
		{change("  - name: github\n", "  - name: github\n    prefix: /x\n"), false},
		{change("    github:\n", "    gitlab:\n"), false},
		{change("      owners: [frostrubin]", "      owners: frostrubin"), false},
		{change("      owners: [frostrubin]", "      owners: ['']"), false},
		{change("      owners: [frostrubin]\n", ""), false},
		{change("      owners: [frostrubin]", "      owners: []"), false},
		{change("      exclude", "      parallel: 1\n      exclude"), true},
		{change("      exclude", "      parallel: 6\n      exclude"), true},
		{change("      exclude", "      parallel: 0\n      exclude"), false},
		{change("      exclude", "      parallel: 7\n      exclude"), false},
		{change("      token: ssm:/onlinebackup/github-token\n", "      app: {id: 0, installation: 2, key: env:KEY}\n"), false},
		{change("      token: ssm:/onlinebackup/github-token\n", "      app: {id: 1, installation: -2, key: env:KEY}\n"), false},
		{change("      token: ssm:/onlinebackup/github-token\n", "      app: {id: 1, key: env:KEY}\n"), false},
		{change("      token: ssm:/onlinebackup/github-token\n", "      app: {id: 1, installation: 2}\n"), false},
		{change("ssm:/onlinebackup/github-token", "ghp_0123456789abcdefghij"), false},
		{change("ssm:/onlinebackup/github-token", ""), false},
		{"name: x\nstore: file:///x\njobs: []\n", false},
		{"[]", false},
		{"5", false},
	} {
		_, decodeErr := runner.Parse("f", []byte(c.src), options())
		if (decodeErr == nil) != c.good {
			t.Errorf("decoder: %v\n%s", decodeErr, c.src)
		}
		b, err := yaml.YAMLToJSON([]byte(c.src))
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		schemaErr := schema.Validate(v)
		across := strings.Contains(c.src, "token") && strings.Contains(c.src, "app:")
		if (schemaErr == nil) != (c.good || across) {
			t.Errorf("schema: %v\n%s", schemaErr, c.src)
		}
	}
}
