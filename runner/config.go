package runner

import (
	"slices"

	"mayfly/internal/secret"
	"mayfly/internal/strictyaml"
)

// A Config is one deployment: the YAML file, decoded. On a person's own
// machine a name, a store and jobs are enough.
type Config struct {
	Name     Name         `yaml:"name,required" doc:"names the deployment and every AWS resource of it" example:"onlinebackup"`
	Region   Region       `yaml:"region" doc:"the AWS region of everything that is not given another" example:"eu-west-1"`
	Store    StoreSpec    `yaml:"store,required" doc:"where everything is kept: s3://BUCKET, s3://BUCKET/PREFIX or file:///DIRECTORY" example:"s3://onlinebackupbucket"`
	Notify   Notify       `yaml:"notify" doc:"who gets the report; without it, the console"`
	Schedule Schedule     `yaml:"schedule" doc:"when the instance starts, and when it ends at the latest"`
	Instance InstanceSpec `yaml:"instance" doc:"what kind of instance does the work"`
	Network  NetworkSpec  `yaml:"network" doc:"where the instance is; in the region's default VPC by default"`
	Budget   float64      `yaml:"budget" doc:"warn when the account's bill for a month is about to pass so many US dollars" min:"0.01" max:"1000000" example:"5"`
	KMSKeys  []KMSKey     `yaml:"kms_keys" doc:"ARNs of KMS keys of your own that the secrets are encrypted with" example:"[\"arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab\"]"`
	Group    string       `yaml:"group" doc:"name of an Auto Scaling group made by hand; follows from name by default"`
	Keep     Duration     `yaml:"keep_on_failure" doc:"for debugging: how long an instance whose run failed stays for a look, until the deadline at most" example:"30m"`
	Jobs     []JobSpec    `yaml:"jobs,required" doc:"what is done, in this order" example:"[{name: github, github: {owners: [octocat]}}]"`
}

// Secrets are the references of the whole config, each once: those of notify,
// then those of the jobs.
func (c *Config) Secrets() []secret.Ref {
	refs := c.Notify.Secrets()
	for _, j := range c.Jobs {
		refs = append(refs, j.Config.Needs().Secrets...)
	}
	var each []secret.Ref
	for _, r := range refs {
		if !slices.Contains(each, r) {
			each = append(each, r)
		}
	}
	return each
}

// Schedule is when the instance starts and ends.
type Schedule struct {
	Start    Cron     `yaml:"start" doc:"start time in cron's five fields: minute, hour, day of month, month, day of week" example:"0 17 * * FRI"`
	Timezone Zone     `yaml:"timezone" doc:"IANA name of the time zone that start is in; UTC by default" example:"Europe/Berlin"`
	Deadline Duration `yaml:"deadline" doc:"how long after its start a run ends, whatever it is doing" example:"2h"`
}

// A JobSpec is one entry of jobs.
type JobSpec struct {
	Name    JobName  `yaml:"name,required" doc:"names the job in reports and in the store" example:"github"`
	Prefix  Prefix   `yaml:"prefix" doc:"where the job writes in the store; its name by default" example:"github"`
	Timeout Duration `yaml:"timeout" doc:"how long the job may take; until the deadline by default" example:"1h"`
	Work    `yaml:",oneof"`
}

// Work is a job's kind and that kind's own options.
type Work struct {
	Kind   string
	Config JobConfig
}

// ParseOptions are what the file alone does not say.
type ParseOptions struct {
	// Kinds returns a new, empty config for a kind's name, nil when there is
	// no such kind; KindNames are those it knows.
	Kinds     func(name string) JobConfig
	KindNames []string
	// Getenv reads the environment, which may name the region. nil is an
	// empty environment.
	Getenv func(string) string
}

func (o ParseOptions) yaml(redact func(string) string) strictyaml.Options {
	return strictyaml.Options{
		KindNames: o.KindNames,
		Redact:    redact,
		Kinds: func(name string) any {
			if c := o.Kinds(name); c != nil {
				return c
			}
			return nil
		},
	}
}
