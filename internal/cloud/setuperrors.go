package cloud

import (
	"errors"
	"regexp"
	"strings"

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
	e, ok := errors.AsType[*actionError](err)
	if !ok {
		if e, ok = errors.AsType[*actionError](Explain(err, action, resource)); !ok {
			return err
		}
	}
	if role, ok := errors.AsType[*roleError](e.err); ok && e.kind == ErrNoCredentials {
		e.reason, e.fix = explainLogin(role)
		return e
	}
	if api, ok := errors.AsType[smithy.APIError](e.err); ok {
		explainSetupCode(e, api.ErrorCode(), api.ErrorMessage())
	}
	return e
}

// explainSetupCode covers the codes that Explain does not know, or not well
// enough. Sources: the "Errors" of the API references, and "Error codes for the
// Amazon EC2 API" in its own.
func explainSetupCode(e *actionError, code, said string) {
	coded := "(" + code + ": " + said + ")"
	switch {
	case code == "UnauthorizedOperation":
		// What follows is 500 characters that only sts:DecodeAuthorizationMessage
		// can read.
		said, _, _ = strings.Cut(said, " Encoded authorization failure message")
		e.reason = "access denied (" + code + ": " + said + ")"
	case e.kind == ErrDenied, code == "RequestLimitExceeded": // a throttle
	case strings.HasSuffix(code, "AlreadyExists"), strings.HasSuffix(code, "AlreadyExistsException"):
		e.kind, e.reason, e.fix = ErrExists, "it exists already "+coded, ""
	case code == "NoSuchEntity", code == "NoSuchBucket", strings.HasSuffix(code, ".NotFound"),
		code == "ValidationError" && doesNotExist.MatchString(said):
		e.kind, e.reason, e.fix = ErrNotFound, "it does not exist "+coded, "check its name, account and region"
	case code == "OperationInProgress", code == "OperationInProgressException", code == "ScalingActivityInProgress", code == "ResourceContention",
		code == "ValidationError" && inProgress.MatchString(said):
		e.kind, e.reason, e.fix = ErrBusy, "another operation is at work on it "+coded, "try again when it has ended"
	case code == "ValidationError": // what is wrong with a template, a size or a state: AWS says it
		e.fix = ""
	case code == "AuthFailure", code == "OptInRequired":
		e.reason, e.fix = "AWS does not accept the credentials in this region "+coded,
			"check the region; some have to be enabled for an account first"
	case code == "InvalidInstanceType":
		e.kind, e.reason, e.fix = ErrNotFound, "the region does not know them "+coded, fixTypes
	case strings.HasSuffix(code, "LimitExceeded"), strings.HasSuffix(code, "LimitExceededException"):
		e.reason, e.fix = "a quota of the account is used up "+coded, "remove what is not needed, or ask for more in Service Quotas"
	}
}

// That a stack is in review, a change set has made it and waits to be carried
// out: that may be for ever.
var (
	doesNotExist = regexp.MustCompile(`(?i)does not exist|\bnot found\b`)
	inProgress   = regexp.MustCompile(`(CREATE|UPDATE|DELETE|ROLLBACK|CLEANUP|IMPORT)_IN_PROGRESS`)
)

// notFound is the error for what a list does not hold.
func notFound(action, resource, reason, fix string) error {
	return &actionError{action: action, resource: resource, kind: ErrNotFound, reason: reason, fix: fix, err: ErrNotFound}
}

// withFix replaces what to do about something that does not exist.
func withFix(err error, fix string) error {
	if e, ok := errors.AsType[*actionError](err); ok && e.kind == ErrNotFound {
		e.fix = fix
	}
	return err
}
