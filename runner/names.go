package runner

import (
	"errors"
	"net/mail"
	"regexp"
	"strings"
)

// A Name names a deployment, and with it every AWS resource of it: a stack's
// name begins with a letter, a bucket's has no upper case, and what is put
// behind it must still fit into 64 characters.
type Name string

var nameForm = regexp.MustCompile(Name("").Pattern())

// Pattern is the form for the schema.
func (Name) Pattern() string { return `^[a-z][a-z0-9-]{0,30}[a-z0-9]$` }

// UnmarshalText checks the form.
func (n *Name) UnmarshalText(b []byte) error {
	if !nameForm.Match(b) {
		return errors.New("not a name that AWS takes everywhere: use 2 to 32 lower-case letters, digits and hyphens, beginning with a letter")
	}
	*n = Name(b)
	return nil
}

// A JobName names a job; it stands in logs and reports, and in keys of the
// store when there is no prefix.
type JobName string

var jobNameForm = regexp.MustCompile(JobName("").Pattern())

// Pattern is the form for the schema.
func (JobName) Pattern() string { return `^[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?$` }

// UnmarshalText checks the form.
func (n *JobName) UnmarshalText(b []byte) error {
	if !jobNameForm.Match(b) {
		return errors.New("not a job's name: use up to 40 lower-case letters, digits, hyphens and underscores")
	}
	*n = JobName(b)
	return nil
}

// A Prefix is where a job writes in the store: path parts without slashes
// around them.
type Prefix string

var prefixForm = regexp.MustCompile(Prefix("").Pattern())

// Pattern is the form for the schema.
func (Prefix) Pattern() string {
	return `^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}){0,7}$`
}

// UnmarshalText checks the form.
func (p *Prefix) UnmarshalText(b []byte) error {
	if !prefixForm.Match(b) {
		return errors.New(`not a prefix: use letters, digits, ".", "-" and "_", with "/" between parts and none around them`)
	}
	*p = Prefix(b)
	return nil
}

// An Email is one plain address.
type Email string

// Pattern is the form for the schema, looser than the check.
func (Email) Pattern() string { return `^[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+$` }

var emailForm = regexp.MustCompile(Email("").Pattern())

// UnmarshalText checks the address; SNS takes ASCII only.
func (e *Email) UnmarshalText(b []byte) error {
	a, err := mail.ParseAddress(string(b))
	ascii := strings.IndexFunc(string(b), func(r rune) bool { return r > 0x7e }) < 0
	if err != nil || a.Address != string(b) || !ascii || !emailForm.Match(b) {
		return errors.New("not an e-mail address: write it like you@example.com")
	}
	*e = Email(b)
	return nil
}

// A TopicARN names an SNS topic of the user's own.
type TopicARN string

var topicForm = regexp.MustCompile(TopicARN("").Pattern())

// Pattern is the form for the schema. FIFO topics cannot send mail.
func (TopicARN) Pattern() string {
	return `^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$`
}

// UnmarshalText checks the form.
func (t *TopicARN) UnmarshalText(b []byte) error {
	if !topicForm.Match(b) {
		return errors.New("not a standard topic's ARN: write it like arn:aws:sns:eu-west-1:123456789012:backups")
	}
	*t = TopicARN(b)
	return nil
}

// A Region is an AWS region's code, or what a compatible store calls its own.
type Region string

var regionForm = regexp.MustCompile(Region("").Pattern())

// Pattern is the form for the schema.
func (Region) Pattern() string { return `^[a-z0-9][a-z0-9-]{1,40}$` }

// UnmarshalText checks the form only: new regions come without asking.
func (r *Region) UnmarshalText(b []byte) error {
	if !regionForm.Match(b) {
		return errors.New("not a region: write its code, like eu-west-1")
	}
	*r = Region(b)
	return nil
}

// A KMSKey is the ARN of a key of AWS KMS.
type KMSKey string

var keyForm = regexp.MustCompile(KMSKey("").Pattern())

// Pattern is the form for the schema. An alias will not do: policies take keys.
// https://docs.aws.amazon.com/kms/latest/developerguide/cmks-in-iam-policies.html
func (KMSKey) Pattern() string { return `^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$` }

// UnmarshalText checks the form.
func (k *KMSKey) UnmarshalText(b []byte) error {
	if !keyForm.Match(b) {
		return errors.New("not the ARN of a key: write it like arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab")
	}
	*k = KMSKey(b)
	return nil
}
