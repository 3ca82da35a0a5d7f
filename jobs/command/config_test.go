package command_test

import (
	"slices"
	"strings"
	"testing"

	"mayfly/iam"
	"mayfly/internal/iamtest"
	"mayfly/internal/secret"
	"mayfly/jobs"
	"mayfly/jobs/command"
	"mayfly/runner"
)

// parse reads a config whose only job has these lines below command.
func parse(lines string) (*runner.Config, error) {
	text := "name: test\nregion: eu-west-1\nstore: s3://backups/deep\njobs:\n  - name: my-task\n    command:\n"
	for line := range strings.Lines(lines) {
		text += "      " + line
	}
	return runner.Parse("mayfly.yaml", []byte(text+"\n"), runner.ParseOptions{Kinds: jobs.New, KindNames: jobs.Names()})
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]string{
		"dir: /tmp":                  "command: it does not say what to run",
		"run: x\nargv: [y]":          "run: both argv and run are given",
		"script: s3://b1b/k\nrun: x": "script: both run and script are given",
		"argv: []":                   "it does not say what to run",
		"argv: x":                    "argv: must be a list, is text",
		"argv: ['']":                 "argv[0]: is empty",
		"argv: [' ']":                "argv[0]: the program has no name",
		"argv: [x]\nargs: [y]":       "args: argv has the arguments already",
		"argv: [x]\nshell: [sh]":     "shell: a program of argv is run without a shell",
		"argv: [x, ghp_0123456789abcdef01234567]":                   "argv[1]: this looks like a secret",
		"run: x\nargs: ['AKIAIOSFODNN7EXAMPLE']":                    "args[0]: this looks like a secret",
		"run: '  '":                                                 "run: the script is blank",
		"run: curl -H ghp_0123456789abcdef0123456":                  "run: the script seems to hold a secret",
		"run: |\n  cat <<X\n  -----BEGIN RSA PRIVATE KEY-----\n  X": "run: the script seems to hold a secret",
		"run: 5":                                     "run: must be text",
		"run: x\nshell: bash":                        "shell: must be a list, is text",
		"script: /x.sh":                              "script: this is not the address of an object",
		"script: s3://bucket":                        "script: this is not the address",
		"script: s3://bucket/":                       "script: this is not the address",
		"script: s3://bucket/a//b":                   `script: bad object key`,
		"script: 's3://bucket/{x}'":                  "script: a policy cannot name a key with { or }",
		"run: x\nsha256: " + strings.Repeat("a", 64): "sha256: there is no script",
		"script: s3://bucket/x\nsha256: abc":         "sha256: this is not a SHA-256",
		"script: s3://bucket/x\nsha256: " + strings.Repeat("A", 64): "sha256: this is not a SHA-256",
		"run: x\ndir: sub":                               `dir: "sub" depends on where mayfly is started`,
		"run: x\nenv: {1A: x}":                           `env.1A: "1A" is not the name of a variable`,
		"run: x\nenv: {A-B: x}":                          "is not the name of a variable",
		"run: x\nenv: {A: 5}":                            "env.A: must be text",
		"run: x\nenv: {MAYFLY_RUN: x}":                   "env.MAYFLY_RUN: names that begin with MAYFLY_ are mayfly's own",
		"run: x\nenv: {T: ghp_0123456789abcdef0123456}":  "env.T: this looks like a secret",
		"run: x\nenv: {T: 'ssm:/name'}":                  "env.T: this names a secret, but env gives its name",
		"run: x\nenv: {T: x}\nsecrets: {T: 'ssm:/name'}": "secrets.T: env has this variable too",
		"run: x\nsecrets: {T: plaintext}":                "secrets.T: not a reference to a secret",
		"run: x\nsecrets: {A B: 'ssm:/n'}":               `secrets.A B: "A B" is not the name of a variable`,
		"run: x\nsecret_files: {a/b: 'ssm:/n'}":          `secret_files.a/b: "a/b" is not a plain file name`,
		"run: x\nsecret_files: {..: 'ssm:/n'}":           "is not a plain file name",
		"run: x\nuser: root":                             "user: root can always reach the instance's credentials",
		"run: x\nuser: '0'":                              "user: root can always reach",
		"run: x\nuser: 'a b'":                            `user: "a b" is not a user`,
		"run: x\nuser: 1000":                             "user: must be text",
		"run: x\nmemory: 512":                            "memory: not a size",
		"run: x\nmemory: 512MB":                          "memory: not a size",
		"run: x\nmemory: 1MiB":                           "memory: 1MiB is too little",
		"run: x\noutput: 1GiB":                           "output: 1GiB is out of range",
		"run: x\noutput: 1KiB":                           "output: 1KiB is out of range",
		"run: x\nstop: 16s":                              "stop: 16s is too long",
		"run: x\nstop: 5":                                "stop: not a length of time",
		"run: x\npackages: ['rm -rf']":                   `packages[0]: "rm -rf" is not the name of a package`,
		"run: x\npackages: [-y]":                         "packages[0]",
		"run: x\npackages: [git, git]":                   `packages[1]: "git" is there twice`,
		"run: x\nartifacts: /out":                        "artifacts: it is looked for below the working directory",
		"run: x\nartifacts: a/../../b":                   "artifacts: \"a/../../b\" is not below",
		"run: x\nartifacts: ..":                          "artifacts: \"..\" is not below",
		"run: x\naws: yes":                               "aws: must be true or false",
		"run: x\nallow: [{actions: ['s3:GetObject'], resources: ['arn:aws:s3:::b']}]":                     "allow: the command has no credentials",
		"run: x\naws: true\nallow: [{actions: ['*'], resources: ['arn:aws:s3:::b']}]":                     `allow[0].actions[0]: "*" is not one action`,
		"run: x\naws: true\nallow: [{actions: ['s3:*'], resources: ['arn:aws:s3:::b']}]":                  `allow[0].actions[0]: "s3:*" is not one action`,
		"run: x\naws: true\nallow: [{actions: ['s3:GetObject'], resources: ['*']}]":                       `allow[0].resources[0]: "*" is not an ARN`,
		"run: x\naws: true\nallow: [{actions: ['s3:GetObject'], resources: ['arn:aws:s3:::{bucket}/x']}]": "is not an ARN",
		"run: x\naws: true\nallow: [{actions: [], resources: ['arn:aws:s3:::b']}]":                        "allow[0].actions: is an empty list",
		"run: x\naws: true\nallow: [{actions: ['s3:GetObject']}]":                                         "allow[0].resources: missing",
		"run: x\nenviron: {A: b}": `unknown key`,
	} {
		_, err := parse(lines)
		if err == nil {
			t.Errorf("%q was taken", lines)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %q, got\n%v", lines, want, err)
		}
		if strings.Contains(err.Error(), "0123456789abcdef") || strings.Contains(err.Error(), "AKIAIOS") {
			t.Errorf("%q: the secret is shown:\n%v", lines, err)
		}
		// Each mistake says what would be right.
		for line := range strings.Lines(err.Error()) {
			if strings.Contains(line, "^") && strings.TrimSpace(strings.TrimLeft(line, " ^")) == "" {
				t.Errorf("%q: no advice:\n%v", lines, err)
			}
		}
	}
}

func TestGoodConfig(t *testing.T) {
	t.Parallel()
	_, err := parse(`run: |
  #!/usr/bin/env bash
  echo hello
args: [a]
dir: /srv
env: {PGHOST: db, EMPTY_OK: " "}
secrets: {PGPASSWORD: ssm:/x, OTHER: "env:Y"}
secret_files: {id_ed25519: ssm:/x, .x: secretsmanager:z}
user: nobody
memory: 512MiB
packages: [postgresql-client, g++]
artifacts: out/
stop: 15s
output: 16KiB
aws: true
allow:
  - {actions: ['s3:GetObject', 's3:ListBucket'], resources: ["arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket"]}
`)
	if err == nil || !strings.Contains(err.Error(), "secret_files..x") {
		t.Fatalf("a hidden file: %v", err)
	}
	if _, err := parse("run: grep -c -- '-----BEGIN CERTIFICATE-----' chain.pem\n"); err != nil {
		t.Errorf("a certificate is no secret: %v", err)
	}
	c, err := parse("script: s3://scripts/a/x.sh\nsecrets: {A: ssm:/x, B: ssm:/x}\nsecret_files: {c: 'env:Y'}\nartifacts: .\npackages: [git]\naws: true\nallow:\n  - {actions: ['s3:GetObject'], resources: ['arn:aws:s3:::other/*']}\n")
	if err != nil {
		t.Fatal(err)
	}
	n := c.Jobs[0].Config.Needs()
	if want := []secret.Ref{{Scheme: "ssm", Name: "/x"}, {Scheme: "env", Name: "Y"}}; !slices.Equal(n.Secrets, want) || !slices.Equal(n.Packages, []string{"git"}) {
		t.Errorf("needs %+v", n)
	}
	p := new(iam.Policy)
	p.Add(iam.Place{Region: "eu-west-1", Account: "123456789012", Bucket: "backups", Prefix: "deep/my-task", Job: "my-task"}, n.Permissions...)
	doc, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	policy, err := iamtest.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	isNew := map[string]string{"s3:if-none-match": "*", "s3:ObjectCreationOperation": "true"}
	for _, tt := range []struct {
		action, resource string
		context          map[string]string
		sid              string
	}{
		{"s3:GetObject", "arn:aws:s3:::scripts/a/x.sh", nil, "MyTaskScript"},
		{"s3:GetObject", "arn:aws:s3:::scripts/a/y.sh", nil, ""},
		{"s3:ListBucket", "arn:aws:s3:::scripts", map[string]string{"s3:prefix": "a/x.sh"}, "MyTaskTellMissingScript"},
		{"s3:ListBucket", "arn:aws:s3:::scripts", map[string]string{"s3:prefix": ""}, ""},
		{"s3:PutObject", "arn:aws:s3:::backups/deep/my-task/20261120T170412Z/out.sql", isNew, "MyTaskArtifactsOnlyNew"},
		{"s3:PutObject", "arn:aws:s3:::backups/deep/my-task/20261120T170412Z/out.sql", nil, ""},
		{"s3:PutObject", "arn:aws:s3:::backups/deep/other/out.sql", isNew, ""},
		{"s3:DeleteObject", "arn:aws:s3:::backups/deep/my-task/20261120T170412Z/out.sql", nil, ""},
		{"s3:GetObject", "arn:aws:s3:::other/any/thing", nil, "MyTaskAllowed"},
		{"s3:PutObject", "arn:aws:s3:::other/any/thing", isNew, ""},
	} {
		if sid := policy.Allows(iamtest.Request{Action: tt.action, Resource: tt.resource, Context: tt.context}); sid != tt.sid {
			t.Errorf("%s on %s with %v: allowed by %q, want %q", tt.action, tt.resource, tt.context, sid, tt.sid)
		}
	}
	// What runs nothing of the store's and keeps nothing there may do nothing.
	if n := (&command.Config{Run: "true"}).Needs(); len(n.Permissions) != 0 || len(n.Secrets) != 0 {
		t.Errorf("a plain command needs %+v", n)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"1KiB", "16MiB", "3GiB", "1025KiB"} {
		var size command.Size
		if err := size.UnmarshalText([]byte(s)); err != nil || size.String() != s {
			t.Errorf("%s: %s, %v", s, size, err)
		}
	}
}
