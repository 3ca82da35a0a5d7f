package secret

import (
	"fmt"
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

// ParseRef parses a reference. Its error never holds the text, which may be a
// secret pasted by mistake.
func ParseRef(s string) (Ref, error) {
	scheme, name, ok := strings.Cut(s, ":")
	if ok && name != "" {
		switch scheme {
		case "ssm", "secretsmanager", "env", "file":
			return Ref{scheme, name}, nil
		}
	}
	return Ref{}, fmt.Errorf("not a reference to a secret: write ssm:/name, secretsmanager:name, env:NAME or file:/path, never the secret itself")
}

// UnmarshalText is ParseRef.
func (r *Ref) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRef(string(b))
	return err
}

// MarshalText is String.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
