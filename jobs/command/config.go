// Package command runs a script or a program of the user's, bounded in what it
// may use, say and leave behind, on a machine that then disappears.
package command

import (
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"mayfly/internal/secret"
	"mayfly/internal/store"
	"mayfly/runner"
)

// A Config is the `command:` mapping of a job. Run, Argv and Script say what is
// run; exactly one of them is given.
type Config struct {
	Run         string                `yaml:"run" doc:"a script; a first line that begins with #! names what runs it, else it is a shell script that ends at the first failure" example:"make backup"`
	Argv        []string              `yaml:"argv" doc:"a program and its arguments, run without a shell, instead of run" example:"[pg_dump, --file=out.sql, mydb]"`
	Script      string                `yaml:"script" doc:"a script or program that is fetched from a bucket and run, instead of run" example:"s3://bucket/admin/backup.sh"`
	SHA256      string                `yaml:"sha256" doc:"the SHA-256 of script in hex; with another content it is not run"`
	Args        []string              `yaml:"args" doc:"arguments of run or script" example:"[--all]"`
	Shell       []string              `yaml:"shell" doc:"what runs run or script, whose file comes behind it: a program and arguments (default [/bin/sh, -e], or what its #! line says)" example:"[bash, -eu]"`
	Dir         string                `yaml:"dir" doc:"the working directory; by default an empty one that is removed afterwards" example:"/srv/www"`
	Env         map[string]string     `yaml:"env" doc:"environment variables" example:"{PGHOST: db.example.com}"`
	Secrets     map[string]secret.Ref `yaml:"secrets" doc:"environment variables whose values are secrets" example:"{PGPASSWORD: ssm:/name}"`
	SecretFiles map[string]secret.Ref `yaml:"secret_files" doc:"secrets as files, readable by the command alone, in the directory that $MAYFLY_SECRETS names" example:"{id_ed25519: ssm:/name}"`
	User        string                `yaml:"user" doc:"the user, by name or number, that the command runs as; on an instance an unprivileged one by default, root with aws: true; elsewhere who runs mayfly" example:"nobody"`
	Memory      Size                  `yaml:"memory" doc:"the most memory all its processes may use together" example:"512MiB"`
	Packages    []string              `yaml:"packages" doc:"packages of the distribution that an instance installs first" example:"[postgresql-client]"`
	Artifacts   string                `yaml:"artifacts" doc:"a directory below dir; when the command has succeeded, its files are kept in the store" example:"out"`
	AWS         bool                  `yaml:"aws" doc:"let the command use the credentials that mayfly has: on an instance its role's"`
	Allow       []Allow               `yaml:"allow" doc:"what the instance's role is allowed beyond what mayfly needs, for a command with aws: true"`
	Stop        runner.Duration       `yaml:"stop" doc:"how long the command has from SIGTERM to SIGKILL when it is stopped (default 10s, at most 15s)" example:"5s"`
	Output      Size                  `yaml:"output" doc:"how much of the log its output may take; what is in the middle of more is left out (default 1MiB)" example:"256KiB"`
}

var _ runner.JobConfig = (*Config)(nil)

const (
	defaultStop   = 10 * time.Second
	maxStop       = 15 * time.Second // a job has 20 s to return
	defaultOutput = 1 << 20
	minOutput     = 16 << 10
	maxOutput     = 4 << 20
	minMemory     = 16 << 20
)

func (c *Config) stop() time.Duration {
	if c.Stop == 0 {
		return defaultStop
	}
	return time.Duration(c.Stop)
}

func (c *Config) output() int64 {
	if c.Output == 0 {
		return defaultOutput
	}
	return int64(c.Output)
}

var (
	envForm     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	fileForm    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)
	userForm    = regexp.MustCompile(`^([a-z_][a-z0-9_.-]{0,31}|[0-9]{1,10})$`)
	packageForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]{0,80}$`)
	scriptForm  = regexp.MustCompile(`^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+$`)
)

// badFunc takes down one mistake: where, what is wrong, what would be right.
type badFunc func(key, reason, fix string)

// Validate returns all mistakes at once.
func (c *Config) Validate() []runner.Problem {
	var ps []runner.Problem
	bad := func(key, reason, fix string) {
		ps = append(ps, runner.Problem{Item: key, Reason: reason, Fix: fix})
	}
	c.checkProgram(bad)
	c.checkScript(bad)
	c.checkEnvironment(bad)
	c.checkSecretFiles(bad)
	c.checkPlace(bad)
	c.checkLimits(bad)
	c.checkAllow(bad)
	return ps
}

// checkProgram looks at what is run.
func (c *Config) checkProgram(bad badFunc) {
	var given []string
	for key, there := range map[string]bool{"run": c.Run != "", "argv": len(c.Argv) > 0, "script": c.Script != ""} {
		if there {
			given = append(given, key)
		}
	}
	slices.Sort(given)
	switch {
	case len(given) == 0:
		bad("", "it does not say what to run", "add run: with a script, argv: with a program and its arguments, or script: s3://BUCKET/KEY")
	case len(given) > 1:
		bad(given[1], fmt.Sprintf("both %s and %s are given", given[0], given[1]), "keep one of them")
	}
	if len(c.Argv) > 0 {
		if len(c.Args) > 0 {
			bad("args", "argv has the arguments already", "put them there, behind the program")
		}
		if len(c.Shell) > 0 {
			bad("shell", "a program of argv is run without a shell", "remove it, or write a script under run")
		}
	}
	if c.Run != "" && strings.TrimSpace(c.Run) == "" {
		bad("run", "the script is blank", "write what is to be run")
	}
	if strings.ContainsRune(c.Run, 0) {
		bad("run", "the script holds a NUL character", "remove it")
	}
	if holdsSecret(c.Run) {
		bad("run", "the script seems to hold a secret", "take it out and revoke it, for it was written down; keep a new one where secrets are kept and name that under secrets, as a variable of the script")
	}
	for _, list := range []struct {
		key   string
		words []string
	}{{"argv", c.Argv}, {"args", c.Args}, {"shell", c.Shell}} {
		for i, w := range list.words {
			key := fmt.Sprintf("%s[%d]", list.key, i)
			switch {
			case strings.ContainsRune(w, 0):
				bad(key, "it holds a NUL character", "remove it")
			case holdsSecret(w):
				bad(key, "this looks like a secret, and everybody on the machine can read arguments", "take it out and revoke it, for it was written down; keep a new one where secrets are kept, and name that under secrets or secret_files")
			case i == 0 && list.key != "args" && strings.TrimSpace(w) == "":
				bad(key, "the program has no name", "write its name or its whole path")
			}
		}
	}
}

// public is the first line of what is no secret, of a certificate, say.
var public = regexp.MustCompile(`-----BEGIN[^\n]*`)

// holdsSecret reports whether a text holds what announces itself as one.
func holdsSecret(s string) bool {
	s = public.ReplaceAllStringFunc(s, func(line string) string {
		if strings.Contains(line, "PRIVATE KEY") {
			return line
		}
		return ""
	})
	return secret.HideTokens(s) != s
}

// checkScript looks at where the script is fetched.
func (c *Config) checkScript(bad badFunc) {
	if c.SHA256 != "" {
		b, err := hex.DecodeString(c.SHA256)
		switch {
		case err != nil || len(b) != 32 || strings.ToLower(c.SHA256) != c.SHA256:
			bad("sha256", "this is not a SHA-256", "write the 64 hex digits in lower case that sha256sum prints")
		case c.Script == "":
			bad("sha256", "there is no script that it could be of", "remove it, or add script: s3://BUCKET/KEY")
		}
	}
	if c.Script == "" {
		return
	}
	if !scriptForm.MatchString(c.Script) {
		bad("script", "this is not the address of an object", "write s3://BUCKET/KEY; a file of the machine is run by argv: [/path/of/it]")
		return
	}
	_, key := c.scriptObject()
	switch err := store.CheckKey(key); {
	case err != nil:
		bad("script", err.Error(), "write s3://BUCKET/KEY")
	case strings.ContainsAny(key, "{}"):
		bad("script", "a policy cannot name a key with { or } in it", "give the object another name")
	}
}

// scriptObject is bucket and key of script.
func (c *Config) scriptObject() (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(c.Script, "s3://"), "/")
	return bucket, key
}

// checkEnvironment looks at variables, plain and secret.
func (c *Config) checkEnvironment(bad badFunc) {
	name := func(key, n string) {
		switch {
		case !envForm.MatchString(n):
			bad(key, fmt.Sprintf("%q is not the name of a variable", n), "use letters, digits and underscores, a digit not first")
		case strings.HasPrefix(n, "MAYFLY_"):
			bad(key, "names that begin with MAYFLY_ are mayfly's own", "choose another name")
		}
	}
	for _, n := range slices.Sorted(maps.Keys(c.Env)) {
		key, v := "env."+n, c.Env[n]
		name(key, n)
		_, notRef := secret.ParseRef(v)
		switch {
		case strings.ContainsRune(v, 0):
			bad(key, "the value holds a NUL character", "remove it")
		case holdsSecret(v):
			bad(key, "this looks like a secret", "take it out and revoke it, for it was written down; keep a new one where secrets are kept and name that: secrets: {"+n+": ssm:/NAME}")
		case notRef == nil && !strings.HasPrefix(v, "file:"):
			bad(key, "this names a secret, but env gives its name and not the secret", "move it: secrets: {"+n+": "+v+"}")
		}
	}
	for _, n := range slices.Sorted(maps.Keys(c.Secrets)) {
		name("secrets."+n, n)
		if _, both := c.Env[n]; both {
			bad("secrets."+n, "env has this variable too", "remove one of the two")
		}
	}
}

func (c *Config) checkSecretFiles(bad badFunc) {
	for _, n := range slices.Sorted(maps.Keys(c.SecretFiles)) {
		if !fileForm.MatchString(n) {
			bad("secret_files."+n, fmt.Sprintf("%q is not a plain file name", n), "use letters, digits, '.', '_' and '-', beginning with a letter, a digit or _")
		}
	}
}

// checkPlace looks at where the command runs, and as whom.
func (c *Config) checkPlace(bad badFunc) {
	switch {
	case c.Dir == "":
	case strings.ContainsRune(c.Dir, 0):
		bad("dir", "it holds a NUL character", "remove it")
	case !path.IsAbs(c.Dir):
		bad("dir", fmt.Sprintf("%q depends on where mayfly is started", c.Dir), "write the whole path, beginning with /")
	}
	switch a := c.Artifacts; {
	case a == "":
	case path.IsAbs(a):
		bad("artifacts", "it is looked for below the working directory", "write it like out, and name the directory above it under dir")
	case path.Clean(a) == ".." || strings.HasPrefix(path.Clean(a), "../") || strings.ContainsAny(a, "\x00\\"):
		bad("artifacts", fmt.Sprintf("%q is not below the working directory", a), "write it like out")
	}
	switch u := c.User; {
	case u == "":
	case !userForm.MatchString(u):
		bad("user", fmt.Sprintf("%q is not a user", u), "write a name like nobody, or a number in quotes")
	case !c.AWS && (u == "root" || strings.Trim(u, "0") == ""):
		bad("user", "root can always reach the instance's credentials", "add aws: true to let the command have them, or name another user")
	}
	seen := map[string]bool{}
	for i, p := range c.Packages {
		key := fmt.Sprintf("packages[%d]", i)
		switch {
		case !packageForm.MatchString(p):
			bad(key, fmt.Sprintf("%q is not the name of a package", p), "write what you would give to dnf install or apt-get install")
		case seen[p]:
			bad(key, fmt.Sprintf("%q is there twice", p), "remove one")
		}
		seen[p] = true
	}
}

func (c *Config) checkLimits(bad badFunc) {
	if c.Memory != 0 && c.Memory < minMemory {
		bad("memory", fmt.Sprintf("%s is too little for any program", c.Memory), "give at least 16MiB")
	}
	if c.Output != 0 && (c.Output < minOutput || c.Output > maxOutput) {
		bad("output", fmt.Sprintf("%s is out of range", c.Output), "give 16KiB to 4MiB; let the command write more than that to a file, and keep it with artifacts")
	}
	if time.Duration(c.Stop) > maxStop {
		bad("stop", fmt.Sprintf("%s is too long", c.Stop), "give at most 15s: a run that is stopped must be over in 20")
	}
}

// Needs names the secrets, the packages and what the role must be allowed.
func (c *Config) Needs() runner.Needs {
	n := runner.Needs{Permissions: c.permissions(), Packages: c.Packages}
	for _, m := range []map[string]secret.Ref{c.Secrets, c.SecretFiles} {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if ref := m[name]; !ref.IsZero() && !slices.Contains(n.Secrets, ref) {
				n.Secrets = append(n.Secrets, ref)
			}
		}
	}
	return n
}

// New builds the job.
func (c *Config) New(env runner.Env) (runner.Job, error) {
	return &job{config: c, env: env, blocked: metadataAddresses(), processes: maxProcesses}, nil
}
