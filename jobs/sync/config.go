// Package dirsync keeps a directory in the store, or brings it back from there:
// each file is one object under its own path, so that every tool that knows S3
// can read it.
package dirsync

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mayfly/iam"
	"mayfly/runner"
)

// A Config is the `sync:` mapping of a job. One of From and To is given.
type Config struct {
	From         string    `yaml:"from" doc:"the directory whose files are kept in the store, under the job's prefix" example:"/srv/documents"`
	To           string    `yaml:"to" doc:"instead of from: the directory that the job's prefix in the store is brought to" example:"/srv/documents"`
	Include      []string  `yaml:"include" doc:"globs as rclone's; only files that match one are taken" example:"[\"*.jpg\"]"`
	Exclude      []string  `yaml:"exclude" doc:"globs as rclone's; what matches one is left out" example:"[\"*.tmp\", \"/cache/**\"]"`
	Filter       []string  `yaml:"filter" doc:"rules in rclone's order instead of include and exclude: + GLOB takes, - GLOB leaves out, the first that matches counts" example:"[\"- *.tmp\", \"+ /keep/**\", \"- *\"]"`
	Compare      string    `yaml:"compare" doc:"what tells a changed file: time, that is size and time, or checksum, that is every byte (default time)" enum:"time,checksum"`
	Delete       bool      `yaml:"delete" doc:"delete on the other side what is here no more; off by default"`
	MaxDelete    MaxDelete `yaml:"max_delete" doc:"with delete: how many files, or which share of them, may be deleted at once; more deletes none (default 10%)" example:"10%"`
	StorageClass string    `yaml:"storage_class" doc:"the storage class of what is written; the bucket's default without it" example:"STANDARD_IA"`
	KMSKey       string    `yaml:"kms_key" doc:"ARN of the KMS key that S3 encrypts with; the bucket's default without it" example:"arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"`
	Parallel     int       `yaml:"parallel" doc:"files at once, 1 to 24 (default 16)" min:"1" max:"24"`
}

var _ runner.JobConfig = (*Config)(nil)

const (
	defaultParallel = 16
	maxParallel     = 24

	compareTime     = "time"
	compareChecksum = "checksum"
)

// A MaxDelete is a count, or a share in percent; the zero value is the default.
type MaxDelete struct {
	n     int
	share bool // n is in percent
	given bool
}

const defaultMaxDelete = 10 // percent

var maxDeleteForm = regexp.MustCompile(MaxDelete{}.Pattern())

// Pattern is the form for the schema.
func (MaxDelete) Pattern() string { return `^([0-9]{1,9}|(100|[0-9]{1,2})%)$` }

// UnmarshalText takes "100" and "10%".
func (m *MaxDelete) UnmarshalText(b []byte) error {
	if !maxDeleteForm.Match(b) {
		return fmt.Errorf("neither a number nor a share: write it like \"100\" or 10%%")
	}
	text, share := strings.CutSuffix(string(b), "%")
	n, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	*m = MaxDelete{n: n, share: share, given: true}
	return nil
}

// of is how many of so many files may be deleted at once: of a share that is
// not 0%, at least one.
func (m MaxDelete) of(files int) int {
	switch {
	case !m.given:
		return max(1, files*defaultMaxDelete/100)
	case !m.share:
		return m.n
	case m.n == 0:
		return 0
	}
	return max(1, files*m.n/100)
}

func (m MaxDelete) String() string {
	switch {
	case !m.given:
		return strconv.Itoa(defaultMaxDelete) + "%"
	case m.share:
		return strconv.Itoa(m.n) + "%"
	}
	return strconv.Itoa(m.n)
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
var classes = []string{"STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE", "REDUCED_REDUNDANCY"}

var keyForm = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)

// Validate returns all mistakes at once.
func (c *Config) Validate() []runner.Problem {
	var ps []runner.Problem
	bad := func(key, reason, fix string) {
		ps = append(ps, runner.Problem{Item: key, Reason: reason, Fix: fix})
	}
	switch {
	case c.From == "" && c.To == "":
		bad("", "it names no directory", "add from: /DIRECTORY to keep one in the store, or to: /DIRECTORY to bring one back")
	case c.From != "" && c.To != "":
		bad("to", "both from and to are given", "keep from to write to the store, or to to read from it; for both, write two jobs")
	}
	for key, dir := range map[string]string{"from": c.From, "to": c.To} {
		switch clean := filepath.Clean(dir); {
		case dir == "":
		case !filepath.IsAbs(dir):
			bad(key, fmt.Sprintf("%q depends on where mayfly is started", dir), "write the whole path, like /srv/documents")
		case filepath.Dir(clean) == clean:
			bad(key, "this is the whole file system, with devices and what changes all the time", "name a directory below it")
		}
	}
	if len(c.Filter) > 0 && len(c.Include)+len(c.Exclude) > 0 {
		bad("filter", "it stands beside include or exclude", "write all rules under filter, in their order, or none")
	}
	c.checkGlobs(bad)
	if c.To != "" {
		for key, given := range map[string]bool{"storage_class": c.StorageClass != "", "kms_key": c.KMSKey != ""} {
			if given {
				bad(key, "is about what is written to the store, and to only reads from there", "remove it")
			}
		}
	}
	if c.MaxDelete.given && !c.Delete {
		bad("max_delete", "nothing is deleted without delete", "add delete: true, or remove it")
	}
	if s := c.StorageClass; s != "" && !slices.Contains(classes, s) {
		bad("storage_class", fmt.Sprintf("%q is no storage class", s), "write one of "+strings.Join(classes, ", "))
	}
	if c.KMSKey != "" && !keyForm.MatchString(c.KMSKey) {
		bad("kms_key", "not the ARN of a KMS key; a role cannot be granted an alias", "write it like arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab")
	}
	if c.Parallel < 0 || c.Parallel > maxParallel {
		bad("parallel", fmt.Sprintf("%d files at once is out of range", c.Parallel), fmt.Sprintf("give 1 to %d", maxParallel))
	}
	return ps
}

func (c *Config) checkGlobs(bad func(key, reason, fix string)) {
	for key, list := range map[string][]string{"include": c.Include, "exclude": c.Exclude} {
		for i, g := range list {
			if _, err := newRule(key == "include", g); err != nil {
				bad(fmt.Sprintf("%s[%d]", key, i), err.Error(), globFix)
			}
		}
	}
	for i, r := range c.Filter {
		key := fmt.Sprintf("filter[%d]", i)
		take, glob, ok := cutRule(r)
		if !ok {
			bad(key, fmt.Sprintf("%q is no rule", r), `begin it with "+ " to take what matches, or "- " to leave it out`)
			continue
		}
		if _, err := newRule(take, glob); err != nil {
			bad(key, err.Error(), globFix)
		}
	}
}

const globFix = "write it as rclone does: * stands for anything but /, ** for anything, a / at the beginning for the directory itself"

func (c *Config) parallel() int {
	if c.Parallel == 0 {
		return defaultParallel
	}
	return c.Parallel
}

// Needs implements runner.JobConfig.
func (c *Config) Needs() runner.Needs {
	return runner.Needs{Permissions: c.permissions()}
}

// permissions are what the job does in the store: an index of its own besides
// the files.
func (c *Config) permissions() []iam.Statement {
	list := []iam.Statement{
		iam.List("{job}List", "*"),
		iam.Read("{job}Read", "*"),
	}
	deleted := []string{}
	if c.From != "" {
		list = append(list, iam.Write("{job}Write", "*")...)
		deleted = append(deleted, indexDir+"*") // of former runs
		if c.Delete {
			deleted = []string{"*"}
		}
		list = append(list, iam.Delete("{job}Delete", deleted...))
	}
	if c.KMSKey != "" {
		list = append(list, iam.EncryptObjects("{job}Encrypt", c.KMSKey))
	}
	return list
}

// New implements runner.JobConfig.
func (c *Config) New(env runner.Env) (runner.Job, error) {
	f, err := newFilter(c)
	if err != nil {
		return nil, err
	}
	j := &job{config: c, env: env, filter: f, skew: skew}
	if key, dir := j.dir(); env.Store != nil && j.aroundStore(dir) { // before the run makes the store
		return nil, errAround(key, dir)
	}
	return j, nil
}
