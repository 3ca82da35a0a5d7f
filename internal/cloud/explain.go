package cloud

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Errors that can be told apart with errors.Is.
var (
	ErrNotFound      = errors.New("it does not exist")
	ErrDenied        = errors.New("access denied")
	ErrNoCredentials = errors.New("no AWS credentials were found")
)

// An actionError is an AWS request that failed: what, on what, why, and what
// to do.
type actionError struct {
	action, resource string // "sns:Publish", an ARN or a name
	kind             error  // one of the Errors above, or nil
	reason, fix      string
	err              error
}

func (e *actionError) Error() string {
	s := fmt.Sprintf("%s %s: %s", e.action, e.resource, e.reason)
	if e.fix != "" {
		s += ": " + e.fix
	}
	return s
}

func (e *actionError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.err}
	}
	return []error{e.kind, e.err}
}

// Explain makes an SDK error readable. action is the IAM action that the
// request needs, resource what it is about. The SDK's error stays reachable
// with errors.As. nil stays nil.
func Explain(err error, action, resource string) error {
	if err == nil {
		return nil
	}
	e := &actionError{action: action, resource: resource, err: err}
	var api smithy.APIError
	var role *roleError
	switch {
	case forbidden(err):
		e.kind, e.reason, e.fix = ErrDenied, "access denied (HTTP status 403, without a reason)", "grant "+action+" on "+resource
	case errors.As(err, &api):
		e.reason, e.fix, e.kind = explainCode(api, action, resource)
	case errors.As(err, &role):
		e.kind, e.reason, e.fix = ErrNoCredentials, role.reason, role.fix
	case errors.Is(err, context.DeadlineExceeded):
		e.reason, e.fix = "no answer in time", "check network, endpoint and region"
	case errors.Is(err, context.Canceled):
		e.reason = "cancelled"
	default:
		e.reason, e.fix = network(err)
	}
	return e
}

// forbidden reports whether the answer was a refusal that the SDK could not
// read: servers other than AWS deny in another form than the service answers.
func forbidden(err error) bool {
	var re *smithyhttp.ResponseError
	if !errors.As(err, &re) || re.HTTPStatusCode() != http.StatusForbidden {
		return false
	}
	var api smithy.APIError
	return !errors.As(err, &api) || api.ErrorCode() == "UnknownError"
}

// network finds the innermost error worth reading.
func network(err error) (reason, fix string) {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fmt.Sprintf("%s cannot be resolved", dns.Name), "check region and network"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Error(), "check network and endpoint"
	}
	return err.Error(), ""
}

// explainCode covers the codes of the services in use; the same mistake has
// several names. Sources: the API references' "Common Errors" pages.
func explainCode(api smithy.APIError, action, resource string) (reason, fix string, kind error) {
	said := api.ErrorCode()
	if m := api.ErrorMessage(); m != "" {
		said += ": " + m
	}
	switch api.ErrorCode() {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		return "the AWS credentials have expired (" + said + ")", "log in again, or check the machine's clock", nil
	case "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch",
		"InvalidSignatureException", "IncompleteSignature", "MissingAuthenticationToken", "InvalidToken":
		return "AWS does not accept the credentials (" + said + ")", "check AWS_PROFILE, the access key, and the machine's clock", nil
	case "AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException", "UnauthorizedOperation":
		return "access denied (" + said + ")", "grant " + action + " on " + resource, ErrDenied
	case "NotFound", "NotFoundException", "ParameterNotFound", "ParameterVersionNotFound", "ResourceNotFoundException":
		return "it does not exist (" + said + ")", "check its name, account and region", ErrNotFound
	case "InvalidParameter", "InvalidParameterException", "InvalidParameterValue", "ValidationError", "ValidationException", "InvalidRequestException":
		return "not accepted (" + said + ")", "check the name or ARN", nil
	case "InvalidKeyId", "KMSAccessDenied", "KMSAccessDeniedException", "DecryptionFailure":
		return "it cannot be decrypted (" + said + ")", "grant kms:Decrypt on its key", nil
	case "Throttling", "ThrottlingException", "Throttled", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded":
		return fmt.Sprintf("throttled %d times in a row (%s)", attempts, said), "try again later", nil
	}
	return said, "", nil
}
