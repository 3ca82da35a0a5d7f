package cloud

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
)

// More errors that can be told apart with errors.Is.
var (
	ErrExists = errors.New("it exists already")
	ErrBusy   = errors.New("another operation is at work on it")
)

// explainSetup is Explain for the services with which a person sets a
// deployment up: it knows their codes too, and what can be wrong with the
// credentials on a person's own machine.
func explainSetup(err error, action, resource string) error {
	err = Explain(err, action, resource)
	e, ok := errors.AsType[*actionError](err)
	if !ok {
		return err
	}
	if role, ok := errors.AsType[*roleError](e.err); ok && e.kind == ErrNoCredentials {
		e.reason, e.fix = explainLogin(role)
		return e
	}
	api, ok := errors.AsType[smithy.APIError](e.err)
	if !ok || errors.Is(e.kind, ErrDenied) && api.ErrorCode() != "UnauthorizedOperation" {
		return e
	}
	said := api.ErrorMessage()
	switch code := api.ErrorCode(); {
	case code == "UnauthorizedOperation":
		// What follows is 500 characters that only sts:DecodeAuthorizationMessage
		// can read.
		said, _, _ = strings.Cut(said, " Encoded authorization failure message")
		e.reason = "access denied (" + code + ": " + said + ")"
	case strings.HasSuffix(code, "AlreadyExists"), strings.HasSuffix(code, "AlreadyExistsException"):
		e.kind, e.reason, e.fix = ErrExists, "it exists already ("+code+": "+said+")", ""
	case code == "NoSuchEntity", code == "NoSuchBucket", strings.HasSuffix(code, ".NotFound"),
		code == "ValidationError" && doesNotExist.MatchString(said):
		e.kind, e.reason, e.fix = ErrNotFound, "it does not exist ("+code+": "+said+")", "check its name, account and region"
	case code == "OperationInProgress", code == "OperationInProgressException",
		code == "ValidationError" && strings.Contains(said, "_IN_PROGRESS"):
		e.kind, e.reason, e.fix = ErrBusy, "another operation is at work on it ("+said+")", "try again when it has ended"
	case code == "AuthFailure", code == "OptInRequired":
		e.reason, e.fix = "AWS does not accept the credentials in this region ("+code+": "+said+")",
			"check the region; some have to be enabled for an account first"
	case code == "InvalidInstanceType":
		e.fix = "check instance.types in the config, and the region"
	case strings.HasPrefix(code, "LimitExceeded"), strings.HasSuffix(code, "LimitExceeded"), strings.HasSuffix(code, "LimitExceededException"):
		e.reason, e.fix = "a quota of the account is used up ("+code+": "+said+")", "remove what is not needed, or ask for more in Service Quotas"
	}
	return e
}

var doesNotExist = regexp.MustCompile(`(?i)does not exist|not found`)

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
	case has("SSO", "sso"):
		return "the login of the AWS access portal has expired, or there was none (" + briefly(said) + ")",
			"aws sso login, with --profile where AWS_PROFILE names one"
	case has("credential_process", "process provider", "ProcessProvider"):
		return "the profile's credential_process gave no credentials (" + briefly(said) + ")", "run it by hand to see why"
	case has("AssumeRole"):
		return "the profile's role cannot be assumed (" + briefly(said) + ")", "check role_arn and source_profile in ~/.aws/config, and the role's trust policy"
	case role.reason == ErrNoCredentials.Error(), has("no EC2 IMDS role found", "EC2 IMDS", "instance has no role"):
		return ErrNoCredentials.Error(), noneFix
	}
	return said, role.fix
}

// explainLoad says what to do about a profile that cannot be used at all.
func explainLoad(err error) error {
	if errors.As(err, new(config.AssumeRoleTokenProviderNotSetError)) {
		return errors.New("load the AWS configuration: " + mfaReason + ": " + mfaFix)
	}
	return fmt.Errorf("load the AWS configuration: %w: check AWS_PROFILE and ~/.aws/config", err)
}

const (
	mfaReason = "the profile's role wants a code from an MFA device, which mayfly does not ask for"
	mfaFix    = "get credentials with aws sts get-session-token, or let a credential_process ask"
)

// briefly is the innermost part of a chain of the SDK's errors, which begins
// with what it tried to do at five levels.
func briefly(said string) string {
	said = strings.TrimSuffix(said, ")")
	if _, inner, ok := strings.Cut(said, "("); ok {
		said = inner
	}
	parts := strings.Split(said, ", ")
	return strings.Join(parts[max(0, len(parts)-2):], ", ")
}
