package cloud

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
)

// explainLoad says what to do about a profile that cannot be used at all.
func explainLoad(err error) error {
	const doing = "load the AWS configuration"
	if errors.As(err, new(config.AssumeRoleTokenProviderNotSetError)) {
		return fmt.Errorf("%s: %w", doing, &roleError{
			reason: "the profile's role wants a code from an MFA device, which mayfly does not ask for",
			fix:    "get credentials with aws sts get-session-token, or let a credential_process ask",
		})
	}
	return fmt.Errorf("%s: %w: check AWS_PROFILE and ~/.aws/config", doing, err)
}

// explainLogin says what to do about credentials that a person's own machine
// could not come by. The SDK has no typed errors for most of it.
// https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
func explainLogin(role *roleError) (reason, fix string) {
	const noneFix = "log in with aws sso login or aws configure, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
	said := role.reason
	has := func(list ...string) bool {
		for _, s := range list {
			if strings.Contains(said, s) {
				return true
			}
		}
		return false
	}
	switch {
	case has("please reauthenticate", "login token"):
		return "the login of the AWS console has expired, or there was none (" + briefly(said) + ")",
			"aws login, with --profile where AWS_PROFILE names one"
	case has("SSO", "sso"):
		return "the login of the AWS access portal has expired, or there was none (" + briefly(said) + ")",
			"aws sso login, with --profile where AWS_PROFILE names one"
	case has("credential_process", "process provider", "ProcessProvider"):
		return "the profile's credential_process gave no credentials (" + briefly(said) + ")", "run it by hand to see why"
	case has("AssumeRole"):
		return "the profile's role cannot be assumed (" + briefly(said) + ")", "check role_arn and source_profile in ~/.aws/config, and the role's trust policy"
	case said == ErrNoCredentials.Error(), has("EC2 IMDS", "instance has no role"):
		return ErrNoCredentials.Error(), noneFix
	}
	return said, role.fix
}

// briefly is the innermost part of a chain of the SDK's errors, which begins
// with what it tried to do at five levels.
func briefly(said string) string {
	said = strings.TrimSuffix(said, ")")
	if _, inner, ok := strings.Cut(said, "("); ok {
		said = inner
	}
	if _, inner, ok := strings.Cut(said, "api error "); ok {
		return inner
	}
	if i := strings.Index(said, "cached SSO token is"); i >= 0 {
		return said[i:] // it has commas
	}
	parts := strings.Split(said, ", ")
	return strings.Join(parts[max(0, len(parts)-2):], ", ")
}
