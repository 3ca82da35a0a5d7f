package store

import (
	"errors"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// An s3Error is one readable line; what it wraps are the causes.
type s3Error struct {
	text   string
	causes []error
}

func (e *s3Error) Error() string   { return e.text }
func (e *s3Error) Unwrap() []error { return e.causes }

// wrap turns an SDK error into "doing s3://bucket/key: what: what to do".
// kind, if not nil, is the store error that it amounts to.
func (s *S3) wrap(doing, key string, kind, err error) error {
	what, fix := s.explain(doing, key, err)
	if kind != nil {
		what, fix = kind.Error(), ""
	}
	text := doing + " " + s.URL(key) + ": " + what
	if fix != "" {
		text += ": " + fix
	}
	causes := make([]error, 0, 2)
	if kind != nil {
		causes = append(causes, kind)
	}
	if err != nil {
		causes = append(causes, err)
	}
	return &s3Error{text, causes}
}

// explain says what an SDK error means and what to do about it. The codes are
// those of https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func (s *S3) explain(doing, key string, err error) (what, fix string) {
	if err == nil {
		return "", ""
	}
	what = plain(err)
	header := http.Header{}
	status := 0
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) && re.Response != nil {
		header, status = re.Response.Header, re.HTTPStatusCode()
	}
	switch code := errorCode(err); {
	case code == "NoSuchBucket":
		return "bucket " + s.bucket + " does not exist", "create it or correct its name"
	case code == "PermanentRedirect" || code == "AuthorizationHeaderMalformed" ||
		code == "IllegalLocationConstraintException" || status == http.StatusMovedPermanently:
		if region := header.Get("x-amz-bucket-region"); region != "" {
			return "bucket " + s.bucket + " is in region " + region, "set region: " + region + " in the config, or AWS_REGION"
		}
		return "wrong region for bucket " + s.bucket + " (" + what + ")", "set region: in the config, or AWS_REGION, to the bucket's"
	case code == "AccessDenied" || code == "AllAccessDisabled" || status == http.StatusForbidden && (code == "Forbidden" || code == ""):
		return "access denied", "grant " + permission(err) + " on arn:aws:s3:::" + s.bucket + "/" + s.full(key) + " to these credentials"
	case code == "ExpiredToken" || code == "ExpiredTokenException" || code == "TokenRefreshRequired":
		return "the credentials have expired", "renew them"
	case code == "InvalidAccessKeyId" || code == "InvalidToken" || code == "SignatureDoesNotMatch":
		return "the store does not accept the credentials (" + code + ")", "check access key and secret"
	case code == "InvalidObjectState": // https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html
		return "it lies in a storage class that cannot be read at once (GLACIER or DEEP_ARCHIVE)",
			"have S3 bring it back first, which takes hours: aws s3api restore-object --bucket " + s.bucket + " --key '" + strings.ReplaceAll(s.full(key), "'", `'\''`) + "' --restore-request Days=7; then try again"
	case code == "RequestTimeTooSkewed":
		return "this machine's clock is wrong", "set the clock"
	case strings.Contains(err.Error(), "get identity:") || strings.Contains(err.Error(), "no EC2 IMDS role found"):
		what = strings.TrimPrefix(strings.TrimPrefix(what, "get identity: "), "get credentials: ")
		if strings.Contains(what, ": ") { // whoever looked for them says what to do
			return what, ""
		}
		return "no usable AWS credentials (" + what + ")", "log in, or set AWS_PROFILE or AWS_ACCESS_KEY_ID; an instance needs a role"
	case status == http.StatusMethodNotAllowed || code == "NotImplemented":
		return "the store's server cannot do this (" + what + ")", ""
	}
	if _, unsent := errors.AsType[*smithyhttp.RequestSendError](err); unsent {
		return what, "check the network, and endpoint and region in the config"
	}
	return what, ""
}

// plain is an SDK error without the layers of wrapping around it.
func plain(err error) string {
	var re *smithyhttp.ResponseError
	var api smithy.APIError
	if errors.As(err, &api) {
		text := api.ErrorCode()
		if m := api.ErrorMessage(); m != "" && m != text {
			text += ": " + m
		}
		if errors.As(err, &re) {
			if id := re.Response.Header.Get("x-amz-request-id"); id != "" {
				text += " (request " + id + ")"
			}
		}
		return text
	}
	var stalled *stalledError
	var send *smithyhttp.RequestSendError
	var op *smithy.OperationError
	switch {
	case errors.As(err, &stalled):
		return stalled.Error()
	case errors.As(err, &send):
		return send.Err.Error()
	case errors.As(err, &op):
		return op.Err.Error()
	}
	return err.Error()
}

// OfOne reports whether an error is about one object, so that it says nothing of
// how it will go with others: it is too large, lies in a class that cannot be
// read, or its key is none that the store can have.
func OfOne(err error) bool {
	switch errorCode(err) {
	case "InvalidObjectState", "KeyTooLongError", "EntityTooLarge":
		return true
	}
	return errors.Is(err, ErrBlocked) || errors.Is(err, errTooLarge)
}

// permission names the IAM action that the failed operation calls for.
func permission(err error) string {
	var op *smithy.OperationError
	if !errors.As(err, &op) {
		return "the action"
	}
	switch op.OperationName {
	case "HeadObject":
		return "s3:GetObject (and s3:ListBucket)"
	case "ListObjectsV2":
		return "s3:ListBucket"
	case "ListMultipartUploads":
		return "s3:ListBucketMultipartUploads"
	case "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload":
		return "s3:PutObject"
	}
	return "s3:" + op.OperationName
}

func errorCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func statusOf(err error) int {
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) {
		return re.HTTPStatusCode()
	}
	return 0
}

// The answers that decide something. Servers differ in codes more than in
// status, so both are looked at.
func isPrecondition(err error) bool { return statusOf(err) == http.StatusPreconditionFailed }
func isConflict(err error) bool     { return statusOf(err) == http.StatusConflict }
func isGone(err error) bool {
	return statusOf(err) == http.StatusNotFound && errorCode(err) != "NoSuchBucket"
}
func isNoUpload(err error) bool { return errorCode(err) == "NoSuchUpload" }
func isNotImplemented(err error) bool {
	return statusOf(err) == http.StatusNotImplemented || errorCode(err) == "NotImplemented"
}
