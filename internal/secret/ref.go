package secret

import (
	"errors"
	"regexp"
	"strings"
)

// A Ref says where a secret is kept; it is not the secret. Forms:
//
//	ssm:/name                 AWS Systems Manager parameter (SecureString)
//	secretsmanager:name       AWS Secrets Manager secret (name or ARN)
//	env:NAME                  environment variable
//	file:/path                a file's content, trailing newline removed
type Ref struct{ Scheme, Name string }

func (r Ref) String() string { return r.Scheme + ":" + r.Name }

// IsZero reports whether there is no reference.
func (r Ref) IsZero() bool { return r == Ref{} }

// Pattern is the form for the config's schema.
func (Ref) Pattern() string {
	return `^(ssm:/?[A-Za-z0-9_./-]+|secretsmanager:[A-Za-z0-9_/+=.@:-]+|env:[A-Za-z_][A-Za-z0-9_]*|file:[^\n]+)$`
}

// Sensitive marks that a text which is no Ref may well be a secret.
func (Ref) Sensitive() {}

var refForm = regexp.MustCompile(Ref{}.Pattern())

// ParseRef parses a reference. Its error never holds the text, which may be a
// secret pasted by mistake.
func ParseRef(s string) (Ref, error) {
	switch {
	case tokens.MatchString(s):
		return Ref{}, errors.New("holds the secret itself: revoke it, for it stands in a file now, and write where the new one is kept: ssm:/name, secretsmanager:name, env:NAME or file:/path")
	case !refForm.MatchString(s):
		return Ref{}, errors.New("not a reference to a secret: write ssm:/name, secretsmanager:name, env:NAME or file:/path, never the secret itself")
	}
	scheme, name, _ := strings.Cut(s, ":")
	return Ref{scheme, name}, nil
}

// UnmarshalText is ParseRef.
func (r *Ref) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRef(string(b))
	return err
}

// MarshalText is String.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
