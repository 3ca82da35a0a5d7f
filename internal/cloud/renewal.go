package cloud

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// renewPause is how long credentials that were fetched anew are believed in:
// many requests that fail at once make one fetch.
const renewPause = time.Minute

// A role is credentials that can be fetched anew, with readable errors. The
// SDK fetches them when they are about to expire. When that fails it goes on
// with the old ones, and AWS may also end them early: then they are fetched
// because a service says that they have expired.
type role struct {
	cache *aws.CredentialsCache

	mu      sync.Mutex
	had     bool      // credentials were there once
	renewed time.Time // because a service said so
}

// Retrieve implements aws.CredentialsProvider.
func (r *role) Retrieve(ctx context.Context) (aws.Credentials, error) {
	creds, err := r.cache.Retrieve(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(ctx.Err(), context.Canceled) {
		return creds, context.Canceled
	}
	if err != nil {
		return creds, explainRole(err, r.had)
	}
	r.had = true
	return creds, nil
}

// renew has the next request use new credentials. It reports whether that is
// possible.
func (r *role) renew() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.renewed) < renewPause {
		return true
	}
	creds, err := r.cache.Retrieve(context.Background()) // what is there: a moment ago it was used
	if err != nil || !creds.CanExpire {
		return false
	}
	r.cache.Invalidate()
	r.renewed = time.Now()
	return true
}

// A renewing retryer tries requests again with new credentials when a service
// finds the old ones expired.
type renewing struct {
	*retry.Standard
	renew func() bool
}

// IsErrorRetryable implements aws.Retryer.
func (r renewing) IsErrorRetryable(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	if ok && isExpired(api.ErrorCode()) {
		return r.renew()
	}
	return r.Standard.IsErrorRetryable(err)
}

// isExpired knows the codes of expired credentials. BadRequest is what the SDK
// makes of S3's answer to a HEAD request: 400, and no body to say why.
func isExpired(code string) bool {
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "BadRequest":
		return true
	}
	return false
}

// A roleError says why there are no credentials. It does not wrap the SDK's
// error: a 404 of the metadata service must not pass for the 404 of the
// service that was to be asked.
type roleError struct {
	reason, fix string
	again       bool
}

func (e *roleError) Error() string { return e.reason + ": " + e.fix }

// Is makes it an ErrNoCredentials.
func (e *roleError) Is(target error) bool { return target == ErrNoCredentials }

// RetryableError tells the SDK's retryer whether trying again is of use.
func (e *roleError) RetryableError() bool { return e.again }

// explainRole says why credentials could not be fetched; had: they could
// before.
func explainRole(err error, had bool) error {
	e := &roleError{again: had && !isFinal(err)}
	const attach = "attach an instance profile with the role that mayfly iam prints"
	api, isAPI := errors.AsType[smithy.APIError](err)
	fromMetadata := strings.Contains(err.Error(), "EC2 IMDS")
	switch {
	case fromMetadata && isAPI:
		e.reason = "EC2 cannot assume the instance's role (" + api.ErrorCode() + ": " + api.ErrorMessage() + ")"
		e.fix = "let ec2.amazonaws.com assume it: mayfly iam prints the trust policy"
	case fromMetadata && (isAbsent(err) || strings.Contains(err.Error(), "empty EC2 IMDS role list")):
		e.reason, e.fix = "the instance has no role", attach
	case fromMetadata && had:
		e.reason, e.fix = "the role's credentials cannot be renewed", explainMetadata(err).Error()
	case fromMetadata && statusOf(err) != 0:
		e.reason, e.fix = ErrNoCredentials.Error(), explainMetadata(err).Error()
	case !fromMetadata:
		e.reason = "there are no usable AWS credentials (" + strings.TrimPrefix(err.Error(), "failed to refresh cached credentials, ") + ")"
		e.fix = "log in again, or check AWS_PROFILE"
	default:
		e.reason = ErrNoCredentials.Error()
		e.fix = "log in with aws sso login or aws configure, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; an instance needs a role"
	}
	return e
}
