package cloud

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// keepReason makes a request whose time ran out while it was tried again fail
// with what AWS last answered too. The SDK says only that it was cancelled,
// which reads as if there had been no answer. stack is that of one request.
func keepReason(stack *middleware.Stack) error {
	var said error
	note := middleware.FinalizeMiddlewareFunc("NoteReason",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleFinalize(ctx, in)
			if isAnswer(err) {
				said = err
			}
			return out, metadata, err
		})
	keep := middleware.FinalizeMiddlewareFunc("KeepReason",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleFinalize(ctx, in)
			if err != nil && ctx.Err() != nil && said != nil && !isAnswer(err) {
				err = fmt.Errorf("%w; then %w", said, err)
			}
			return out, metadata, err
		})
	if err := stack.Finalize.Insert(note, "Retry", middleware.After); err != nil {
		return err
	}
	return stack.Finalize.Insert(keep, "Retry", middleware.Before)
}

// isAnswer reports whether err is one that AWS answered with.
func isAnswer(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api)
}
