package store

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/smithy-go/middleware"
)

// slowest is the rate below which a transfer counts as stalled, in bytes per
// second.
const slowest = 64 << 10

// A stalledError says that one attempt took too long. The SDK's retryer tries
// again.
type stalledError struct{ after time.Duration }

func (e *stalledError) Error() string {
	return fmt.Sprintf("no answer from the store within %s", e.after)
}
func (e *stalledError) Timeout() bool        { return true }
func (e *stalledError) RetryableError() bool { return true }

// attempt bounds each single try of a request, which the SDK does not: a
// connection that died silently would otherwise hold an upload for ever.
type attempt struct {
	limit time.Duration
	// streams says that the answer's body is read after the call returned, so
	// the limit is only for its beginning.
	streams bool
}

func (attempt) ID() string { return "mayflyAttempt" }

// HandleFinalize implements middleware.FinalizeMiddleware.
func (a attempt) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	middleware.FinalizeOutput, middleware.Metadata, error,
) {
	stalled := &stalledError{a.limit}
	one, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(a.limit, func() { cancel(stalled) })
	out, meta, err := next.HandleFinalize(one, in)
	timer.Stop()
	if err != nil && context.Cause(one) == error(stalled) {
		err = stalled
	}
	if err != nil || !a.streams {
		cancel(nil)
	}
	return out, meta, err
}

func (a attempt) add(stack *middleware.Stack) error {
	return stack.Finalize.Insert(a, "Retry", middleware.After)
}
